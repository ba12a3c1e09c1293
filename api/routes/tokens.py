"""``/v1/tokens`` and ``/v1/grants``: where a right came from, what came of it, what was done with it, and how it ended."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from api.access import Reader
from api.cursors import BAD_CURSOR, bounded, read_cursor, write_cursor
from api.json_body import JsonBody
from api.parameters import PAGE, TEXT_MOST, AsOf, Cursor, Limit, read_text, read_time
from api.problems import InvalidRequest, responses
from api.token_models import TokenLineage
from ledger.attribution.json_form import to_json
from ledger.attribution.tokens.values import Asked
from ledger.store.token_lineage import START, token_lineage
from ledger.wiring import CLOCK

router = APIRouter(prefix="/v1", tags=["tokens"])

_TOKENS: Final = b"/v1/tokens/"

IssuerPath = Annotated[
    str, Path(description="The `iss`, percent-encoded.", max_length=TEXT_MOST, examples=["https://login.example"])
]
JtiPath = Annotated[str, Path(description="The `jti`, percent-encoded.", max_length=TEXT_MOST)]
GrantPath = Annotated[str, Path(description="The grant's id, as its keeper gave it.", max_length=TEXT_MOST)]
Digest = Annotated[str, Path(description="SHA-256 of the token, hex.", pattern=r"^[0-9a-fA-F]{64}$")]
OnlyAfter = Annotated[
    bool,
    Query(description="Only what came after the revocation, beyond the tolerance of clocks, by the time in the ids."),
]
PROBLEMS: Final = responses(401, 403, 404, 503)


@router.get(
    "/tokens/{digest}", response_model=TokenLineage, responses=PROBLEMS, summary="The lineage of a token without jti"
)
def token_by_digest(
    request: Request,
    caller: Reader,
    digest: Digest,
    after_revocation: OnlyAfter = False,
    as_of: AsOf = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """The same as by issuer and jti, of a token that is known by its SHA-256 alone."""
    asked = Asked(digest=bytes.fromhex(digest))
    return _answer(request, caller, asked, after_revocation, as_of, limit, cursor)


@router.get(
    "/tokens/{issuer:anything}/{jti}", response_model=TokenLineage, responses=PROBLEMS, summary="The lineage of a token"
)
def token(
    request: Request,
    caller: Reader,
    issuer: IssuerPath,
    jti: JtiPath,
    after_revocation: OnlyAfter = False,
    as_of: AsOf = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """What it was obtained with, up to the grant; what was obtained with it and done with any of that, page by page; its ends.

    Only the page is decoded and verified: `counted` is by ids. An issuer whose slashes were decoded on the way is understood too:
    then what follows the last slash is the jti.
    """
    named = _as_sent(request) or (issuer, jti)
    asked = Asked(read_text(named[0], "issuer"), read_text(named[1], "jti"))
    return _answer(request, caller, asked, after_revocation, as_of, limit, cursor)


@router.get(
    "/grants/{grant_id:anything}", response_model=TokenLineage, responses=PROBLEMS, summary="The timeline of a grant"
)
def grant(
    request: Request,
    caller: Reader,
    grant_id: GrantPath,
    after_revocation: OnlyAfter = False,
    as_of: AsOf = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Given, changed, issued, exchanged, refreshed, used, revoked, withdrawn, in order of id, which begins with the time."""
    asked = Asked(grant_id=read_text(grant_id, "grant id"))
    return _answer(request, caller, asked, after_revocation, as_of, limit, cursor)


def _as_sent(request: Request) -> tuple[str, str] | None:
    """Issuer and jti as they were encoded: a slash inside either is told from the one between them."""
    path: bytes = request.scope.get("raw_path") or b""
    parts = path.partition(b"?")[0].removeprefix(_TOKENS).split(b"/")
    if not path.startswith(_TOKENS) or len(parts) != 2:
        return None
    try:
        issuer, jti = (unquote(part.decode("ascii"), errors="strict") for part in parts)
    except UnicodeDecodeError:
        raise InvalidRequest("issuer and jti are percent-encoded UTF-8") from None
    return issuer, jti


def _answer(
    request: Request, caller: Reader, asked: Asked, only_after: bool, as_of: str | None, limit: int, cursor: str | None
) -> Response:
    time = read_time(as_of)
    scope = ("tokens", caller.tenant, *asked.names, only_after, as_of)
    now = CLOCK.now() if time is None else time
    after = None
    if cursor is not None:
        after, now = _read_place(scope, cursor)
    state = request.app.state
    with state.store.connection() as connection:
        page = token_lineage(
            connection,
            state.reading,
            caller.tenant,
            asked,
            now=now,
            after=after,
            limit=limit,
            only_after=only_after,
            as_of=time,
        )
    more = None if page.next is None else write_cursor(scope, [page.next.hex(), now])
    return JsonBody({**to_json(page.lineage), "next": more})


def _read_place(scope: tuple[object, ...], cursor: str) -> tuple[bytes, int]:
    """After which id, and the time at which all pages say what has ended."""
    place, now = read_cursor(scope, cursor, [str, int])
    try:
        after = bytes.fromhex(str(place))
    except ValueError:
        raise InvalidRequest(BAD_CURSOR) from None
    if len(after) != len(START):
        raise InvalidRequest(BAD_CURSOR)
    return after, bounded(int(now))
