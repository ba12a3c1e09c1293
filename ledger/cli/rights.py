"""``lineage`` of a token or a grant: how it is named, and how it is shown."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Final

import typer

from ledger import wiring
from ledger.attribution.json_form import to_json
from ledger.attribution.tokens.values import Asked
from ledger.cli.output import console, emit, read_time
from ledger.cli.token_text import print_token_lineage
from ledger.errors import ConfigurationError
from ledger.settings import Settings
from ledger.store.token_lineage import token_lineage

TokenOption = Annotated[
    tuple[str, str] | None, typer.Option("--token", metavar="ISSUER JTI", help="Of this token, in place of an id.")
]
AfterRevocation = Annotated[
    bool, typer.Option("--after-revocation", help="Of a token or grant: only what came after it was revoked.")
]
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")


def asked_right(text: str | None, token: tuple[str, str] | None) -> Asked | None:
    """The token or grant that is asked about; None where it is an event. Raises ``ConfigurationError``.

    Of `token:ISSUER#JTI` what follows the last `#` is the jti; --token takes the two apart whatever they hold.
    """
    if token is not None:
        if text is not None:
            raise ConfigurationError("choose one: an id, or --token")
        return Asked(_named(token[0]), _named(token[1]))
    kind, colon, rest = (text or "").strip().partition(":")
    if not colon:
        return None
    if kind == "grant" and rest:
        return Asked(grant_id=_named(rest))
    if kind == "token_digest" and _DIGEST.fullmatch(rest):
        return Asked(digest=bytes.fromhex(rest))
    issuer, hash_, jti = rest.rpartition("#")
    if kind == "token" and hash_ and jti:
        return Asked(_named(issuer), _named(jti))
    raise ConfigurationError(
        f"{text!r} names no event, token or grant: give an id, token:ISSUER#JTI, token_digest:HEX (64 digits) or grant:ID"
        + (f"; what `answerable find {shlex.quote(jti)}` finds names its issuer" if kind == "token" and jti else "")
    )


def _named(text: str) -> str:
    if "\0" in text or any(0xD800 <= ord(each) <= 0xDFFF for each in text):
        raise ConfigurationError(f"{text!r} holds a character that no name has")
    return text


def show_right(
    settings: Settings, asked: Asked, *, as_of: str | None, limit: int, only_after: bool, as_json: bool
) -> None:
    """Prints the lineage of a token or grant."""
    time = None if as_of is None else read_time(as_of)
    with wiring.running(settings), wiring.reading(settings) as connection:
        page = token_lineage(
            connection,
            wiring.open_reading(settings),
            settings.tenant,
            asked,
            now=wiring.CLOCK.now() if time is None else time,
            limit=limit,
            only_after=only_after,
            as_of=time,
        )
    if as_json:
        emit({**to_json(page.lineage), "more": page.next is not None})
    else:
        print_token_lineage(console(), page.lineage, utc=settings.utc, more=page.next is not None)
