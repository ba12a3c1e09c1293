"""``/v1/token-usage``: lifetime against task, and scopes granted against scopes used."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.access import Reader
from api.json_body import JsonBody
from api.parameters import AsOf, read_time
from api.problems import InvalidRequest, responses
from api.token_models import TokenUsage
from ledger.attribution.json_form import to_json
from ledger.store.token_usage import Span, token_usage
from ledger.wiring import CLOCK

router = APIRouter(prefix="/v1", tags=["tokens"])

DAY: Final = 86_400 * 1_000_000

Since = Annotated[str | None, Query(max_length=40, description="Issued at or after, RFC 3339; a day before `until`.")]
Until = Annotated[str | None, Query(max_length=40, description="Issued before, RFC 3339; `as_of`, or now.")]
By = Annotated[Literal["agent", "client", "grant"], Query(description="What the tokens are put together by.")]


@router.get(
    "/token-usage",
    response_model=TokenUsage,
    responses=responses(401, 403, 503),
    summary="How tokens lived against their task, and which scopes were used",
)
def usage(
    request: Request, caller: Reader, by: By = "agent", since: Since = None, until: Until = None, as_of: AsOf = None
) -> Response:
    """Over the tokens issued in a window, as far as it was looked at: `looked_until` is the `since` to go on with.

    An action states no scope: one counts as used where it is literally the operation of a use, or what an allowing decision was
    asked about. `not_stated` counts the uses that tell none.
    """
    time = read_time(as_of)
    now = CLOCK.now() if time is None else time
    last = read_time(until, "until")
    last = now if last is None else last
    first = read_time(since, "since")
    span = Span(last - DAY if first is None else first, last)
    if span.since >= span.until:
        raise InvalidRequest("since is not before until")
    state = request.app.state
    with state.store.connection() as connection:
        found = token_usage(connection, state.reading, caller.tenant, span, by=by, now=now, as_of=time)
    return JsonBody(to_json(found))
