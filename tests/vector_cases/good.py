"""Good runs of records."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from ledger.format.batch import Signature
from ledger.format.event import Cause
from ledger.format.hashing import ZERO32
from ledger.trust.bundle import NAMED_KINDS
from tests.sealing import (
    SCHEMAS,
    SECOND,
    START,
    Made,
    bundle_of,
    closing,
    event,
    event_id,
    key_statement,
    opening,
    seal,
)
from tests.vector_cases.case import DAY, FOREIGN, HOUR, Case, Expected, Sent, one, three
from tests.vector_cases.samples import sample


def cases() -> Iterator[Case]:
    yield one("good-one-event", "a chain of one seal over one event", Sent(seal([opening()])))
    named = bundle_of(key_statement(kinds=["*", *sorted(NAMED_KINDS)]))
    yield one("good-worked-example", "the example of docs/format.md", Sent(seal([opening(), event(1)])))
    yield one("good-every-kind-full", "every kind, every field filled", Sent(_every_kind(full=True)), bundle=named)
    yield one("good-every-kind-bare", "every kind, as empty as allowed", Sent(_every_kind(full=False)), bundle=named)
    many = seal([opening(), *(event(n) for n in range(1, 256))])
    yield one("good-256-events", "as many events as a seal may cover", Sent(many))
    yield Case("good-three-seals", "a chain of three seals, closed", [Sent(each) for each in three()])
    first, second, third = three()
    yield Case("good-any-order", "the same chain, its seals in another order", [Sent(third), Sent(first), Sent(second)])
    yield Case("good-same-again", "the same seal twice: once in the chain", [Sent(first), Sent(first), Sent(second)])
    unknown = event(1, "weather", payload=FOREIGN + b"\x02")
    noted = Expected(noted={1: ["schema_unknown"]})
    yield one(
        "good-unknown-kind", "a payload of a schema that nobody published", Sent(seal([opening(), unknown]), noted)
    )
    bundle = bundle_of(key_statement(role="importer"))
    yield one(
        "good-importer", "sealed by an importer", Sent(seal([opening()]), Expected(role="importer")), bundle=bundle
    )
    tenants = ["a" * 64, "b"]
    bundle = bundle_of(key_statement(tenants=tenants, services=["*"], kinds=["chain_open"], until=START + DAY))
    long = seal([opening()], tenant="a" * 64, service="s" * 64)
    yield one("good-narrow-scope", "a key that may sign for this tenant and kind only", Sent(long), bundle=bundle)
    ignored = first.but(signatures=[*first.batch.signatures, Signature("other", b"anything")])
    yield one("good-second-signature", "signatures after the first are ignored", Sent(first, value=ignored))
    edges = {"sealed_at": START + 2 * SECOND + 300 * SECOND}
    yield one("good-sealed-5-minutes-ahead", "at the limit: no finding", Sent(seal([opening()], **edges)))
    late = Sent(seal([opening()], sealed_at=START), append_time=START + HOUR)
    yield one("good-sealed-an-hour-ago", "at the limit: no finding", late)
    tomorrow = event(1, occurred_at=START + 2 * SECOND + DAY)
    yield one("good-occurs-a-day-ahead", "at the limit: no finding", Sent(seal([opening(), tomorrow])))
    longest = event(1, correlation=["x" * 512], agent_id="é" * 256)
    yield one("good-longest-strings", "strings of 512 bytes", Sent(seal([opening(), longest])))
    most = event(1, causes=[Cause(event_id(n), None, "informed_by") for n in range(64)])
    yield one("good-64-causes", "as many causes as a header may have", Sent(seal([opening(), most])))
    yield one("good-no-promise", "a seal that promises no next one", Sent(seal([opening()], next_within=None)))
    closed = seal([opening(), closing(1)], next_within=0)
    yield one("good-open-and-close", "a chain that opens and closes in one seal", Sent(closed))


def _every_kind(*, full: bool) -> Made:
    names = [name for name in SCHEMAS.by_name if name not in ("SealedBatch", "Seal", "EventHeader", "Content")]
    names = ["chain_open", *(n for n in names if n not in ("chain_open", "chain_close")), "chain_close"]
    header: dict[str, Any] = {}
    if full:
        header = {
            "execution_id": sha256(b"execution").digest()[:16],
            "agent_id": "https://issuer.example#agent",
            "agent_instance": "spiffe://example/agent/1",
            "principal": sha256(b"person").digest(),
            "causes": [
                Cause(event_id(0), sha256(b"cause").digest(), "started_by"),
                Cause(event_id(9), None, "retries"),
            ],
            "correlation": ["trace:4bf92f3577b34da6a3ce929d0e0e4736", "unknown_namespace:a:b", "no colon"],
            "contents": [sha256(b"content").digest(), ZERO32],
        }
    made = [event(n, name, sample(SCHEMAS.by_name[name].parsed, name, full), **header) for n, name in enumerate(names)]
    return seal(made, next_within=0)
