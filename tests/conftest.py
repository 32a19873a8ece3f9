"""What every test has: the backend of async tests, a time limit, and the control plane's fixtures."""

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

pytest_plugins = ["tools.controlplane.pytest_plugin"]

DEFAULT_TIME_LIMIT = 60.0


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop that pallet runs on."""
    return "asyncio"


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
