"""Events as lines for a person on a terminal: what, by which agent and for whom, and what each comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from ledger.attribution.answer import Link
from ledger.attribution.graph import in_order
from ledger.attribution.index import Index
from ledger.attribution.links import Links, Missing
from ledger.attribution.path import summary
from ledger.attribution.subgraph import KnownPerson, Node, Subgraph
from ledger.attribution.walk import is_idle, led_on
from ledger.cli.link_text import link_line, without_echoes
from ledger.cli.output import clean, show_time
from ledger.format import ids
from ledger.format.event import Cause


def print_events(out: Console, found: Subgraph, *, utc: bool) -> None:
    """An event after the other in order of time, each with what it comes from: causes that it cites, and joins."""
    links = Links(Index(found))
    led = led_on(links)
    nodes = in_order(found.nodes)
    leading = [[edge.link for edge in links.out.get(node.ref, ()) if not is_idle(links, edge, led)] for node in nodes]
    for node, shown in zip(nodes, without_echoes(leading), strict=True):
        missing = links.missing.get(node.ref, ())
        asked = node.event_id == found.asked
        print_event(out, node, persons=found.persons, utc=utc, asked=asked, links=shown, missing=missing)
    if found.cut:
        out.print(Text(f"CUT SHORT at {found.limits.nodes} events: ask with a larger --nodes", style="bold yellow"))


def print_event(
    out: Console,
    node: Node,
    *,
    persons: Mapping[bytes, KnownPerson] | None = None,
    utc: bool,
    asked: bool = False,
    links: Iterable[Link] = (),
    missing: Iterable[Missing] = (),
) -> None:
    """An event, which agent it was by and for whom, the causes that it cites, and of ``links`` those that are joins. Of causes
    that ``links`` and ``missing`` say nothing of, that they were cited."""
    out.print(
        Text.assemble(
            (f"{show_time(node.at, utc=utc)}  ", "dim"),
            (node.kind, "bold reverse" if asked else "bold"),
            f"  {clean(summary(node))}  ",
            (clean(node.service + (", imported" if node.importer else "")), "cyan"),
        )
    )
    by = f"  by {clean(node.header.agent_id)}" if node.header.agent_id is not None else ""
    out.print(Text(f"    {ids.text(node.event_id)}{by}{_for_whom(node, persons or {})}", style="dim"))
    held = list(links)
    known = {(link.cause, link.relation): link for link in held if link.join is None}
    gone = {each.cause: each.why for each in missing}
    for cause in node.header.causes:
        link = known.get((cause.event_id, cause.relation))
        out.print(_cause(cause, gone.get(cause)) if link is None else link_line(link))
    for link in held:
        if link.join is not None:
            out.print(link_line(link))
    for finding in node.findings:
        out.print(Text(f"    ! {clean(finding)}", style="bold red"))


def _cause(cause: Cause, why: str | None) -> Text:
    said = f"    ← {clean(cause.relation)} {ids.text(cause.event_id)}"
    if why is not None:
        return Text(f"{said}  not there: {why}", style="bold yellow")
    return Text(f"{said}  {'sealed' if cause.digest is not None else 'asserted'}", style="dim")


def _for_whom(node: Node, persons: Mapping[bytes, KnownPerson]) -> str:
    """On whose behalf an event says that it was; nothing where it does not."""
    if node.header.principal is None:
        return ""
    known = persons.get(node.header.principal)
    if known is None or known.person is None:
        return (
            f" for {'an erased person' if known is not None and known.state != 'unresolved' else 'somebody unresolved'}"
        )
    return f" for {clean(known.person.name or known.person.subject)}"
