"""The garbage collector: no long collections, and yet nothing that refers to itself is kept."""

import gc
import weakref
from collections.abc import Iterator

import anyio
import pytest

from pallet.app import garbage
from pallet.app.garbage import NEVER, PERIOD_SECONDS, YOUNG, collect_in_steps
from pallet.bounded_cache import BoundedCache, registered
from tests.faults.virtual_time import VIRTUAL_TIME

pytestmark = pytest.mark.anyio


class Loop:
    """Refers to itself, so only the collector frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_what_refers_to_itself_is_freed_though_no_full_collection_runs_by_itself() -> None:
    before = gc.get_threshold()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect_in_steps)
        await anyio.wait_all_tasks_blocked()
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_threshold()[2] == NEVER
        gone = weakref.ref(Loop())
        await anyio.sleep(PERIOD_SECONDS + 0.1)
        assert gone() is None
        tasks.cancel_scope.cancel()
    assert gc.get_threshold() == before


async def test_what_caches_do_not_use_is_given_back() -> None:
    cache: BoundedCache[int, str] = BoundedCache("unused", 10_000)
    cache[1] = "one"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect_in_steps)
        await anyio.sleep(PERIOD_SECONDS * 3 * len(registered()))
        assert len(cache) == 0
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("slow_seconds", "frozen"), [(0.0, True), (1000.0, False)])
async def test_what_takes_long_to_look_at_is_frozen(
    monkeypatch: pytest.MonkeyPatch, slow_seconds: float, *, frozen: bool
) -> None:
    monkeypatch.setattr(garbage, "SLOW_SECONDS", slow_seconds)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect_in_steps)
        await anyio.wait_all_tasks_blocked()
        count = gc.get_freeze_count()
        kept = [[number] for number in range(10_000)]
        await anyio.sleep(PERIOD_SECONDS + 0.1)
        assert (gc.get_freeze_count() >= count + len(kept)) is frozen
        tasks.cancel_scope.cancel()
