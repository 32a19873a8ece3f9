"""Who is let in: the API server is asked, its answers are kept for a while, its refusals are explained."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import anyio
import pytest
from aiohttp.web import StreamResponse

from pallet.client import Client
from pallet.server.access import MAX_REVIEWS, Access, AccessError
from tools.faults.proxy import Exchange, FaultProxy, answer

pytestmark = pytest.mark.anyio

VALID = {"status": {"authenticated": True, "user": {"username": "prometheus", "groups": ["monitoring"]}}}
INVALID = {"status": {"authenticated": False, "error": "token expired"}}
ALLOWED = {"status": {"allowed": True}}
DENIED = {"status": {"allowed": False, "reason": "no rule matches"}}
TOKEN_REVIEWS = "/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS = "/subjectaccessreviews"


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api() -> AsyncIterator[FaultProxy]:
    async with FaultProxy.start() as proxy:
        yield proxy


@pytest.fixture
async def access(api: FaultProxy, clock: Clock) -> AsyncIterator[Access]:
    async with Client.connect(master=api.url) as client:
        yield Access(client, clock)


def answers(api: FaultProxy, identity: dict[str, Any], verdict: dict[str, Any]) -> None:
    api.on("POST", TOKEN_REVIEWS, answer(201, identity), times=10)
    api.on("POST", ACCESS_REVIEWS, answer(201, verdict), times=10)


async def refusal(access: Access, authorization: str = "Bearer t") -> AccessError:
    with pytest.raises(AccessError) as caught:
        await access.admit(authorization, "get", "/metrics")
    return caught.value


async def test_a_user_with_the_right_is_let_in(api: FaultProxy, access: Access) -> None:
    answers(api, VALID, ALLOWED)
    await access.admit("Bearer t", "get", "/metrics")
    assert len(api.requests) == 2


async def test_answers_are_kept_for_ten_seconds(api: FaultProxy, access: Access, clock: Clock) -> None:
    answers(api, VALID, ALLOWED)
    for clock.now in (0.0, 9.9):
        await access.admit("Bearer t", "get", "/metrics")
    assert len(api.requests) == 2
    clock.now = 10.0
    await access.admit("Bearer t", "get", "/metrics")
    assert len(api.requests) == 4


async def test_another_path_or_token_is_asked_for_again(api: FaultProxy, access: Access) -> None:
    answers(api, VALID, ALLOWED)
    await access.admit("Bearer t", "get", "/metrics")
    await access.admit("Bearer t", "get", "/configz")
    assert len(api.requests) == 3
    await access.admit("Bearer other", "get", "/metrics")
    assert len(api.requests) == 5


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer  ", "Basic dTpw"])
async def test_no_token_is_unauthorized_without_asking(
    api: FaultProxy, access: Access, authorization: str
) -> None:
    error = await refusal(access, authorization)
    assert (error.status, error.message) == (
        HTTPStatus.UNAUTHORIZED,
        "/metrics needs a bearer token of the cluster",
    )
    assert not api.requests


async def test_an_unknown_token_is_unauthorized(api: FaultProxy, access: Access) -> None:
    answers(api, INVALID, ALLOWED)
    error = await refusal(access)
    assert (error.status, error.message) == (
        HTTPStatus.UNAUTHORIZED,
        "the bearer token is not valid: token expired",
    )


async def test_a_user_without_the_right_is_forbidden(api: FaultProxy, access: Access) -> None:
    answers(api, VALID, DENIED)
    error = await refusal(access)
    assert (error.status, error.message) == (
        HTTPStatus.FORBIDDEN,
        'forbidden: User "prometheus" cannot get path "/metrics": no rule matches',
    )


async def test_a_failure_is_not_kept(api: FaultProxy, access: Access) -> None:
    api.on("POST", TOKEN_REVIEWS, answer(422, {"message": "try again"}))
    assert (await refusal(access)).status == HTTPStatus.INTERNAL_SERVER_ERROR
    answers(api, VALID, ALLOWED)
    await access.admit("Bearer t", "get", "/metrics")


async def test_an_api_server_that_is_away_is_named() -> None:
    async with Client.connect(master="http://127.0.0.1:1") as client:
        error = await refusal(Access(client))
    assert error.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert error.message.startswith("cannot tell who may get /metrics: no ")


async def test_only_so_many_callers_are_reviewed_at_once(api: FaultProxy, access: Access) -> None:
    """Made-up tokens, each with a review of its own."""
    held = anyio.Event()

    async def hold(exchange: Exchange) -> StreamResponse:
        await held.wait()
        return await answer(201, INVALID)(exchange)

    api.on("POST", TOKEN_REVIEWS, hold, times=MAX_REVIEWS)
    statuses: list[HTTPStatus] = []

    async def come(number: int) -> None:
        statuses.append((await refusal(access, f"Bearer {number}")).status)

    async with anyio.create_task_group() as tasks:
        for number in range(MAX_REVIEWS + 5):
            tasks.start_soon(come, number)
        await api.wait_for(TOKEN_REVIEWS, MAX_REVIEWS)
        assert statuses == [HTTPStatus.SERVICE_UNAVAILABLE] * 5
        held.set()
    assert statuses[5:] == [HTTPStatus.UNAUTHORIZED] * MAX_REVIEWS
    answers(api, VALID, ALLOWED)
    await access.admit("Bearer t", "get", "/metrics")
