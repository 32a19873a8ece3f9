"""What an informer tells its handlers, without a server."""

from collections.abc import AsyncIterator
from itertools import count

import anyio
import anyio.lowlevel
import pytest

from pallet.api.core import LEASES, Lease, LeaseSpec
from pallet.api.meta import ObjectMeta
from pallet.client import Client
from pallet.informers.informer import Handler, SharedInformer
from pallet.loop_budget import LoopBudget
from tests.informers.recorder import Recorder, WatchedLeases

pytestmark = pytest.mark.anyio


def lease(name: str, version: int, holder: str = "x", uid: str = "1") -> Lease:
    meta = ObjectMeta(name=name, namespace="n", uid=uid, resource_version=str(version))
    return Lease(meta, LeaseSpec(holder_identity=holder))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client.connect(master="http://127.0.0.1:1") as client:
        yield client


@pytest.fixture
async def informer(client: Client) -> SharedInformer[Lease]:
    return SharedInformer(client, LEASES, LoopBudget())


@pytest.fixture
async def watched(informer: SharedInformer[Lease]) -> WatchedLeases:
    return WatchedLeases(informer)


async def test_an_older_state_is_not_told(watched: WatchedLeases) -> None:
    watched.informer.put(lease("a", 10, "new"))
    watched.informer.put(lease("a", 9, "old"))
    watched.informer.remove(lease("a", 8))
    assert watched.heard == ["add a=new"]
    assert watched.holders == {"a": "new"}


async def test_versions_are_compared_as_numbers(watched: WatchedLeases) -> None:
    watched.informer.put(lease("a", 9, "old"))
    watched.informer.put(lease("a", 10, "new"))
    assert watched.holders == {"a": "new"}


async def test_a_list_replaces_everything_even_by_older_states(watched: WatchedLeases) -> None:
    for each in (lease("a", 10), lease("b", 11), lease("c", 12)):
        watched.informer.put(each)
    watched.heard.clear()
    await watched.informer.replace([lease("a", 10), lease("b", 5, "y"), lease("d", 6)])
    assert watched.heard == ["update b=x>y", "add d=x", "delete c=x"]
    assert watched.holders == {"a": "x", "b": "y", "d": "x"}


async def test_it_is_synced_once_the_list_was_told(watched: WatchedLeases) -> None:
    assert not watched.informer.synced.is_set()
    await watched.informer.replace([lease("a", 1)])
    assert watched.informer.synced.is_set()
    assert watched.heard == ["add a=x"]


async def test_a_late_handler_hears_of_all_there_is(watched: WatchedLeases) -> None:
    watched.informer.put(lease("a", 1))
    late = Recorder()
    watched.informer.add_handler(late.handler)
    watched.informer.put(lease("b", 2))
    assert late.heard == ["add a=x", "add b=x"]


async def test_a_handler_added_by_a_handler_hears_of_each_object_once(
    informer: SharedInformer[Lease],
) -> None:
    late = Recorder()
    informer.add_handler(Handler(on_add=lambda _: informer.add_handler(late.handler)))
    informer.put(lease("a", 1))
    assert late.heard == ["add a=x"]


async def test_a_failing_handler_stops_nobody(
    informer: SharedInformer[Lease], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Lease) -> None:
        raise RuntimeError("broken handler")

    informer.add_handler(Handler(on_add=fail))
    watched = WatchedLeases(informer)
    informer.put(lease("a", 1))
    informer.put(lease("b", 2))
    assert watched.heard == ["add a=x", "add b=x"]
    assert "a handler of Lease n/a failed" in caplog.text
    assert "broken handler" in caplog.text


async def test_others_have_their_turn_during_a_long_list(client: Client) -> None:
    clock = count(0.0, 0.002)
    informer = SharedInformer(client, LEASES, LoopBudget(lambda: next(clock)))
    seen: set[int] = set()

    async def look() -> None:
        while not informer.synced.is_set():
            seen.add(len(informer.store))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await informer.replace([lease(str(number), number) for number in range(50)])
    assert {5, 10, 15, 20, 25} <= seen  # each look at the clock takes a fifth of a slice
