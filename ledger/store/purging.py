"""Raw bytes of refused records that no erasure can reach, taken out of the store: what is known of each record stays.

An erasure takes payloads out of every refused record that decodes (``ledger.store.erasures``). Of what does not decode, and of
the beginning that is kept of an oversized record, nobody can tell whose data it holds; a refused content was never erasable. None
of them is ever judged again, so that nothing follows from their bytes but what a person wants to look at: they are kept a while.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg

from ledger.store.connect import translated

Connection = psycopg.Connection[Any]

UNREADABLE: Final = ("malformed", "oversize")
"""Reasons for which a record of events is refused before anything in it is known; judged again by nobody."""
PAGE: Final = 500
"""Rows in one transaction: up to 400 MB are taken away at once."""


def purge(connection: Connection, before: int, *, page: int = PAGE) -> int:
    """Takes away the bytes of those that came before an append time, page by page; returns of how many. Safe to repeat.

    Position, append time, reason, detail, digest, length and count stay, and the state digest is the same.
    """
    count = 0
    while True:
        with translated():
            done = connection.execute(_PURGE, {"before": before, "unreadable": list(UNREADABLE), "page": page}).rowcount
        count += done
        if done < page:
            return count


_PURGE: Final = """
update rejected set raw = null where id in (
    select id from rejected
     where raw is not null and at = -1 and append_time < %(before)s
       and (topic = 'ledger.contents' or reason = any(%(unreadable)s))
     order by id limit %(page)s for update skip locked)"""
