"""Verifying a log: what is wrong with what is there, what is missing, and what nobody can know. See ``docs/verify.md``."""

from ledger.verification.refusals import Known
from ledger.verification.report import ChainResult, Fault, Group, NamedEvent, Report, Unknown, group_of
from ledger.verification.source import Source
from ledger.verification.verification import Progress, Verification, verify_log

__all__ = [
    "ChainResult",
    "Fault",
    "Group",
    "Known",
    "NamedEvent",
    "Progress",
    "Report",
    "Source",
    "Unknown",
    "Verification",
    "group_of",
    "verify_log",
]
