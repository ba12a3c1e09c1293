"""The HTTP application: one for a store, its tokens and its trust bundle, with nothing global."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from fastapi import APIRouter, Depends, FastAPI

from api import health
from api.access import Tokens
from api.door import Door
from api.faults import Bundle
from api.metrics import Measured, Metrics
from api.openapi import serve_document
from api.parameters import only_known
from api.problems import install
from api.pulse import Pulse, Tempo
from api.routes import answers, coverage, events, questions, records, replays, token_usage, tokens
from api.store import SIZE, WAIT_SECONDS, Store
from api.turns import Turns
from ledger.attribution.house import NO_RULES, HouseRules
from ledger.graphviz import draw_svg
from ledger.ports import Log
from ledger.schema_files import load_schemas
from ledger.store.lineage import PostgresLineage
from ledger.store.nodes import Reading
from ledger.trust.bundle import TrustBundle
from ledger.wiring import CLOCK

DESCRIPTION: Final = (
    "Who triggered this? Reads a ledger of signed events. Ids are UUIDs, digests lower-case hex, times RFC 3339. "
    "Every list goes on by the cursor in `next`; every failure is a problem (RFC 9457)."
)
QUESTIONS: Final[Sequence[APIRouter]] = (
    answers.router,
    coverage.router,
    events.router,
    questions.router,
    replays.router,
    records.router,
    tokens.router,
    token_usage.router,
)
ROUTERS: Final[Sequence[APIRouter]] = (health.router, *QUESTIONS)


def create_app(
    *,
    store: Store,
    ledger: str,
    tokens: Tokens,
    bundle: Callable[[], TrustBundle | None],
    open_log: Callable[[], Log] | None = None,
    draw: Callable[[str], bytes] = draw_svg,
    tempo: Tempo | None = None,
    house: HouseRules = NO_RULES,
) -> FastAPI:
    """The application. ``bundle`` is asked for the current trust bundle and raises where it cannot be read, ``open_log`` for
    the log whose lag is told. ``draw`` makes an SVG of DOT; ``house`` are the house rules.
    """
    watched = Bundle(bundle)
    pulse = Pulse(store, watched, house, open_log, tempo or Tempo())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        store.open()
        pulse.start()
        yield
        pulse.stop()
        store.close()

    app = FastAPI(
        title="Answerable",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,  # serve_document does
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.store, app.state.ledger, app.state.tokens = store, ledger, tokens
    app.state.reading = Reading(load_schemas(), ledger, lambda: watched.look()[0])
    app.state.lineage = PostgresLineage(store.connection, app.state.reading, CLOCK.now)
    app.state.draw = draw
    app.state.house = house
    app.state.bundle, app.state.pulse, app.state.metrics = watched, pulse, Metrics(lambda: pulse.sample)
    install(app)
    app.include_router(health.router)  # a probe is answered, whatever it appends
    for router in QUESTIONS:
        app.include_router(router, dependencies=[Depends(only_known)])
    app.add_middleware(Turns, at_once=store.at_once, most=SIZE, wait=WAIT_SECONDS)
    app.add_middleware(Measured, metrics=app.state.metrics)
    app.add_middleware(Door, local=not tokens.required)
    serve_document(app)
    return app
