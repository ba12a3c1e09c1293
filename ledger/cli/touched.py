"""``touched``: everything that a person triggered, and that a token, grant, document, memory or policy version touched."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ledger import wiring
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from ledger.cli.ask import AsOf, Nodes, event_id, print_event
from ledger.cli.invocation import NO, Json, Tenant, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, read_time, tell
from ledger.errors import ConfigurationError
from ledger.format import ids
from ledger.store.touched import WHAT, touched
from ledger.touched_view import touched_json


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
    """Lists what came of a person, token, grant, document, memory or policy version, through whichever agents. Exit 1 where
    nothing did.
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
        out = console()
        out.print(Text(f"{len(page.starts)} events of {clean(kind)} {clean(value)}; what came of them:", style="bold"))
        for each in page.items:
            print_event(out, each.node, persons=page.persons, utc=settings.utc)
            among = f", one of {each.candidates} that fit" if each.candidates > 1 else ""
            out.print(Text(f"    {each.grade}, {each.steps} links from it{among}", style="dim"))
        if page.before is not None:
            tell(f"there are earlier ones: --before {ids.text(page.before)}")
        if page.truncated:
            tell(f"cut short: {', '.join(page.truncated)}; give a larger --nodes")
    if not page.items:
        exit_with(NO)
