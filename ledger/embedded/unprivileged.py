"""As root, a server runs under an account without rights: which one, and how it reaches its files.

Postgres refuses to run as root. Where we are root, the directories above the data and above the wheel often admit
root alone (``/root``, what ``mkdtemp`` makes). That one account is given the right to pass through them, by an access
control list, and nobody else is.
"""

from __future__ import annotations

import os
import pwd
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from ledger.errors import ConfigurationError

_ACL = "system.posix_acl_access"
_VERSION = 2
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_PASS = 1


class Account(NamedTuple):
    """Whom a child runs as."""

    uid: int
    gid: int


def account_for(directory: Path) -> Account | None:
    """None unless we are root; else the owner of ``directory`` if it has another, or ``postgres``, or ``nobody``."""
    if os.geteuid() != 0:
        return None
    if directory.exists() and (owner := directory.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigurationError("Postgres does not run as root and there is no account 'nobody': run as an ordinary user")


def let_pass(path: Path, account: Account) -> None:
    """Lets ``account`` pass through every directory above ``path``."""
    for parent in reversed(path.resolve().parents):
        if not _may_pass(parent.stat(), account):
            _grant_pass(parent, account)


def let_read(tree: Path) -> None:
    """Makes an installed package readable and its programs runnable, where a strict umask made them root's alone."""
    if tree.stat().st_mode & stat.S_IXOTH:
        return
    for folder, _, files in os.walk(tree):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def _may_pass(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & stat.S_IXOTH)


def _grant_pass(directory: Path, account: Account) -> None:
    entries = [e for e in _read_list(directory) if e[:1] != (_MASK,) and e[::2] != (_USER, account.uid)]
    entries.append((_USER, _PASS, account.uid))
    mask = 0
    for tag, permission, _ in entries:
        if tag in (_USER, _GROUP, 0x08):
            mask |= permission
    entries.append((_MASK, mask, _NO_ID))
    packed = struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *e) for e in sorted(entries))
    try:
        os.setxattr(directory, _ACL, packed)
    except (OSError, AttributeError) as error:
        raise ConfigurationError(
            f"the account with uid {account.uid}, under which Postgres runs, cannot pass through {directory}: "
            f"allow it (chmod o+x {directory}), choose another data directory, or run as an ordinary user"
        ) from error


def _read_list(directory: Path) -> list[tuple[int, int, int]]:
    try:
        packed = os.getxattr(directory, _ACL)
    except (OSError, AttributeError):
        mode = directory.stat().st_mode
        return [(_OWNER, mode >> 6 & 7, _NO_ID), (_GROUP, mode >> 3 & 7, _NO_ID), (_OTHER, mode & 7, _NO_ID)]
    return [(tag, permission, owner) for tag, permission, owner in struct.iter_unpack("<HHI", packed[4:])]
