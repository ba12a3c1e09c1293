"""The verbs that ask the store: ``who-triggered``, ``lineage``, ``find`` and ``graph``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from ledger import ask, wiring
from ledger.attribution.json_form import to_json
from ledger.attribution.subgraph import DEFAULT_LIMITS, Limits
from ledger.cli.answer_text import print_answer
from ledger.cli.event_text import print_event, print_events
from ledger.cli.graphs import Form, emit_graph, form_of
from ledger.cli.invocation import NO, Json, Tenant, Utc, exit_with, settings_of
from ledger.cli.next_text import next_questions
from ledger.cli.output import clean, console, emit, read_time, tell
from ledger.cli.rights import AfterRevocation, TokenOption, asked_right, show_right
from ledger.errors import ConfigurationError
from ledger.event_view import matched, people_of, show_event
from ledger.format import ids
from ledger.settings import Settings
from ledger.store import judged, queries
from ledger.store.nodes import Reading
from ledger.store.persons import persons_listed

if TYPE_CHECKING:
    import psycopg

EventArgument = Annotated[str, typer.Argument(metavar="ID", help="The event's id.")]
AsOf = Annotated[str | None, typer.Option(help="Answer from what the log had by this append time.")]
Nodes = Annotated[int, typer.Option(min=1, max=100_000, help="Most events to look at.")]
LineageArgument = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="An event's id; or token:ISSUER#JTI, token_digest:HEX, grant:ID.")
]
Rules = Annotated[Path | None, typer.Option(help="House rules, TOML (docs/contradictions.md).")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Most events to show.")]


NAMED: Final = ": an agent is named by its URI, and `answerable agents` lists them"


UNSEARCHED: Final = (
    ": texts and people's names are contents, which are not searched; --principal ISSUER#SUBJECT finds a person"
)


def _hint(search: queries.Search) -> str:
    """How what was asked for is named here, where it may be named otherwise."""
    if search.agent is not None and "://" not in search.agent:
        return NAMED
    return UNSEARCHED if search.value is not None else ""


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command("who-triggered")(who_triggered)
    app.command()(lineage)
    app.command()(find)
    app.command()(graph)


def who_triggered(
    ctx: typer.Context,
    event: EventArgument,
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    rules: Rules = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="Without the path, what the answer covers, and what to ask next.")
    ] = False,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Says who triggered an event, and how that is known. Exit 1 where nobody can be named, or there is no such event."""
    settings = settings_of(ctx, tenant=tenant, utc=utc, rules=rules)
    wanted, time = event_id(event), None if as_of is None else read_time(as_of)
    house = wiring.house_rules(settings)
    with wiring.running(settings):
        source = wiring.open_lineage(settings)
        limits = Limits(nodes=nodes)
        answer = ask.who_triggered(source, settings.tenant, wanted, as_of=time, limits=limits, house=house)
    if as_json:
        emit(to_json(answer))
    else:
        asking = () if brief else next_questions(answer, _asked_of(tenant, as_of))
        print_answer(console(), answer, utc=settings.utc, brief=brief, asking=asking)
    if answer.class_ == "unattributed":
        exit_with(NO)


def _asked_of(tenant: str | None, as_of: str | None) -> str:
    """The options that the next question needs too."""
    given = (("--tenant", tenant), ("--as-of", as_of))
    return "".join(f" {name} {shlex.quote(value)}" for name, value in given if value is not None)


def lineage(
    ctx: typer.Context,
    event: LineageArgument = None,
    token: TokenOption = None,
    up: Annotated[bool, typer.Option("--up", help="What it came from (the default).")] = False,
    down: Annotated[bool, typer.Option("--down", help="What came of it.")] = False,
    as_of: AsOf = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    limit: Limit = 50,
    after_revocation: AfterRevocation = False,
    form: Form = None,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Lists what an event, token or grant came from, or what came of it; with --json or --format as a graph. Exit 1 where
    there is nothing else, or no such event.

    Of a token (`token:ISSUER#JTI`, `token_digest:HEX`, or --token) or a grant (`grant:ID`) it tells both directions, its ends,
    and what came after a revocation.
    """
    if up and down:
        raise ConfigurationError("choose one of --up and --down")
    if (asked := asked_right(event, token)) is not None:
        if form is not None:
            raise ConfigurationError("--format is of the graph of an event; of a token or grant there is --json")
        settings = settings_of(ctx, tenant=tenant, utc=utc)
        show_right(settings, asked, as_of=as_of, limit=limit, only_after=after_revocation, as_json=as_json)
        return
    if event is None:
        raise ConfigurationError(
            "name an event's id, or a token or grant: token:ISSUER#JTI, token_digest:HEX, grant:ID"
        )
    drawn = form_of(form, as_json=as_json)
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    wanted, time = event_id(event), None if as_of is None else read_time(as_of)
    with wiring.running(settings):
        found = ask.lineage_of(
            wiring.open_lineage(settings),
            settings.tenant,
            wanted,
            "down" if down else "up",
            as_of=time,
            limits=Limits(nodes=nodes),
        )
    if drawn is not None:
        emit_graph(found, drawn)
    else:
        print_events(console(), found, utc=settings.utc)
    if len(found.nodes) < 2:
        tell(f"nothing is recorded that {'came of it' if down else 'it came from'}")
        exit_with(NO)


def find(
    ctx: typer.Context,
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="[VALUE]",
            help="An id, address, host, resource, table or token (its jti, or ISSUER#JTI), as it stands in any field; exactly.",
        ),
    ] = None,
    correlation: Annotated[str | None, typer.Option(help="namespace:value, such as trace:0af7…")] = None,
    principal: Annotated[str | None, typer.Option(help="A person: issuer#subject, or a digest of theirs.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent's URI.")] = None,
    resource: Annotated[str | None, typer.Option(help="What was acted upon.")] = None,
    kind: Annotated[str | None, typer.Option(help="The kind of event.")] = None,
    execution: Annotated[str | None, typer.Option(help="Of this run.")] = None,
    action: Annotated[str | None, typer.Option(help="All accounts of this action; alone.")] = None,
    class_: Annotated[
        str | None, typer.Option("--class", help=f"Judged as, by the sentinel: {', '.join(judged.CLASSES)}.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Attributed to nobody for this reason, such as no_trigger: see coverage.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Occurred at or after.")] = None,
    until: Annotated[str | None, typer.Option(help="Occurred before.")] = None,
    limit: Limit = 50,
    tenant: Tenant = None,
    as_json: Json = False,
    utc: Utc = False,
) -> None:
    """Finds events, the latest first: by a value, in whichever field it stands, or by what is given. Contents are not searched.
    Exit 1 where there is none.
    """
    settings = settings_of(ctx, tenant=tenant, utc=utc)
    search = queries.Search(
        value=value,
        correlation=correlation,
        principal=principal,
        agent=agent,
        resource=resource,
        kind=kind,
        execution=None if execution is None else event_id(execution, "execution"),
        since=None if since is None else read_time(since),
        until=None if until is None else read_time(until),
        judged=judged.Judged(class_, reason),
    )
    if action is not None and not search.is_empty:
        raise ConfigurationError("--action is asked alone: it finds every account of one action")
    with wiring.running(settings), wiring.reading(settings) as connection:
        rows = wiring.open_reading(settings)
        if action is not None:
            page = queries.events_of_action(connection, rows, settings.tenant, action, limit=limit)
        else:
            page = queries.find_events(connection, rows, settings.tenant, search, limit=limit)
        _show(connection, rows, page, settings, search=search, as_json=as_json)


def graph(
    ctx: typer.Context,
    execution: Annotated[str, typer.Argument(metavar="EXECUTION", help="The execution's id.")],
    form: Form = None,
    nodes: Nodes = DEFAULT_LIMITS.nodes,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Writes a run as a graph: DOT, unless --format or --json says otherwise. Exit 1 where there is none of this id."""
    drawn = form_of(form, as_json=as_json) or "dot"
    settings = settings_of(ctx, tenant=tenant)
    wanted = event_id(execution, "execution")
    with wiring.running(settings), wiring.reading(settings) as connection:
        rows = wiring.open_reading(settings)
        found = queries.execution_subgraph(connection, rows, settings.tenant, wanted, limits=Limits(nodes=nodes))
    emit_graph(found, drawn)


def _show(
    connection: psycopg.Connection,
    rows: Reading,
    page: queries.Page,
    settings: Settings,
    *,
    search: queries.Search,
    as_json: bool,
) -> None:
    """A page of events, each with the fields in which a value stands; exit 1 where it is empty."""
    people = {digest for node in page.events for digest in people_of(node)}
    persons = persons_listed(connection, rows, settings.tenant, people)
    if as_json:
        items = [{**show_event(node, persons), "matched": matched(node, search.value)} for node in page.events]
        emit({"items": items, "more": page.next is not None, "truncated": list(page.truncated)})
    else:
        for node in page.events:
            print_event(console(), node, persons=persons, utc=settings.utc)
            if fields := matched(node, search.value):
                console().print(Text(f"    as its {clean(', '.join(fields))}", style="green"))
        if page.next is not None:
            tell("there are more: narrow the search, or give a larger --limit")
        if page.truncated:
            tell(f"cut short: {', '.join(page.truncated)}")
    if not page.events:
        tell("no event matches" + _hint(search))
        exit_with(NO)


def event_id(text: str, what: str = "event") -> bytes:
    """The 16 bytes of the id of an event or an execution; raises ``ConfigurationError``."""
    try:
        return ids.parse(text.strip())
    except ValueError:
        empty = "" if text.strip() else " (perhaps a variable of your shell is not set)"
        raise ConfigurationError(
            f"{text!r} is no {what} id: a UUID such as 018f4c1e-6a00-7cc3-98c4-dc0c0c07398f{empty}"
        ) from None
