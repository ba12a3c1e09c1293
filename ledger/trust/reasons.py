"""Every reason to refuse and every finding, in one table: what it means and what to do. ``docs/format.md`` prints it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Scope = Literal["record", "event", "chain", "read"]


class Reason(NamedTuple):
    """``record`` and ``event`` reasons refuse one; ``chain`` findings are stored; ``read`` findings are computed when asked."""

    name: str
    refuses: bool
    scope: Scope
    meaning: str
    remedy: str


_ALL: Final = (
    Reason(
        "malformed",
        True,
        "record",
        "the bytes do not decode, or break a limit",
        "find the publisher by key and position, and update it",
    ),
    Reason(
        "oversize",
        True,
        "record",
        "the record is larger than the format allows",
        "find who writes to the log without the recorder",
    ),
    Reason(
        "wrong_ledger",
        True,
        "record",
        "the seal names another ledger",
        "keep the logs of two ledgers apart; check LEDGER and LOG_URL of the publisher",
    ),
    Reason(
        "wrong_key",
        True,
        "record",
        "the record's key is not the chain's id",
        "find who copies records by other means than the recorder",
    ),
    Reason(
        "schema_unknown",
        True,
        "record",
        "a schema or format version is not known here",
        "update the ledger; the record is judged again",
    ),
    Reason(
        "unknown_key",
        True,
        "record",
        "no trust statement names the key",
        "`answerable keys trust` the key if it is yours; the record is judged again",
    ),
    Reason(
        "wrong_scope",
        True,
        "record",
        "the key may not sign for this tenant and service",
        "widen the key's statement, or find out who misuses it",
    ),
    Reason(
        "revoked_key",
        True,
        "record",
        "the key was revoked before the record reached the log",
        "the key is in wrong hands: find who still has it",
    ),
    Reason(
        "expired_key",
        True,
        "record",
        "the record reached the log outside the key's from and until",
        "renew the key's statement, and look for a spool that came late",
    ),
    Reason(
        "bad_signature",
        True,
        "record",
        "the seal's signature does not verify",
        "the bytes were changed after sealing, or forged",
    ),
    Reason(
        "bad_root",
        True,
        "record",
        "events and seal do not belong together",
        "the batch was changed after sealing: compare with the publisher's spool",
    ),
    Reason(
        "bad_payload",
        True,
        "record",
        "a payload is missing or is not the one that was sealed",
        "the batch was changed after sealing: compare with the publisher's spool",
    ),
    Reason(
        "unprojectable",
        True,
        "event",
        "the payload does not decode as the kind that the header names",
        "update the publisher; the rest of its batch stands",
    ),
    Reason(
        "gap",
        False,
        "chain",
        "seals of the chain are missing",
        "wait for the publisher's spool; else read retention and the rejected records",
    ),
    Reason(
        "fork",
        False,
        "chain",
        "two seals of one number, both validly signed",
        "the key signs twice: revoke it and compare both branches",
    ),
    Reason(
        "broken_link",
        False,
        "chain",
        "a seal does not follow from the one before it",
        "the publisher lost its state or its key is used elsewhere",
    ),
    Reason(
        "sealed_after_close",
        False,
        "chain",
        "the chain went on after it was closed",
        "find who still uses the key and chain",
    ),
    Reason(
        "late",
        False,
        "record",
        "the seal reached the log over an hour after it says it was made",
        "its times prove nothing by themselves; look for a spool that was offline",
    ),
    Reason("clock_skew", False, "record", "a time lies in the future, or goes backwards", "set the publisher's clock"),
    Reason(
        "unauthorized_kind",
        False,
        "event",
        "the key may not state this kind; the event has no effect beyond its row",
        "name the kind in the key's statement, or find out who misuses it",
    ),
    Reason(
        "unauthorized_erasure",
        False,
        "chain",
        "a content was deleted from the log without an erasure event",
        "find who can write to the log of contents; restore it",
    ),
    Reason(
        "unknown_relation",
        False,
        "event",
        "a cause has a relation that this format does not know",
        "it counts as informed_by; update the ledger",
    ),
    Reason(
        "non_canonical",
        False,
        "event",
        "the bytes are not the one encoding of what they say",
        "update the publisher's encoder",
    ),
    Reason(
        "overdue",
        False,
        "read",
        "a chain promised its next seal and did not keep it",
        "look whether the service still runs and reaches the log",
    ),
    Reason(
        "dangling_cause",
        False,
        "read",
        "a cause is not in the ledger (of this tenant)",
        "wait for its publisher's spool; else it was never recorded",
    ),
    Reason(
        "cause_mismatch",
        False,
        "read",
        "a cause is there, with another digest than cited",
        "compare both events: one of the two publishers errs or lies",
    ),
    Reason(
        "cause_cycle", False, "read", "causes lead back to the event by id", "only forged or imported ids can do this"
    ),
    Reason("duplicate_event_id", False, "read", "one event id has two digests", "both are kept: see who signed which"),
    Reason(
        "double_continuation",
        False,
        "read",
        "two chains continue the same one",
        "a spool was copied: find its second owner",
    ),
    Reason(
        "row_changed",
        False,
        "read",
        "a row of the store is not what was signed; nothing that it says is used",
        "find who can write to the store; `answerable verify --store` names what differs, `answerable rebuild` mends it",
    ),
    Reason(
        "lost_to_retention",
        False,
        "read",
        "the log dropped records before they were read",
        "restore from the archive, then `answerable rebuild`",
    ),
    Reason(
        "truncated",
        False,
        "read",
        "a chain ends before a seal that somebody knew of",
        "compare with the publisher's spool and the archives; find who can delete from the log",
    ),
    Reason(
        "missing_chain",
        False,
        "read",
        "a chain that somebody knew of is not in the log at all",
        "compare with the publisher's spool and the archives; find who can delete from the log",
    ),
    Reason(
        "other_seal",
        False,
        "read",
        "another seal stands under the number of one that somebody knew of",
        "the log was replaced, or the key signed twice: compare with whoever exported the head",
    ),
)

REASONS: Final = {reason.name: reason for reason in _ALL}

CHANGED_BY_TRUST: Final = frozenset({"unknown_key", "wrong_scope", "revoked_key", "expired_key"})
CHANGED_BY_SCHEMA: Final = frozenset({"schema_unknown"})
CHANGED_BY_ERASURE: Final = frozenset({"bad_payload"})
JUDGED_AGAIN: Final = CHANGED_BY_TRUST | CHANGED_BY_SCHEMA | CHANGED_BY_ERASURE
"""Refusals that a longer bundle, a new schema or an erasure can change."""
