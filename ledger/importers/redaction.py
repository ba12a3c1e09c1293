"""Digests in the place of secrets, before anything else reads a record. Found by the name of the field, and by shape.

By name: a member, attribute or tag whose name ends like a credential (``SECRET_ENDINGS``), also inside text (JSON, Python,
headers, environment). By shape: JWTs, AWS session tokens and secret keys, PEM private keys, keys of well-known services,
credentials in URLs. It errs to the safe side: a harmless word after ``password:`` is masked too. Every scan is linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from ledger.importers.json_text import MASKED, Json

SECRET_ENDINGS: Final = (
    "password", "passwd", "passphrase", "pwd", "secret", "secretkey", "secretaccesskey", "secretstring", "secretbinary",
    "secretvalue", "sessiontoken", "securitytoken", "accesstoken", "refreshtoken", "idtoken", "authtoken", "apitoken",
    "bearertoken", "authenticationtoken", "authorizationtoken", "csrftoken", "xsrftoken", "devicetoken", "identitytoken",
    "subjecttoken", "actortoken", "clientassertion", "samlassertion", "samlresponse", "logintoken", "signintoken",
    "tokenvalue", "tokencode", "tokensecret", "nexttoken", "apikey", "privatekey", "signingkey", "encryptionkey",
    "authorization", "cookie", "keymaterial", "userdata", "passworddata", "plaintext", "connectionstring",
    "clientsecret", "secretkeybase", "accountkey", "sharedaccesskey", "sastoken", "otp", "totp", "mfacode",
    "authenticationcode1", "authenticationcode2", "verificationcode", "pincode", "xamzsignature", "codeverifier",
)  # fmt: skip
"""Ends of names, in lower case and without punctuation, whose values are secrets."""

SHORT_NAMES: Final = frozenset({"token", "otp", "sig", "jwt", "pass"})
"""Names that are secret only when they stand alone and their value is long: ``token`` is also a word of models."""
LONG: Final = 16

_HIDDEN: Final = re.compile(
    r"[\W_]*(?:hidden_due_to_security_reasons|value hidden due to security reasons|sensitivedataremoved|redacted|removed|hidden|"
    r"none|null|true|false|undefined)?[\W_]*",
    re.IGNORECASE,
)
"""What a source wrote in the place of a secret: it says more than a digest of it."""
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]+")
_NAME: Final = re.compile(r"(?<![\w.\-:])[\w.\-]{2,80}(?=\\{0,8}[\"']?\s{0,4}(?:=>|[:=]))")
_AFTER_NAME: Final = re.compile(r"\\{0,8}[\"']?\s{0,4}(?:=>|[:=])\s{0,4}(?:[A-Za-z]{1,20}\()?(\\{0,8}[\"'])?")
_BARE_END: Final = re.compile(r"[\s\"',;&}\])\\<]")
_SCHEME: Final = re.compile(r"(?:bearer|basic|digest|negotiate|token|aws4-hmac-sha256)\s{1,4}", re.IGNORECASE)
_RUN: Final = re.compile(r"(\\[nrtbf])?([A-Za-z0-9_\-.+/=~]{16,})")
"""Token characters, after an escape such as a line's end in JSON, whose letter is none of them."""
_AWS_TOKEN: Final = re.compile(
    r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz|FQoDYXdz|AQoDYXdz|AQoEXAMPLE|Fwo[A-Za-z0-9]{5})[A-Za-z0-9+/=]{40}"
)
_PREFIXED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_\-]{16}|sk_(?:live|test)_|rk_live_|gh[pousr]_[A-Za-z0-9]{20}|github_pat_|glpat-|xox[abposr]-|"
    r"xapp-|AIza[A-Za-z0-9_\-]{30}|ya29\.|hf_[A-Za-z0-9]{20}|npm_[A-Za-z0-9]{20}|pypi-[A-Za-z0-9]|SG\.[A-Za-z0-9]|"
    r"gsk_[A-Za-z0-9]{20}|xai-[A-Za-z0-9]{20}|pk-lf-|sk-lf-|lsv2_|tvly-[A-Za-z0-9]{10}|dop_v1_|shpat_|AGE-SECRET-KEY-)"
)
_JWT_PART: Final = re.compile(r"[A-Za-z0-9_\-]*")
_AWS_SECRET: Final = re.compile(r"\A(?=[^+/]*[+/])(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/]{40}\Z")
_PEM: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)", re.DOTALL
)
_URL_USER: Final = re.compile(r"(://[^\s/:@\"']{0,256}:)([^\s/@\"']{1,512})(?=@)")
_BEARER: Final = re.compile(r"\b(bearer|basic)(\s{1,4})([A-Za-z0-9_\-.+/=~]{12,})", re.IGNORECASE)

Mask = Callable[[str], str]


def redact(value: Json, mask: Mask) -> Json:
    """A copy of ``value`` (bounded in depth) with ``mask(secret)`` in the place of every secret in it."""
    return _walk(value, "", False, mask)


def is_secret_name(name: str) -> bool:
    """Whether what bears this name is a credential."""
    return _PUNCTUATION.sub("", name.lower()).endswith(SECRET_ENDINGS)


def mask_all(value: Json, mask: Mask, keep: Callable[[str], bool]) -> Json:
    """A copy of ``value`` with every text masked but those of members for whose name ``keep`` holds."""
    return _walk_all(value, "", mask, keep)


def mask_text(text: str, mask: Mask) -> str:
    """``text`` with its secrets masked."""
    if len(text) < 8:
        return text
    text = _PEM.sub(lambda found: mask(found[0]), text)
    text = _mask_named(text, mask)
    text = _URL_USER.sub(lambda found: found[1] + mask(found[2]), text)
    text = _BEARER.sub(lambda found: found[1] + found[2] + mask(found[3]), text)
    return _RUN.sub(lambda found: (found[1] or "") + mask(found[2]) if _is_secret_run(found[2]) else found[0], text)


def _walk(value: Json, name: str, secret: bool, mask: Mask) -> Json:
    if isinstance(value, str):
        return _mask_value(value, name, secret, mask)
    if isinstance(value, dict):
        label = _label(value)
        return {
            mask_text(member, mask): _walk(
                held, called := _called(member, name, label), secret or is_secret_name(called), mask
            )
            for member, held in value.items()
        }
    if isinstance(value, list):
        return [_walk(each, name, secret, mask) for each in value]
    if secret and isinstance(value, int | float) and not isinstance(value, bool):
        return mask(str(value))
    return value


_LABELS: Final = ("key", "Key", "name", "Name", "parameterKey", "ParameterKey")
_VALUES: Final = frozenset({"value", "Value", "values", "parameterValue", "ParameterValue"})
_WRAPPERS: Final = frozenset(
    {"stringValue", "string_value", "bytesValue", "bytes_value", "arrayValue", "array_value", "values"}
)


def _label(pair: dict[str, Json]) -> str:
    """The name in an object that names its value beside it: OTLP attributes, tags, environment variables."""
    for each in _LABELS:
        if isinstance(label := pair.get(each), str):
            return label
    return ""


def _called(member: str, name: str, label: str) -> str:
    """By what name the value of ``member`` goes, in an object called ``name`` that may name its value by ``label``."""
    if member in _VALUES and label:
        return label
    return name if member in _WRAPPERS else member


def _mask_value(value: str, name: str, secret: bool, mask: Mask) -> str:
    if secret or (len(value) >= LONG and name.rpartition(".")[2].lower() in SHORT_NAMES):
        return value if _HIDDEN.fullmatch(value[:80]) else mask(value)
    return mask_text(value, mask)


def _walk_all(value: Json, name: str, mask: Mask, keep: Callable[[str], bool]) -> Json:
    if isinstance(value, str):
        return value if keep(name) or _HIDDEN.fullmatch(value[:80]) else mask(value)
    if isinstance(value, dict):
        return {each: _walk_all(held, each, mask, keep) for each, held in value.items()}
    if isinstance(value, list):
        return [_walk_all(each, name, mask, keep) for each in value]
    return value


def _mask_named(text: str, mask: Mask) -> str:
    """Masks what follows a secret name and a colon or equals sign inside text."""
    if ":" not in text and "=" not in text:
        return text
    parts: list[str] = []
    done = position = 0
    while found := _NAME.search(text, position):
        position = found.end()
        if not is_secret_name(found[0]):
            continue
        start, end = _value_span(text, position)
        if (
            end > start
            and not _HIDDEN.fullmatch(text[start : min(end, start + 80)])
            and MASKED.decode() not in text[start:end]
        ):
            parts += (text[done:start], mask(text[start:end]))
            done = end
        position = max(position, end)
    return "".join((*parts, text[done:]))


def _value_span(text: str, position: int) -> tuple[int, int]:
    """Where the value begins and ends whose name ends at ``position``."""
    after = _AFTER_NAME.match(text, position)
    if after is None:
        return position, position
    start = after.end()
    if quote := after[1]:
        end = _closing(text, quote, start)
        return start, len(text) if end < 0 else end
    if scheme := _SCHEME.match(text, start):
        start = scheme.end()
    end_found = _BARE_END.search(text, start)
    return start, end_found.start() if end_found else len(text)


def _closing(text: str, quote: str, start: int) -> int:
    """Where the string closes that was opened by ``quote``, backslashes before a quote counting as in JSON."""
    mark, depth = quote[-1], len(quote) - 1
    position = start
    while (position := text.find(mark, position)) >= 0:
        before = position
        while before > start and text[before - 1] == "\\":
            before -= 1
        if position - before <= depth:
            return before
        position += 1
    return -1


def _is_secret_run(run: str) -> bool:
    """Whether a run of token characters is, or holds, a secret by its shape."""
    if run.count(".") >= 2 and "eyJ" in run and _holds_jwt(run):
        return True
    if _AWS_SECRET.match(run):
        return True
    return _AWS_TOKEN.search(run) is not None or _PREFIXED.search(run) is not None


def _holds_jwt(run: str) -> bool:
    parts = run.split(".")
    return any(
        "eyJ" in head and len(head) >= 12 and len(body) >= 8 and _JWT_PART.fullmatch(body) is not None
        for head, body in pairwise(parts)
    )
