"""What another process left: segments of a journal, the frames in them, and the files beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from struct import Struct

from crc32c import crc32c

from ledger.recorder.adoption import look_over
from ledger.recorder.frames import content_frame, event_frame, sealed_frame
from ledger.recorder.journal import FRAME, HEAD, MAGIC, recover
from ledger.recorder.spool import EVENTS, SEALED, Orphan, adopt
from tests.fuzz.case import Target
from tests.fuzz.targets import pieces
from tests.fuzz.targets.scratch import scratch
from tests.sealing import CHAIN, KEY, SCHEMAS, opening, seal

OWNER = {"ledger": "ledger.example", "service": "flights"}
_HEADER = Struct("<IIQ")
_ACKED = Struct("<QQ")


def segment(bodies: Sequence[bytes], first: int = 1) -> bytes:
    """A segment that holds ``bodies`` in good frames."""
    framed = [_HEADER.pack(len(body), crc32c(body, number), number) + body for number, body in enumerate(bodies, first)]
    return MAGIC + first.to_bytes(8, "little") + b"".join(framed)


def journal(data: bytes) -> None:
    """A segment's bytes as they are: what is read is what good frames at their beginning hold, and nothing else."""
    folder = scratch("journal")
    (folder / "j-00000001.seg").write_bytes(data)
    found = list(recover(folder, "j"))
    if found:
        size = HEAD + sum(FRAME + len(each.body) for each in found)
        assert segment([each.body for each in found], found[0].number) == data[:size]


def orphan(data: bytes) -> None:
    """Parts are the files of a spool: owner, acknowledged, then frames of events and of sealed batches in turn, well framed."""
    parts = pieces.split(data)
    folder = scratch("spools") / "left"
    folder.mkdir(exist_ok=True)
    (folder / "owner.json").write_bytes(parts[0] if parts else b"")
    (folder / "acked").write_bytes(parts[1] if len(parts) > 1 else b"")
    rest = [each for each in parts[2:12] if each]
    (folder / f"{EVENTS}-00000001.seg").write_bytes(segment(rest[::2]))
    (folder / f"{SEALED}-00000001.seg").write_bytes(segment(rest[1::2]))
    found = adopt(folder.parent, folder / "none", **OWNER)
    assert len(found) <= 1
    for each in found:
        try:
            look(each)
        finally:
            each.close(delete=False)


def look(found: Orphan) -> None:
    left = look_over(SCHEMAS, [found])
    for spool in left.spools:
        for each in (*spool.contents(), *spool.batches(), *spool.unsealed()):
            assert isinstance(each, tuple)


def _frames() -> tuple[bytes, bytes, bytes, bytes]:
    first = opening()
    batch = seal([first])
    head = ["acme", CHAIN.hex(), KEY.key_id, 0, batch.digest.hex(), 1]
    return (
        event_frame(b"acme", 5, bytes(32), first.header, first.salt, first.payload or b""),
        sealed_frame(1, 0, batch.value),
        content_frame(b"acme\0" + bytes(32), b"content"),
        b"H" + json.dumps([head]).encode(),
    )


def _journals() -> Iterator[bytes]:
    yield segment(_frames())
    yield segment([b"x", b"yy"], 7) + bytes(40)


def _orphans() -> Iterator[bytes]:
    owner, acked = json.dumps(OWNER).encode(), _ACKED.pack(0, 0)
    yield pieces.join([owner, acked + crc32c(acked).to_bytes(4, "little"), *_frames()])
    yield pieces.join([owner, b"", *_frames()[:2], *_frames()[:2]])


TARGETS = (
    Target("journal", journal, _journals, short=500),
    Target("orphan", orphan, _orphans, short=300, words=(b"H[[", b"chain_open")),
)
