"""The verbs of auditors and incident responders: ``diff`` and what else is asked of more than one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ledger import wiring
from ledger.attribution.difference import difference_json
from ledger.attribution.inventory.agent import REMARKS, Agent, Wanted
from ledger.attribution.inventory.json_form import agent_json, history_json
from ledger.cli.ask import event_id
from ledger.cli.difference_text import print_difference
from ledger.cli.invocation import NO, Json, Tenant, Utc, exit_with, settings_of
from ledger.cli.output import clean, console, emit, read_time, show_time, tell
from ledger.cli.value_text import value_text
from ledger.errors import ConfigurationError
from ledger.format import ids
from ledger.store.inventory import EVENTS, Agents, agent_by_id, list_agents
from ledger.store.nodes import Reading
from ledger.store.runs import difference_of

if TYPE_CHECKING:
    import psycopg


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command()(diff)
    app.command()(agents)


def diff(
    ctx: typer.Context,
    run1: Annotated[str, typer.Argument(metavar="RUN1", help="An execution's id.")],
    run2: Annotated[str, typer.Argument(metavar="RUN2", help="Another one's.")],
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Says what two runs did differently, step by step, by kind, operation and causes. Exit 1 where they differ, or there is
    none of this id.
    """
    settings = settings_of(ctx, tenant=tenant)
    a, b = event_id(run1, "execution"), event_id(run2, "execution")
    with wiring.running(settings), wiring.reading(settings) as connection:
        found = difference_of(connection, wiring.open_reading(settings), settings.tenant, a, b)
    if as_json:
        emit(difference_json(found))
    else:
        print_difference(console(), found)
    if not found.same:
        exit_with(NO)


def agents(
    ctx: typer.Context,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="This one alone, with its history.")] = None,
    remark: Annotated[str | None, typer.Option(help=f"Those with this remark: {', '.join(REMARKS)}.")] = None,
    state: Annotated[str | None, typer.Option(help="Registered as active, suspended or retired.")] = None,
    owner: Annotated[str | None, typer.Option(help="Owned by: issuer#subject, or a digest of theirs.")] = None,
    as_of: Annotated[str | None, typer.Option(help="As of what the log had by this append time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most agents to show.")] = 100,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Lists the agents that are registered or were seen, with what does not fit. Exit 1 where there is none."""
    wanted = Wanted(remark, state, owner).checked()
    if agent is not None and any(each is not None for each in (remark, state, owner)):
        raise ConfigurationError("an agent is asked for alone: filters are for the list")
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    time = None if as_of is None else read_time(as_of)
    with wiring.running(settings), wiring.reading(settings) as connection:
        rows = wiring.open_reading(settings)
        if agent is not None:
            page = Agents(
                [agent_by_id(connection, rows, settings.tenant, agent, now=wiring.CLOCK.now(), as_of=time)], None, ()
            )
        else:
            page = _listed(connection, rows, settings.tenant, wanted, limit, time)
    if as_json and agent is not None:
        emit({**agent_json(page.agents[0]), "history": history_json(page.agents[0])})
    elif as_json:
        shown = [agent_json(each) for each in page.agents]
        emit({"items": shown, "more": page.next is not None, "truncated": list(page.truncated)})
    else:
        for each in page.agents:
            print_agent(console(), each, history=agent is not None, utc=settings.utc)
        if page.next is not None or page.truncated:
            tell("there are more: give a filter, or a larger --limit")
    if not page.agents:
        tell("no agent matches")
        exit_with(NO)


def _listed(
    connection: psycopg.Connection, rows: Reading, tenant: str, wanted: Wanted, limit: int, as_of: int | None
) -> Agents:
    """A page that looks at as many agents as it takes."""
    found: list[Agent] = []
    after, cut = "", dict[str, None]()
    while True:
        page = list_agents(
            connection,
            rows,
            tenant,
            wanted=wanted.fits,
            after=after,
            limit=limit - len(found),
            now=wiring.CLOCK.now(),
            as_of=as_of,
        )
        found += page.agents
        cut |= dict.fromkeys(each for each in page.truncated if each != "scan")
        if page.next is None or len(found) >= limit:
            return Agents(found, page.next, tuple(cut))
        after = page.next


def print_agent(out: Console, agent: Agent, *, history: bool, utc: bool) -> None:
    """An agent in a few lines: who answers for it first."""
    owner = " or ".join(each.label for each in agent.owners) or "nobody"
    state = agent.state or "not registered"
    seen = "never seen" if agent.last_seen is None else f"last seen {show_time(agent.last_seen, utc=utc)}"
    name = f" ({clean(agent.name)})" if agent.name else ""
    out.print(Text.assemble((clean(agent.agent_id), "bold"), f"{name}  {clean(state)}, owner {clean(owner)}, {seen}"))
    said = {
        "purpose": agent.purpose,
        "model": agent.model,
        "version": agent.version,
        "scopes": " ".join(agent.scopes),
        "clients": " ".join(agent.client_ids),
        "its events are signed by": " ".join(agent.services),
    }
    for what, value in said.items():
        if value:
            out.print(Text(f"    {what}: {clean(value)}", style="dim"))
    for each in agent.remarks:
        about = f" ({', '.join(clean(one) for one in each.about)})" if each.about else ""
        out.print(Text(f"    ! {each.name}{about}: {REMARKS[each.name]}", style="yellow"))
        out.print(Text(f"      evidence {' '.join(ids.text(event) for event in each.evidence)}", style="dim"))
    if agent.truncated:
        of = ", ".join(agent.truncated)
        out.print(
            Text(
                f"    CUT SHORT: there are more of its {of}; its latest {EVENTS} of each were looked at",
                style="bold yellow",
            )
        )
    for change in agent.history if history else ():
        people = {name: who.label for name, who in change.people.items()}
        says = "; ".join(f"{name} {value_text(people.get(name, value))}" for name, value in change.says.items())
        out.print(Text(f"    {show_time(change.at, utc=utc)}  {change.kind} by {clean(change.service)}: {says}"))
