"""Passwords: had from the environment or a file, given to a driver, and shown to nobody.

They stand in no URL that anybody types or reads. A URL may still bear one, as Postgres' own programs allow it: then it
is hidden wherever the URL is shown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from ledger.errors import ConfigurationError

HIDDEN: Final = "***"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]*\]|[^:@\[\]]*)(:\d+)?")

_PAIR: Final = r"\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|[^\s']\S*)"
_PAIRS: Final = re.compile(rf"\s*{_PAIR}(?:\s+{_PAIR})*\s*|(?:embedded|file):.*", re.DOTALL)


class Password(str):
    """A password whose representation hides it: drivers print their configuration, with what they were given."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


def read_password_file(path: Path, setting: str) -> Password:
    """The password in ``path``, without the line's end; raises ``ConfigurationError`` naming ``setting``."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"{setting} names {path}, which cannot be read: {why}") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password or "\0" in password:
        raise ConfigurationError(f"{setting} names {path}, which must hold one line: the password")
    return Password(password)


def with_password(url: str, password: str | None) -> str:
    """A Postgres URL, or keyword string, with ``password``; it goes to a driver, never to a person."""
    if password is None:
        return url
    if "://" in url:
        return f"{url}{'&' if '?' in url else '?'}password={quote(password, safe='')}"
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"{url} password='{escaped}'"


def without_password(url: str) -> str:
    """``url`` with its password, if it has one, replaced by stars; a keyword string's ``password=`` too."""
    url = re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^&\s]+)", rf"\1{HIDDEN}", url)
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return "(not a URL)"
    if not password:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{HIDDEN}@{host}"))


def check_url(url: str) -> str:
    """``url``, where it can be taken apart in one way only; raises ``ValueError``, which shows nothing of it.

    A password with ``@``, ``/``, ``?`` or ``#`` that is not percent-encoded would be taken for a host, a port or a
    database, and a driver's error would print it.
    """
    if "://" not in url:
        if "=" in url and not _PAIRS.fullmatch(url):
            raise ValueError("it is neither a URL nor pairs of KEY=VALUE")
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("it is no URL") from None
    user, _, hosts = parts.netloc.rpartition("@")
    if "@" in user + parts.path + parts.fragment or not all(_HOST.fullmatch(each) for each in hosts.split(",")):
        raise ValueError("its HOST:PORT cannot be told from the rest: percent-encode @ : / ? # in user and password")
    return url
