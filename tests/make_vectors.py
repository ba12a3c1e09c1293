"""Writes ``tests/vectors``: good batches, and one fault a file, for any verifier of the format.

Keys, salts and clocks are fixed, so that the same bytes come out every time. What is expected is stated here, case by
case, never taken from the verifier; only runs and chain findings are counted from the seals that a case says are admitted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger.format.batch import decode_seal
from ledger.format.hashing import seal_digest
from ledger.trust.chain import Mark, replay
from ledger.trust.keys import jwk_of
from tests.sealing import ROOT, SCHEMAS, SECOND, START, bundle_of, digests_of, key_statement
from tests.vector_cases import cases
from tests.vector_cases.case import Case, Sent

FOLDER = Path(__file__).parent / "vectors"


def render(case: Case) -> dict[str, Any]:
    """The file of a case, as JSON."""
    bundle = bundle_of(key_statement()) if case.bundle is None else case.bundle
    admitted = [each for each in case.sent if each.made is not None and each.expected.reason is None]
    return {
        "title": case.title,
        "ledger": case.ledger,
        "root": jwk_of(ROOT.public.raw),
        "bundle": base64.b64encode(bundle).decode(),
        "bundle_verdict": "refused" if case.refused_bundle else "accepted",
        "erased": [{"tenant": case.erased_of, "event": each.hex()} for each in case.erased],
        "records": [_record(each) for each in case.sent],
        "expect": [_expectation(each) for each in case.sent],
        "chains": _chains(case, admitted),
    }


def _value(sent: Sent) -> bytes | None:
    return sent.made.value if sent.value is None and sent.made is not None else sent.value


def _record(sent: Sent) -> dict[str, Any]:
    value = _value(sent)
    at = sent.append_time
    if at is None:
        number = decode_seal(SCHEMAS, sent.made.seal).seal_number if sent.made is not None else 0
        at = START + (number + 2) * SECOND
    record: dict[str, Any] = {
        "key": None if sent.key is None else sent.key.hex(),
        "value": None if value is None else value.hex(),
        "append_time": at,
    }
    return {**record, "zeros": sent.zeros} if sent.zeros else record


def _expectation(sent: Sent) -> dict[str, Any]:
    expected = sent.expected
    if expected.reason is not None or sent.made is None:
        return {"verdict": expected.reason}
    made = decode_seal(SCHEMAS, sent.made.seal)
    events = [
        {
            "sequence": made.first_sequence + at,
            "digest": digest.hex(),
            "verdict": expected.refused.get(at, "admitted"),
            "findings": sorted(expected.noted.get(at, [])),
        }
        for at, digest in enumerate(digests_of(sent.made.batch.events, made.tenant, made.service))
    ]
    return {
        "verdict": "admitted",
        "seal_digest": seal_digest(sent.made.seal).hex(),
        "role": expected.role,
        "findings": list(expected.findings),
        "events": events,
    }


def _chains(case: Case, admitted: Sequence[Sent]) -> list[dict[str, Any]]:
    marks: dict[tuple[str, str, str, bytes], set[Mark]] = {}
    for sent in admitted:
        if sent.made is None:
            continue
        each = decode_seal(SCHEMAS, sent.made.seal)
        mark = Mark(
            each.seal_number,
            sent.made.digest,
            each.previous_seal,
            each.first_sequence,
            each.event_count,
            each.sealed_at,
            each.next_within == 0,
        )
        marks.setdefault((each.tenant, each.service, each.key_id, each.chain_id), set()).add(mark)
    chains = [chain_stated(identity, replay(marks[identity])) for identity in sorted(marks)]
    names = sorted(finding["name"] for chain in chains for finding in chain["findings"])
    if names != sorted(case.chain):
        raise AssertionError(f"{case.name}: chain findings {names} are not those stated, {sorted(case.chain)}")
    return chains


def chain_stated(identity: tuple[str, str, str, bytes], replayed: Any) -> dict[str, Any]:
    """What a vector states of one chain: its identity, and the state and findings of its seals."""
    state, findings = replayed
    tenant, service, key_id, chain_id = identity
    return {
        "tenant": tenant,
        "service": service,
        "key_id": key_id,
        "chain_id": chain_id.hex(),
        "runs": [[run.start, run.stop] for run in state.runs],
        "closed_at": state.closed_at,
        "findings": [
            {
                "name": each.name,
                "number": each.number,
                "until": each.until,
                "digest": None if each.digest is None else each.digest.hex(),
            }
            for each in sorted(findings, key=lambda f: (f.name, f.number, f.until, f.digest or b""))
        ],
    }


def files() -> dict[str, bytes]:
    """Every vector by its file name."""
    found: dict[str, bytes] = {}
    for case in cases():
        name = f"{case.name}.json"
        if name in found:
            raise AssertionError(f"two cases are called {case.name}")
        found[name] = json.dumps(render(case), indent=1, ensure_ascii=False).encode() + b"\n"
    return found


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = files()
    for old in FOLDER.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_bytes(text)
    print(f"{len(made)} files, {sum(map(len, made.values()))} bytes")


if __name__ == "__main__":
    main()
