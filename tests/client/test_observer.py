"""What is counted of requests, with client-go's names and labels."""

import anyio
import pytest

from pallet.api.core import NAMESPACES
from pallet.client import AnswerLost, Client
from pallet.framework.client_metrics import ClientMetrics
from pallet.framework.instruments import Instruments
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import FaultProxy, answer, cut

pytestmark = pytest.mark.anyio

NAMESPACE = {"metadata": {"name": "a"}}
HOST = "api.example:6443"


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture
def metrics(client: Client) -> ClientMetrics:
    client.observer = metrics = ClientMetrics(Instruments(), HOST)
    return metrics


def counted(metrics: ClientMetrics) -> dict[tuple[str, ...], float]:
    return {values: counter.value for values, counter in metrics.requests_total.rows()}


async def test_each_attempt_is_counted_by_its_status(
    server: FaultProxy, client: Client, metrics: ClientMetrics
) -> None:
    server.on("GET", "/api/v1/namespaces/a", answer(503), times=2)
    server.on("GET", "/api/v1/namespaces/a", answer(200, NAMESPACE))
    await client.get(NAMESPACES, "a")
    assert counted(metrics) == {("503", "GET", HOST): 2, ("200", "GET", HOST): 1}
    assert metrics.request_duration_seconds["GET", HOST].count == 3
    assert metrics.rate_limiter_duration_seconds["GET", HOST].count == 3


async def test_a_lost_answer_is_counted_as_an_error(
    server: FaultProxy, client: Client, metrics: ClientMetrics
) -> None:
    server.on("POST", "/api/v1/namespaces", cut)
    with pytest.raises(AnswerLost):
        await client.create(NAMESPACES, NAMESPACE)
    assert counted(metrics) == {("<error>", "POST", HOST): 1}


async def test_a_watch_is_counted_when_it_begins(
    server: FaultProxy, client: Client, metrics: ClientMetrics
) -> None:
    server.on("GET", "/api/v1/namespaces", answer(200, b""))
    async with client.stream("/api/v1/namespaces", query={"watch": "true"}, silence=1) as read:
        assert counted(metrics) == {("200", "GET", HOST): 1}
        await read()
    assert not metrics.request_duration_seconds


async def test_a_wait_for_the_rate_limit_is_counted(
    server: FaultProxy, client: Client, metrics: ClientMetrics
) -> None:
    server.on("GET", "/api/v1/namespaces/a", answer(200, NAMESPACE), times=2)
    async with client.with_limiter(0.01, 1) as slow:
        slow.observer = metrics
        await slow.get(NAMESPACES, "a")
        with anyio.move_on_after(1):
            await slow.get(NAMESPACES, "a")
    assert counted(metrics) == {("200", "GET", HOST): 1}
