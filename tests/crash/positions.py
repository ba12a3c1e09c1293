"""What the table of positions says: how far a store is behind its log, and who is at work."""

from __future__ import annotations

from ledger.ports import Log
from ledger.store.connect import connect


def behind(log: Log, store: str, topic: str) -> dict[int, tuple[int, int]]:
    """Partitions whose position is not where the log ends: (position, end)."""
    with connect(store) as connection:
        rows: list[tuple[int, int]] = connection.execute(
            "select partition, next_offset from positions where topic = %s", [topic]
        ).fetchall()
    reached = dict(rows)
    ends = {partition: bounds.end for partition, bounds in log.bounds(topic).items()}
    return {each: (reached.get(each, 0), end) for each, end in ends.items() if reached.get(each, 0) != end}


def workers(store: str) -> int:
    """Of how many topics some worker owns positions now."""
    with connect(store) as connection:
        row = connection.execute("select count(distinct topic) from positions where owner_pid is not null").fetchone()
    return 0 if row is None else int(row[0])
