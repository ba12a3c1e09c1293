"""Arrays written by hand are read by Postgres as those of the driver."""

from __future__ import annotations

import psycopg

from ledger.store.arrays import of_bytes, of_ids, of_plain, of_texts

TEXTS = [
    "",
    "a",
    "null",
    "NULL",
    None,
    'say "no"',
    "back\\slash",
    "{,}",
    " spaces ",
    "line\nfeed",
    "ü🙂",
    "\\",
    '"',
    "\\x41",
]
BYTES = [b"", b"\0", bytes(range(256)), None]
"""What could be taken for something else."""


def test_what_was_written_as_an_array_is_what_postgres_reads(database: str) -> None:
    ids = [bytes(range(16)), b"\xff" * 16]
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select %s::text[], %s::bytea[], %s::uuid[], %s::bigint[], %s::boolean[], %s::text[]",
            [
                of_texts(TEXTS),
                of_bytes(BYTES),
                of_ids(ids),
                of_plain([-(2**63), 0, 7]),
                of_plain([True, False]),
                of_texts([]),
            ],
        ).fetchone()
    assert row is not None
    texts, data, uuids, *rest = row
    assert (texts, data, [each.bytes for each in uuids]) == (TEXTS, BYTES, ids)
    assert rest == [[-(2**63), 0, 7], [True, False], []]
