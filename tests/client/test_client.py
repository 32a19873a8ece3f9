"""The client against a scripted server, in virtual time: what is tried again, when, and what is raised."""

import gc
from weakref import ref

import anyio
import pytest

from pallet.api.core import LEASES, NAMESPACES, Lease, LeaseSpec
from pallet.api.meta import ObjectMeta
from pallet.api.pod import PODS
from pallet.client import AnswerLost, ApiError, Client, Unreachable
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import FaultProxy, answer, cut, freeze

pytestmark = pytest.mark.anyio

NAMESPACE = {"metadata": {"name": "a"}}
PATH = "/api/v1/namespaces/a"


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_passing_refusal_of_a_read_is_tried_again(
    server: FaultProxy, client: Client, status: int
) -> None:
    server.on("GET", PATH, answer(status), times=3)
    server.on("GET", PATH, answer(200, NAMESPACE))
    assert (await client.get(NAMESPACES, "a")).metadata.name == "a"
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "refusal",
    [
        answer(429, headers={"Retry-After": "7"}),
        answer(503, headers={"Retry-After": "7"}),
        answer(500, {"code": 500, "details": {"retryAfterSeconds": 7}}),
    ],
    ids=["429", "503", "details"],
)
async def test_the_server_says_when_to_come_back(server: FaultProxy, client: Client, refusal: object) -> None:
    server.on("POST", "/namespaces", refusal)  # type: ignore[arg-type]  # a parameter of a table
    server.on("POST", "/namespaces", answer(201, NAMESPACE))
    start = anyio.current_time()
    await client.create(NAMESPACES, NAMESPACE)
    assert 7.0 <= anyio.current_time() - start < 8.0


async def test_a_refused_read_is_given_up_after_some_tries(server: FaultProxy, client: Client) -> None:
    server.on("GET", PATH, answer(503), times=100)
    with pytest.raises(ApiError) as caught:
        await client.get(NAMESPACES, "a")
    assert caught.value.code == 503
    assert len(server.requests) == 8


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422])
async def test_a_lasting_refusal_is_raised_at_once(server: FaultProxy, client: Client, status: int) -> None:
    server.on("GET", PATH, answer(status), times=100)
    with pytest.raises(ApiError):
        await client.get(NAMESPACES, "a")
    assert len(server.requests) == 1


async def test_a_refusal_is_freed_without_the_garbage_collector(server: FaultProxy, client: Client) -> None:
    server.on("POST", "/namespaces", answer(409, {"kind": "Status", "reason": "Conflict"}))
    gc.disable()
    try:
        gone = await refused(client)
        assert gone() is None
    finally:
        gc.enable()


async def refused(client: Client) -> ref[ApiError]:
    """Have a write refused."""
    try:
        await client.create(NAMESPACES, NAMESPACE)
    except ApiError as refusal:
        return ref(refusal)
    raise AssertionError("it was not refused")


async def test_a_version_from_the_future_is_raised_at_once(server: FaultProxy, client: Client) -> None:
    body = {"code": 504, "message": "Too large resource version", "details": {"retryAfterSeconds": 1}}
    server.on("GET", PATH, answer(504, body), times=100)
    with pytest.raises(ApiError) as caught:
        await client.get(NAMESPACES, "a")
    assert caught.value.too_large_resource_version
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [cut, freeze], ids=["cut", "frozen"])
async def test_a_lost_answer_to_a_read_is_asked_for_again(
    server: FaultProxy, client: Client, fault: object
) -> None:
    server.on("GET", PATH, fault, times=2)  # type: ignore[arg-type]  # a parameter of a table
    server.on("GET", PATH, answer(200, NAMESPACE))
    assert (await client.get(NAMESPACES, "a")).metadata.name == "a"


@pytest.mark.parametrize(
    "fault", [cut, freeze, answer(500), answer(504)], ids=["cut", "frozen", "500", "504"]
)
async def test_a_write_whose_outcome_is_unknown_is_not_repeated(
    server: FaultProxy, client: Client, fault: object
) -> None:
    server.on("POST", "/binding", fault, times=100)  # type: ignore[arg-type]  # a parameter of a table
    with pytest.raises(AnswerLost, match="create pods/binding x/a"):
        await client.create_binding("x", "a", "uid-1", "node-1")
    assert len(server.requests) == 1


async def test_a_safe_write_is_repeated(server: FaultProxy, client: Client) -> None:
    server.on("PATCH", "/pods/a/status", cut)
    server.on("PATCH", "/pods/a/status", answer(200, {"metadata": {"name": "a"}}))
    await client.patch(PODS, "a", "x", {"status": {}}, subresource="status", safe=True)
    assert len(server.requests) == 2


async def test_of_an_amended_object_only_the_success_is_read(server: FaultProxy, client: Client) -> None:
    server.on("PATCH", "/pods/a/status", answer(200, {"kind": "Pod", "metadata": "of no pod"}), times=2)
    await client.amend(PODS, "a", "x", {"status": {}}, subresource="status")
    with pytest.raises(AnswerLost):
        await client.patch(PODS, "a", "x", {"status": {}}, subresource="status")


async def test_no_connection_names_the_address_and_what_to_check() -> None:
    async with FaultProxy.start() as gone:
        address = gone.url
    async with Client.connect(master=address) as client:
        with pytest.raises(Unreachable, match=f"{address}.*--master"):
            await client.create_binding("x", "a", "uid-1", "node-1")


async def test_no_write_starts_behind_the_fence(server: FaultProxy, client: Client) -> None:
    client.fence = lambda: 0.0
    with pytest.raises(Unreachable, match="leads no longer"):
        await client.create_binding("x", "a", "uid-1", "node-1")
    assert server.requests == []
    server.on("GET", PATH, answer(200, NAMESPACE))
    await client.get(NAMESPACES, "a")


async def test_no_write_outlasts_the_fence(server: FaultProxy, client: Client) -> None:
    client.fence = lambda: 2.0
    server.on("POST", "/binding", freeze)
    start = anyio.current_time()
    with pytest.raises(AnswerLost):
        await client.create_binding("x", "a", "uid-1", "node-1")
    assert anyio.current_time() - start == pytest.approx(2.0, abs=0.1)


async def test_a_struct_is_sent_with_its_kind(server: FaultProxy, client: Client) -> None:
    sent: list[bytes] = []

    async def keep(exchange: object) -> object:
        sent.append(exchange.body)  # type: ignore[attr-defined]
        return await answer(201, exchange.body)(exchange)  # type: ignore[attr-defined, arg-type]

    server.on("POST", "/leases", keep)  # type: ignore[arg-type]
    lease = Lease(ObjectMeta(name="l", namespace="x"), LeaseSpec(holder_identity="me"))
    assert await client.create(LEASES, lease, "x") == lease
    assert sent[0].startswith(b'{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l"')


async def test_the_rate_limit_spreads_requests(server: FaultProxy) -> None:
    server.on("GET", PATH, answer(200, NAMESPACE), times=100)
    async with Client.connect(master=server.url, qps=10.0, burst=5) as client:
        start = anyio.current_time()
        for _ in range(25):
            await client.get(NAMESPACES, "a")
        assert anyio.current_time() - start == pytest.approx(2.0, abs=0.1)


async def test_a_client_with_its_own_limiter_does_not_wait_for_the_other(server: FaultProxy) -> None:
    server.on("GET", PATH, answer(200, NAMESPACE), times=100)
    async with (
        Client.connect(master=server.url, qps=0.001, burst=1) as client,
        client.with_limiter(5.0, 10) as renewals,
    ):
        await client.get(NAMESPACES, "a")
        start = anyio.current_time()
        await renewals.get(NAMESPACES, "a")
        assert anyio.current_time() == start


async def test_a_list_is_put_together_from_its_pages(server: FaultProxy, client: Client) -> None:
    pages = [("one", "next"), ("two", "next 2"), ("three", "")]
    for name, continue_ in pages:
        page = {
            "metadata": {"continue": continue_, "resourceVersion": "7"},
            "items": [{"metadata": {"name": name}}],
        }
        server.on("GET", "/namespaces", answer(200, page))
    found = await client.list(NAMESPACES, label_selector="a=b")
    assert [namespace.metadata.name for namespace in found.items] == ["one", "two", "three"]
    assert found.metadata.resource_version == "7"
    assert server.requests == [
        "GET /api/v1/namespaces?limit=500&labelSelector=a%3Db",
        "GET /api/v1/namespaces?limit=500&labelSelector=a%3Db&continue=next",
        "GET /api/v1/namespaces?limit=500&labelSelector=a%3Db&continue=next+2",
    ]
