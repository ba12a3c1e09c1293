"""What ``answerable verify`` shows: the report and the comparison of the store, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from ledger.cli.output import clean, console, show_time
from ledger.format import ids
from ledger.format.limits import SECOND
from ledger.verification import Fault, Group, NamedEvent, Report
from ledger.wording import counted

if TYPE_CHECKING:
    from ledger.store.compare import Compared

_HEADINGS: Final[Mapping[Group, str]] = {
    "integrity": "integrity: what is there, and is not as it was signed",
    "completeness": "completeness: what is missing",
    "note": "notes: times that prove nothing by themselves",
}


def plain(report: Report) -> dict[str, Any]:
    """The report for programs."""
    return {
        "holds": report.holds,
        "records": report.records,
        "chains": len(report.chains),
        "events": report.events,
        "at": report.at,
        "counts": dict(sorted(report.counts.items())),
        **{group: [_fault(fault) for fault in report.of(group)] for group in ("integrity", "completeness")},
        "notes": [_fault(fault) for fault in report.of("note")],
        "unknown": [each._asdict() for each in report.unknown],
    }


def plain_store(compared: Compared | None) -> dict[str, Any] | None:
    """What a comparison says, for programs; null where none was asked for."""
    if compared is None:
        return None
    found = compared.difference
    return {"rows": dict(compared.rows), "difference": None if found is None else found._asdict()}


def print_store(compared: Compared | None) -> None:
    """What a comparison says, for people; nothing where none was asked for."""
    if compared is None:
        return
    found, same = compared.difference, sum(compared.rows.values())
    if found is None:
        console().print(f"the store is what the log says: {same} rows compared", markup=False)
        return
    key = ", ".join(f"{name} {value}" for name, value in found.key.items())
    where = f" in {', '.join(found.columns)}" if found.columns else ""
    said = {"changed": f"was changed{where}", "deleted": "is missing", "added": "is not from the log"}[found.how]
    text = f"the store is not what the log says: after {same} rows that are, a row of {found.table} {said}: {key}"
    console().print(Text(clean(text), style="bold red"))


def _fault(fault: Fault) -> dict[str, Any]:
    chain = fault.chain
    return {
        "name": fault.name,
        "detail": fault.detail,
        "partition": fault.partition,
        "offset": fault.offset,
        "append_time": fault.append_time,
        "tenant": chain.tenant if chain is not None else None,
        "service": chain.service if chain is not None else None,
        "key_id": chain.key_id if chain is not None else None,
        "chain": fault.chain_id.hex() if fault.chain_id is not None else None,
        "seal": fault.seal,
        "until": fault.until,
        "first": fault.first,
        "last": fault.last,
        "inferred": fault.inferred,
        "events": [{"event_id": _id(event), "digest": event.digest.hex()} for event in fault.events],
    }


def _id(event: NamedEvent) -> str | None:
    return ids.text(event.event_id) if event.event_id is not None else None


def print_report(report: Report, *, now: int, utc: bool) -> None:
    """The report for people; ``now``: what has become overdue by then is said, and judged by nobody but ``--at``."""
    out = console()
    for group, heading in _HEADINGS.items():
        faults = report.of(group)
        if not faults and group == "note":
            continue
        style = "yellow" if group == "note" else "bold red"
        out.print(Text(heading, style="bold"))
        for fault in faults:
            out.print(Text(clean(f"  {_line(fault)}"), style=style))
        for name, more in _unlisted(report, faults):
            out.print(Text(f"  {name}: {more} more", style=style))
        if not faults:
            out.print(Text("  nothing wrong" if group == "integrity" else "  nothing missing, as far as the log shows"))
    out.print(Text("what this cannot know", style="bold"))
    for each in report.unknown:
        number = f"{each.number} " if each.number is not None else ""
        out.print(Text(clean(f"  {number}{each.detail}"), style="dim"))
    verdict = (
        "every chain verifies" if report.holds else counted(report.faults_of("integrity", "completeness"), "fault")
    )
    held = {"record": report.records, "chain": len(report.chains), "event": report.events}
    whole = ", ".join(counted(number, one) for one, number in held.items())
    out.print(
        clean(f"{verdict}: {whole} verified, as of {show_time(report.at, utc=utc)}{_since(report, now)}"), markup=False
    )


def _since(report: Report, now: int) -> str:
    """What judging as of now would find beside: a log that nobody wrote to any more is judged as of its last record."""
    more = report.overdue(now) - report.overdue(report.at)
    if more <= 0:
        return ""
    text = datetime.fromtimestamp(now // SECOND, tz=UTC).isoformat().replace("+00:00", "Z")
    return f"; {more} open chain{'s are' if more > 1 else ' is'} overdue by now (--at {text})"


def _unlisted(report: Report, faults: Sequence[Fault]) -> Iterator[tuple[str, int]]:
    for name in dict.fromkeys(fault.name for fault in faults):
        more = report.counts[name] - sum(fault.name == name for fault in faults)
        if more:
            yield name, more


def _line(fault: Fault) -> str:
    where = [f"record {fault.partition}/{fault.offset}"] if fault.partition is not None else []
    if fault.chain_id is not None:
        of = f" of {fault.chain.service}" if fault.chain is not None else ""
        where.append(f"chain {fault.chain_id.hex()}{of}")
    if fault.seal is not None:
        until = f" to {fault.until}" if fault.until not in (None, fault.seal) else ""
        where.append(f"{'it may be ' if fault.inferred else ''}seal {fault.seal}{until}")
    if fault.first is not None:
        where.append(f"sequence {fault.first} to {'the end' if fault.last is None else fault.last}")
    if fault.events:
        where.append(f"event {', '.join(_id(event) or event.digest.hex() for event in fault.events)}")
    return f"{fault.name}: {', '.join(where)}: {fault.detail}"
