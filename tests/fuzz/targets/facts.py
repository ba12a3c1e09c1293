"""What is done with an event that was admitted: its rows and joins, answers and views about it. A valid key states anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256

from ledger.attribution.explain import explain
from ledger.attribution.graph import graph_of, node_link
from ledger.attribution.json_form import to_json
from ledger.attribution.subgraph import Node, Ref, Subgraph, typed
from ledger.errors import VerificationError
from ledger.event_view import show_event
from ledger.format.codec import Malformed, SchemaUnknown, read_body
from ledger.format.event import EventHeader, decode_header
from ledger.format.kinds import TokenIssuance, to_avro
from ledger.format.lenient import Invalid
from ledger.store.rows import EventRows, copy_bytes, edge_rows, join_rows
from ledger.store.sighted import joins_of
from ledger.trust.verdict import Payload, VerifiedEvent
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.sealing import SCHEMAS, START, event

MOST = 8
Read = Callable[[EventHeader, bytes, bytes, Payload | None], None]
_LATE = to_avro(
    TokenIssuance(status="issued", verification="none", observer="client", issued_at=-(2**63), expires_at=2**63 - 1)
)
"""Times that no calendar holds."""


def facts(data: bytes) -> None:
    """Parts are header and payload of up to ``MOST`` events; each is stored, shown and asked about."""
    nodes = nodes_of(data, _store)
    for node in nodes:
        json.dumps(show_event(node, {}))
        graph = Subgraph(asked=node.event_id, nodes=nodes)
        json.dumps(to_json(explain(graph)))
    if nodes:
        json.dumps(node_link(graph_of(Subgraph(asked=nodes[0].event_id, nodes=nodes))))


def nodes_of(data: bytes, read: Read = lambda *_: None) -> list[Node]:
    """The events that the parts of ``data`` hold, as the store gives them; ``read`` is called with each."""
    parts = pieces.split(data)[: 2 * MOST]
    nodes = []
    for number, (raw, body) in enumerate(zip(parts[::2], parts[1::2], strict=False)):
        try:
            header = decode_header(SCHEMAS, raw)
            payload = _payload(header.kind, body)
        except VerificationError:
            continue
        read(header, raw, body, payload)
        nodes.append(_node(number, header, raw, payload))
    return nodes


def _payload(kind: str, body: bytes) -> Payload | None:
    """As the verifier reads it."""
    try:
        schema = SCHEMAS.of(body)
    except SchemaUnknown:
        return None
    if schema.name != kind:
        raise Malformed("another kind")
    return read_body(schema, body)


def _store(header: EventHeader, raw: bytes, body: bytes, payload: Payload | None) -> None:
    event = VerifiedEvent(0, sha256(raw).digest(), header, raw, bytes(16), body, payload, (), True)
    joins = joins_of("acme", event)
    names = {header.kind: 1, header.agent_id or "": 2}
    row = EventRows(tenant=1, seal=1, names=names).row(event, 0, joins)
    copy_bytes([row, edge_rows(event), join_rows(header.event_id, joins) if joins.answers_to else b""])


def _node(number: int, header: EventHeader, raw: bytes, payload: Payload | None) -> Node:
    return Node(
        ref=Ref(header.event_id, sha256(raw).digest()),
        header=header,
        payload=payload,
        typed=typed(header.kind, payload),
        service=f"service {number % 2}",
        key_id="key",
        chain_id=bytes(16),
        importer=False,
        effective=True,
        number=0,
        sequence=number,
        sealed_at=START,
        append_time=START,
    )


def seeds() -> Iterator[bytes]:
    late = event(3, "token_issuance", _LATE, occurred_at=-(2**63))
    good = [(late.header, late.payload or b""), *(pair for pair in pieces.events() if _reads(*pair))]
    for pair in good:
        yield pieces.join(pair)
    for at in range(0, len(good) - 4, 4):
        yield pieces.join([part for pair in good[at : at + 4] for part in pair])


def _reads(raw: bytes, body: bytes) -> bool:
    try:
        _payload(decode_header(SCHEMAS, raw).kind, body)
    except (VerificationError, Invalid):
        return False
    return True


TARGETS = (Target("facts", facts, seeds, short=300),)
