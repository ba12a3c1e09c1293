"""What the store knows of the events under a seal: by it the event at fault in a changed batch is named. It decides nothing."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from ledger.format.batch import Chain
from ledger.store.connect import translated


def events_under(connection: psycopg.Connection[Any], chain: Chain, number: int) -> dict[int, tuple[bytes, bytes]]:
    """Event id and digest by index in the batch, of the seal of this number; empty where it is not there, or forked."""
    given = {**chain._asdict(), "number": number}
    with translated():
        rows = connection.execute(_EVENTS, given).fetchall()
    if len({seal for seal, *_ in rows}) != 1:
        return {}
    return {at: (event_id.bytes, digest) for _, at, event_id, digest in rows}


_EVENTS: Final = """
with of as (
    select s.id from seals s join chains c on c.id = s.chain
      join names t on t.id = c.tenant join names v on v.id = c.service
     where t.name = %(tenant)s and v.name = %(service)s and c.key_id = %(key_id)s and c.chain_id = %(chain_id)s
       and s.number = %(number)s
)
select e.seal, e.at, e.event_id, e.digest from of cross join lateral (select * from events where seal = of.id offset 0) e
union all
select g.seal, g.at, g.event_id, g.digest from of cross join lateral (select * from sightings where seal = of.id offset 0) g
"""
