"""What every test has: the backend of async tests, a time limit, and the control plane's fixtures.

An async test fails when it leaves a task behind, or when code of pallet blocks the event loop.
"""

import asyncio
import functools
import inspect
import signal
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

import pallet
from tools import prometheus

pytest_plugins = ["tools.controlplane.pytest_plugin"]

DEFAULT_TIME_LIMIT = 60.0
MAY_BLOCK = (
    ("pallet/client/credentials.py", "run"),  # in a thread, on a loop of its own
    ("prometheus_client/process_collector.py", "collect"),  # /proc is memory
    ("threading.py", "join"),  # gRPC ends its poller with the last channel, which has nothing left to do
)
PALLET = Path(pallet.__file__).parent

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that pallet runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def prometheus_programs() -> None:
    """Have Prometheus and promtool there. A first run downloads them, which takes longer than a test may."""
    for name in ("prometheus", "promtool"):
        prometheus.find(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Watches over every async test."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _guarded(item.obj)


def _guarded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def guarded(*args: object, **kwargs: object) -> None:
        before = asyncio.all_tasks()
        with blockbuster_ctx("pallet") as blocking:
            for function in blocking.functions.values():
                for place in MAY_BLOCK:
                    function.can_block_in(*place)
            await test(*args, **kwargs)
        left = [task for task in asyncio.all_tasks() - before if not task.done() and _is_ours(task)]
        assert not left, f"left behind: {left}"

    return guarded


def _is_ours(task: asyncio.Task[Any]) -> bool:
    """Whether a task runs code of pallet; servers that belong to fixtures have tasks of their own."""
    code: CodeType | None = getattr(task.get_coro(), "cr_code", None)
    return code is not None and Path(code.co_filename).is_relative_to(PALLET)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children heed Ctrl-C, also where this process was started by a shell in the background and does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Limits a test's own fixtures; those of the session may take long (the control plane's first build)."""
    if fixturedef.scope != "function":
        return (yield)
    with _time_limit(request.node):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Limits the test itself."""
    with _time_limit(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Limits what comes after it, such as a task that does not end."""
    with _time_limit(item):
        yield


@contextmanager
def _time_limit(item: pytest.Item) -> Iterator[None]:
    """Fails what takes longer than `@pytest.mark.time_limit(seconds)`, or else the default, allows."""
    marker = item.get_closest_marker("time_limit")
    seconds: float = marker.args[0] if marker else DEFAULT_TIME_LIMIT

    def expire(_signal: int, _frame: FrameType | None) -> None:
        pytest.fail(f"took longer than {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, expire)
    # Again each second: the first one may end only the task that happened to run.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
