"""Everything that is wrong, as one list on a real Postgres: every name appears, pages join up, and no look is unbounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from ledger.cli.doctor.check import Here, Store
from ledger.cli.doctor.findings import CHECKS
from ledger.format import ids
from ledger.format.event import Cause
from ledger.ports import EVENTS, Bounds
from ledger.schema_files import load_schemas
from ledger.settings import Settings
from ledger.store import cited, overview
from ledger.store.nodes import Reading
from ledger.store.observed import lost, overdue
from ledger.store.survey import NAMES, Asked, At, Page, place_of, survey
from ledger.store.wrong import Wrong
from ledger.trust.reasons import REASONS
from tests.services.forge import LEDGER, START, Forge, Trust, signer
from tests.services.stand import Stand
from tests.wrongs import MADE, SHOWN_BY, TENANT, cite, make_wrong

HOUR = 3600 * 1_000_000
READING = Reading(
    load_schemas(),
    LEDGER,
    lambda: Trust().key(signer("alpha")).key(signer("beta")).key(signer("plain"), kinds=["chain_open"]).bundle,
)


@pytest.fixture
def stand(url: str) -> Iterator[Stand]:
    trust = Trust().key(signer("alpha")).key(signer("beta"))
    with closing(Stand(url, trust.bundle)) as made:
        yield made


def look(url: str, limit: int = 500, *, after: At | None = None, reading: Reading = READING, **asked: Any) -> Page:
    with psycopg.connect(url, autocommit=True) as connection:
        given = Asked(TENANT, START + HOUR, whole=True, **asked)
        return survey(connection, reading, given, after=after, limit=limit)


def pages(url: str, limit: int, **asked: Any) -> list[Wrong]:
    found: list[Wrong] = []
    after: At | None = None
    for _ in range(1000):
        page = look(url, limit, after=after, **asked)
        assert len(page.found) <= limit
        found += page.found
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages do not end")


def test_there_is_a_record_for_every_name() -> None:
    assert SHOWN_BY.keys() | MADE.keys() == NAMES
    assert not SHOWN_BY.keys() & MADE.keys()
    # These take a head that somebody exported: `verify --against` tells them, no store can.
    assert REASONS.keys() - NAMES == {"truncated", "missing_chain", "other_seal"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_appears_in_the_survey_and_to_the_doctor(url: str, name: str) -> None:
    assert not pages(url, 10)
    ledger, bundle = make_wrong(url, name)
    reading = Reading(load_schemas(), ledger, lambda: bundle)
    found = look(url, name=name, reading=reading).found
    assert {each.name for each in found} == {name}
    assert {each.origin for each in found} == {"computed" if name in COMPUTED else "stored"}
    assert set(found) <= set(pages(url, 3, reading=reading)), "asked for by name, and among all"
    assert not look(url, name=name, origin="stored" if name in COMPUTED else "computed", reading=reading).found
    with psycopg.connect(url, autocommit=True) as connection:
        here = Here(settings=Settings(tenant=TENANT, ledger=ledger), clock=_At(), bundle=bundle)
        said = [each.detail for check in CHECKS for each in check(Store(here=here, connection=connection))]
    assert any(f": {name}" in each for each in said), said


COMPUTED = {
    "overdue",
    "dangling_cause",
    "cause_mismatch",
    "cause_cycle",
    "duplicate_event_id",
    "double_continuation",
    "non_canonical",
    "row_changed",
}


class _At:
    def now(self) -> int:
        return START + HOUR


def test_what_a_finding_says_leads_to_what_it_is_about(stand: Stand, url: str) -> None:
    forge = Forge()
    gone = forge.make()
    citing = forge.make(causes=[cite(gone, "informed_by")])
    stand.put(forge, forge.seal(citing), at=START + 7_000)
    (found,) = look(url, name="dangling_cause").found
    assert (found.event_id, found.digest) == (citing.event_id, citing.digest)
    assert (found.service, found.key_id, found.chain_id) == (forge.service, forge.signer.key_id, forge.chain_id)
    assert (found.number, found.opened_at) == (0, START + 7_000)
    assert found.detail == f"informed_by {ids.text(gone.event_id)}"
    (late,) = look(url, name="overdue").found
    assert (late.chain_id, late.number, late.opened_at) == (forge.chain_id, 1, START + 7_000 + 60 * 1_000_000)


def test_what_comes_later_ends_what_was_wrong(stand: Stand, url: str) -> None:
    forge = Forge()
    cause = forge.make()
    first = forge.seal(forge.make(causes=[cite(cause)]))
    stand.put(forge, first, at=START)
    assert [each.name for each in look(url, origin="computed").found] == ["overdue", "dangling_cause"]
    stand.put(forge, forge.seal(cause, forge.close()), at=START + HOUR)
    assert look(url, origin="computed").found == []
    then = look(url, origin="computed", as_of=START + HOUR - 1).found
    assert [each.name for each in then] == ["overdue", "dangling_cause"], "as of then it is still wrong"


def test_a_closed_finding_is_shown_where_closed_ones_are_asked_for(stand: Stand, url: str) -> None:
    forge = Forge(next_within=None)
    seals = [forge.seal(forge.make()) for _ in range(3)]
    stand.put(forge, seals[0], at=START)
    stand.put(forge, seals[2], at=START + 1)
    assert [(each.name, each.closed_at) for each in look(url).found] == [("gap", None)]
    assert look(url, state="closed").found == []
    stand.put(forge, seals[1], at=START + 2)
    assert look(url).found == []
    assert [(each.name, each.closed_at) for each in look(url, state="closed").found] == [("gap", START + 2)]
    assert [each.name for each in look(url, state="all").found] == ["gap"]
    assert [each.name for each in look(url, as_of=START + 1).found] == ["gap"]
    assert look(url, as_of=START).found == look(url, state="closed", as_of=START + 1).found == []


@pytest.fixture
def everything(stand: Stand, url: str) -> str:
    """A store with much wrong: 40 events of two chains under seals of one to five events, and refused records."""
    for name in ("alpha", "beta"):
        forge = Forge(name=name, service=name)
        for size in (1, 5, 2, 4, 5, 3):
            twin = forge.make()
            causes = [cite(forge.make()) for _ in range(3)] + [cite(twin, digest=bytes(32))]
            made = [forge.make(causes=causes) for _ in range(size)]
            stand.put(forge, forge.seal(twin, *made, forge.make(event_id=twin.event_id)), at=START + size)
        stand.put(forge, b"no batch" + name.encode())
        for head in (forge.head._replace(seal_number=9), forge.head._replace(seal_number=20)):
            stand.put(forge, forge.seal(forge.make(), head=head))
    return url


def test_pages_join_up_to_the_whole_whatever_their_size_and_the_bounds_of_a_look(
    everything: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pages(everything, 100_000)
    assert len(whole) == len(set(whole)) == 2 * (20 * 4 + 6 + 2 + 1 + 1)
    for limit in (3, 50):
        assert pages(everything, limit) == whole
    for bound in ("_EVENTS", "_SEALS", "_CHAINS"):
        monkeypatch.setattr(cited, bound, 1)
    assert pages(everything, 13) == whole


def test_a_page_that_ends_before_the_list_says_so_and_how_far_it_looked(
    everything: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(everything)
    assert (whole.next, whole.truncated) == (None, ())
    assert whole.looked == {
        "stored": 4, "refused": 2, "contradictions": 0, "chains": 2, "continuations": 2, "events": 70, "log": 0
    }  # fmt: skip
    monkeypatch.setattr(cited, "_EVENTS", 10)
    monkeypatch.setattr(cited, "_WINDOWS", 2)
    short = look(everything)
    assert short.truncated == ("scan",)
    assert short.next is not None
    assert short.looked["events"] < 70


def test_a_tenant_sees_nothing_of_another_and_looks_at_nothing_of_it(everything: str, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for tenant in ("other", "nobody"):
            page = survey(connection, READING, Asked(tenant, START + HOUR))
            assert (page.found, page.next) == ([], None)
            assert set(page.looked.values()) == {0}


def test_another_tenants_cause_dangles_like_one_that_never_was(stand: Stand, url: str) -> None:
    theirs, ours = Forge(name="beta", tenant="other"), Forge()
    foreign = theirs.make()
    stand.put(theirs, theirs.seal(foreign))
    stand.put(ours, ours.seal(ours.make(causes=[Cause(foreign.event_id, foreign.digest, "started_by")])))
    assert [each.name for each in look(url, origin="computed").found] == ["overdue", "dangling_cause"]
    with psycopg.connect(url, autocommit=True) as connection:
        assert overview.tenants(connection) == ["acme", "other"]
        other = survey(connection, READING, Asked("other", START))
    assert other.found == []


def test_causes_of_an_event_that_its_key_may_not_state_do_not_count(url: str) -> None:
    trust = Trust().key(signer("plain"), kinds=["chain_open"])
    forge = Forge(name="plain", next_within=None)
    with closing(Stand(url, trust.bundle)) as stand:
        stand.put(forge, forge.seal(forge.make(causes=[cite(forge.make())])))
    assert {each.name for each in look(url).found} == {"unauthorized_kind"}


def test_a_cycle_is_found_once_at_its_lowest_id_and_a_cause_of_another_digest_makes_none(
    stand: Stand, url: str
) -> None:
    forge = Forge()
    a, b, c, d, e = (forge.make() for _ in range(5))
    made = [
        forge.make(event_id=a.event_id, causes=[cite(b)]),
        forge.make(event_id=b.event_id, causes=[cite(c), cite(b)]),
        forge.make(event_id=c.event_id, causes=[cite(a)]),
        forge.make(event_id=d.event_id, causes=[cite(e, digest=bytes(32))]),
        forge.make(event_id=e.event_id, causes=[cite(d)]),
    ]
    for each in made:  # each under a seal of its own: a cycle spans windows
        stand.put(forge, forge.seal(each))
    assert [each.event_id for each in look(url, name="cause_cycle").found] == [a.event_id]
    itself = forge.make()
    stand.put(forge, forge.seal(forge.make(event_id=itself.event_id, causes=[cite(itself, digest=bytes(32))])))
    assert {each.event_id for each in look(url, name="cause_cycle").found} == {a.event_id, itself.event_id}


def test_a_walk_for_cycles_that_was_cut_is_told(stand: Stand, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forge = Forge()
    named = [forge.make() for _ in range(12)]
    links = [
        forge.make(event_id=each.event_id, causes=[cite(after)])
        for each, after in zip(named, [*named[1:], named[0]], strict=True)
    ]
    stand.put(forge, forge.seal(*links))
    assert look(url, name="cause_cycle").truncated == ()
    monkeypatch.setattr(cited, "WALK", 5)
    assert look(url, name="cause_cycle").truncated == ("cycles",)


def test_a_chain_that_another_continues_is_not_overdue(stand: Stand, url: str) -> None:
    first, second = Forge(), Forge()
    second.chain_id = bytes(16)
    stand.put(first, first.seal(first.make()))
    head = {"chain_id": first.chain_id, "key_id": first.signer.key_id, "next_sequence": 2, "last_seal": bytes(32)}
    stand.put(second, second.seal(second.open(continues=[head])))
    assert [each.chain_id for each in look(url, name="overdue").found] == [second.chain_id]
    with psycopg.connect(url, autocommit=True) as connection:
        one = overdue(connection, READING, TENANT, START + HOUR, chains=1)
        assert (one.found, one.looked) == ([], 1)
        assert one.next is not None


def test_a_new_key_continues_the_old_ones_chain_and_another_service_does_not(stand: Stand, url: str) -> None:
    first, rotated, stranger = Forge(), Forge(name="beta"), Forge(name="beta", service="other")
    stand.put(first, first.seal(first.make()))
    head = {
        "chain_id": first.chain_id, "key_id": first.signer.key_id, "next_sequence": 2, "last_seal_number": 0,
        "last_seal_digest": bytes(32),
    }  # fmt: skip
    stand.put(stranger, stranger.seal(stranger.open(continues=[head])))
    late = [each.chain_id for each in look(url, name="overdue").found]
    assert late == [first.chain_id, stranger.chain_id]
    stand.put(rotated, rotated.seal(rotated.open(continues=[head])))
    late = [each.chain_id for each in look(url, name="overdue").found]
    assert late == [stranger.chain_id, rotated.chain_id]


def test_what_the_log_dropped_unread_is_told_to_who_watches_and_unknown_is_not_none(url: str) -> None:
    gone = lost(EVENTS, {0: Bounds(10, 12), 1: Bounds(3, 9), 2: Bounds(0, 4)}, {0: 4, 1: 3})
    assert [(each.number, each.until) for each in gone] == [(4, 9)]
    assert look(url, lost=gone).found == gone
    assert look(url, lost=None).truncated == ("log",)
    with psycopg.connect(url, autocommit=True) as connection:
        assert survey(connection, READING, Asked(TENANT, START, lost=gone)).found == []


def test_without_a_trust_bundle_what_is_stored_is_told_and_nothing_is_computed(url: str) -> None:
    make_wrong(url, "gap")
    blind = look(url, reading=Reading(load_schemas(), LEDGER, lambda: None))
    assert {each.name for each in blind.found} == {"gap"}
    assert set(blind.truncated) == {"trust"}


@pytest.mark.parametrize(
    "text", ["nothing.0", "stored", "stored.-1", f"stored.{1 << 63}", "stored.x", "events.0", "events.1.1.1.1.-1"]
)
def test_a_place_where_no_page_ends_is_refused(text: str) -> None:
    source, *numbers = text.split(".")
    with pytest.raises(ValueError, match=r"no place|invalid literal"):
        place_of(source, numbers)


def test_a_place_is_read_as_it_was_written() -> None:
    assert place_of("events", ["3", "0", "1", str((1 << 63) - 1), "0"]) == At("events", (3, 0, 1, (1 << 63) - 1, 0))


def test_no_look_reads_more_rows_than_its_bound(stand: Stand, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a store of which a page is a small part, no step of any plan touches more than some times the page."""
    for number in range(6):
        forge = Forge(service=f"agent-{number}")
        for _ in range(10):
            stand.put(forge, forge.seal(*(forge.make(causes=[cite(forge.make())]) for _ in range(100))))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")
    monkeypatch.setattr(cited, "_EVENTS", 100)
    monkeypatch.setattr(cited, "SCAN", 100)
    plans = _Plans(url)
    with psycopg.connect(url, autocommit=True) as connection:
        page = cited.suspects(plans.watching(connection), READING, TENANT, room=1000, scan=100)
    assert 100 <= page.looked < 300
    assert 100 <= plans.most < 1500, "of 6,060 events"


class _Plans:
    """Explains every statement that passes, and remembers the most rows that a step of it touched."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.most = 0.0

    def watching(self, connection: psycopg.Connection) -> Any:
        explain = self._explain

        class Watched:
            def execute(self, query: bytes, given: Any = None, **more: Any) -> Any:
                explain(connection, query, given)
                return connection.execute(query, given, **more)

        return Watched()

    def _explain(self, connection: psycopg.Connection, query: bytes, given: Any) -> None:
        ((plan,),) = connection.execute(b"explain (analyze, format json) " + query, given).fetchall()
        told = plan if isinstance(plan, list) else json.loads(plan)
        self._walk(told[0]["Plan"])

    def _walk(self, step: dict[str, Any]) -> None:
        removed = step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Index Recheck", 0)
        self.most = max(self.most, (step["Actual Rows"] + removed) * step["Actual Loops"])
        for each in step.get("Plans", ()):
            self._walk(each)


def test_the_lists_of_one_tenant_do_not_walk_over_anothers(stand: Stand, url: str) -> None:
    forge = Forge(name="beta", tenant="other", next_within=None)
    stand.put(forge, forge.seal(forge.make()))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into findings (name, tenant, chain, number, until, opened_at)"
            " select 'gap', (select tenant from chains), 1, n, n, 0 from generate_series(1, 50000) n"
        )
        connection.execute("update rejected set tenant = 'other'")
        connection.execute("analyze")
        plans = _Plans(url)
        page = survey(plans.watching(connection), READING, Asked(TENANT, START, whole=True))
        assert (page.found, page.next) == ([], None)
        assert plans.most < 50
        assert len(survey(connection, READING, Asked("other", START), limit=5000).found) == 5000


def test_overdue_chains_are_counted_over_all_tenants_and_pages(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.store.observed.CHAINS", 2)
    for number in range(5):
        forge = Forge(service=f"agent-{number}")
        stand.put(forge, forge.seal(forge.make()))
    other, closed = Forge(tenant="other"), Forge(service="closed")
    stand.put(other, other.seal(other.make()))
    stand.put(closed, closed.seal(closed.close()))
    assert stand.projection.count_overdue(START) == 0
    assert stand.projection.count_overdue(START + HOUR) == 6
