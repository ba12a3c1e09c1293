"""Rules about accounts of one action by several observers."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.attribution.rules.case import Case, Found
from ledger.attribution.subgraph import Node
from ledger.format.kinds import ApiAction


def accounts_disagree(case: Case) -> Found:
    """Of one attempt: whoever was called says that it did not succeed, another that it did; or they state other parameters."""
    tries = {fact.attempt for _, fact in case.accounts if fact.attempt is not None}
    for attempt in sorted(tries) if len(tries) > 1 else [None]:
        said = [(node, fact) for node, fact in case.accounts if attempt is None or fact.attempt == attempt]
        yield from _outcomes(said)
        yield from _parameters(case, said)


def _outcomes(said: Iterable[tuple[Node, ApiAction]]) -> Found:
    known = [(node, fact) for node, fact in said if fact.outcome in ("success", "denied", "failure")]
    received = [(node, fact) for node, fact in known if fact.observer == "resource"]
    denied = [node for node, fact in received if fact.outcome != "success"]
    claimed = [node for node, fact in known if fact.observer != "resource" and fact.outcome == "success"]
    if denied and claimed and len(denied) == len(received):
        yield "one account says that it succeeded, the other that it did not", [*claimed, *denied]


def _parameters(case: Case, said: Iterable[tuple[Node, ApiAction]]) -> Found:
    """A policy or a person may have changed them on the way. What an importer read stands in the form of some log."""
    digests: dict[bytes, Node] = {}
    for node, fact in said:
        if fact.parameter_digest is not None and not node.importer:
            digests.setdefault(fact.parameter_digest, node)
    changes = [(fact.parameter_digest, fact.modified_parameter_digest) for _, fact in case.decisions]
    changes += [(fact.bound_digest, fact.edited_digest) for _, fact in case.oversights]
    explained = any(None not in change and set(digests) <= set(change) for change in changes)
    if len(digests) > 1 and not explained:
        yield "the accounts state different parameters", list(digests.values())
