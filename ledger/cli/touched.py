"""``touched``: everything that a person triggered, and that a token, grant, document, memory or policy version touched."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from ledger import wiring
from ledger.attribution.graph import in_order
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from ledger.cli.ask import AsOf, Nodes, event_id
from ledger.cli.event_text import print_event
from ledger.cli.invocation import NO, Json, Tenant, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, read_time, tell
from ledger.errors import ConfigurationError
from ledger.format import ids
from ledger.store.touched import WHAT, Touched, What, touched
from ledger.touched_view import touched_json
from ledger.wording import counted


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("touched")(touched_by)


def touched_by(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"One of {', '.join(WHAT)}.")],
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="issuer#subject, issuer#jti or SHA-256, a grant's id, a document's URI, store#key, policy or policy@version.",
        ),
    ],
    before: Annotated[str | None, typer.Option(help="Go on from this event of the thing: the last one shown.")] = None,
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Lists the events of a person, token, grant, document, memory or policy version, and what came of them, through whichever
    agents. Exit 1 where nothing did, and no token or grant was used.
    """
    kind = next((each for each in WHAT if each == what), None)
    if kind is None:
        raise ConfigurationError(f"{what!r} touches nothing; there are {', '.join(WHAT)}")
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    time = None if as_of is None else read_time(as_of)
    start = b"\xff" * 16 if before is None else event_id(before)
    with wiring.running(settings), wiring.reading(settings) as connection:
        rows, limits = wiring.open_reading(settings), Limits(nodes=nodes)
        page = touched(connection, rows, settings.tenant, kind, value, before=start, as_of=time, limits=limits)
    if as_json:
        shown = touched_json(kind, value, page)
        emit({**shown, "before": None if page.before is None else ids.text(page.before)})
    else:
        print_touched(console(), kind, value, page, utc=settings.utc)
        if page.before is not None:
            tell(f"there are earlier ones: --before {ids.text(page.before)}")
        if page.truncated:
            on = "ask on from one of the last events" if "rounds" in page.truncated else "give a larger --nodes"
            tell(f"cut short: {', '.join(page.truncated)}; {on}")
    if not page.items and not page.uses:
        exit_with(NO)


def print_touched(out: Console, what: What, value: str, page: Touched, *, utc: bool) -> None:
    """First the events of the thing itself, its uses among them; then what came of these."""
    of = f" ({', '.join(_parts(page))})" if page.starts else ""
    out.print(Text(f"{counted(len(page.starts), 'event')} of {clean(what)} {clean(value)}{clean(of)}:", style="bold"))
    for node in in_order(page.starts):
        print_event(out, node, persons=page.persons, utc=utc)
    if not page.starts:
        return
    out.print(
        Text("what came of them:" if page.items else "nothing further came of them that is recorded", style="bold")
    )
    for each in page.items:
        print_event(out, each.node, persons=page.persons, utc=utc)
        among = f", one of {each.candidates} that fit" if each.candidates > 1 else ""
        out.print(Text(f"    {each.grade}, {counted(each.steps, 'link')} from it{among}", style="dim"))


def _parts(page: Touched) -> list[str]:
    """How many of each sort the events of the thing are: `1 token issuance`, `3 events of use`."""
    sorts = Counter(_USE if node.ref in page.uses else node.kind.replace("_", " ") for node in in_order(page.starts))
    return [counted(number, sort, _SEVERAL.get(sort)) for sort, number in sorts.items()]


_USE: Final = "event of use"
_SEVERAL: Final = {"memory": "memory events", _USE: "events of use"}
