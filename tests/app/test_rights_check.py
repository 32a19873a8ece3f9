"""What is told of missing rights, and when, in virtual time before a scripted API server."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from aiohttp.web import StreamResponse

from pallet.api.core import ObjectReference
from pallet.app.rights import Right
from pallet.app.rights_check import AGAIN_SECONDS, RARELY_SECONDS, RightsCheck
from pallet.client import Client
from tests.faults.virtual_time import VIRTUAL_TIME
from tools.faults.proxy import Exchange, FaultProxy, answer

pytestmark = pytest.mark.anyio

CREATE = Right("", "", "planner.ciena.io", "scheduleplans", "create")
PATCH = Right("", "", "planner.ciena.io", "scheduleplans", "patch")
BIND = Right("", "", "", "pods/binding", "create")
STATUS = Right("", "", "", "pods/status", "patch")


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


async def until(condition: Callable[[], bool], period: float) -> None:
    """Look every period until something holds."""
    while not condition():  # noqa: ASYNC110 - it is a request that is waited for
        await anyio.sleep(period)


@dataclass
class World:
    """An API server that denies some rights, and the events that were recorded."""

    denied: set[Right] = field(default_factory=set)
    user: str = "system:serviceaccount:ns:me"
    asked: list[dict[str, str]] = field(default_factory=list)
    events: list[tuple[ObjectReference, str]] = field(default_factory=list)

    def event(
        self, regarding: ObjectReference, controller: str, *, kind: str, reason: str, action: str, note: str
    ) -> None:
        assert (controller, kind, reason) == ("s", "Warning", "MissingRights")
        assert action
        self.events.append((regarding, note))

    async def review(self, exchange: Exchange) -> StreamResponse:
        asked = json.loads(exchange.body)["spec"]["resourceAttributes"]
        self.asked.append(asked)
        allowed = asked not in [right.attributes() for right in self.denied]
        return await answer(201, {"status": {"allowed": allowed}})(exchange)

    async def who(self, exchange: Exchange) -> StreamResponse:
        return await answer(201, {"status": {"userInfo": {"username": self.user}}})(exchange)

    @asynccontextmanager
    async def checked(self, *needed: Right) -> AsyncIterator[RightsCheck]:
        """A check that has had its first look."""
        async with FaultProxy.start() as api, Client.connect(master=api.url) as client:
            api.on("POST", "/selfsubjectaccessreviews", self.review, times=1000)
            api.on("POST", "/selfsubjectreviews", self.who, times=1000)
            check = RightsCheck(client, frozenset(needed), self, "s")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(check.run)
                await api.wait_for("/selfsubjectaccessreviews", len(needed))
                await until(lambda: not self.denied or bool(self.events), 0.01)
                yield check
                tasks.cancel_scope.cancel()


async def test_all_that_is_missing_is_one_event_on_the_account_and_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World({CREATE, STATUS})
    async with world.checked(CREATE, BIND, STATUS):
        await anyio.sleep(3 * AGAIN_SECONDS)
    [(regarding, note)] = world.events
    assert (regarding.kind, regarding.namespace, regarding.name) == ("ServiceAccount", "ns", "me")
    assert note == (
        'grant {apiGroups: [""], resources: [pods/status], verbs: [patch]}; '
        "{apiGroups: [planner.ciena.io], resources: [scheduleplans], verbs: [create]}"
    )
    [line] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith("Rights are missing user=system:serviceaccount:ns:me ")
    assert "resources: [pods/status], verbs: [patch]" in line
    assert "resources: [scheduleplans], verbs: [create]" in line


async def test_a_user_is_named_as_a_binding_names_it() -> None:
    world = World({STATUS}, user="jane")
    async with world.checked(STATUS):
        [(regarding, _)] = world.events
        assert (regarding.kind, regarding.name) == ("User", "jane")


async def test_what_sets_cannot_do_without_keeps_it_from_being_ready_until_granted() -> None:
    world = World({CREATE})
    async with world.checked(CREATE, BIND) as check:
        assert check.ready() == (
            "no set can be scheduled: grant "
            "{apiGroups: [planner.ciena.io], resources: [scheduleplans], verbs: [create]}"
        )
        world.denied.clear()
        await until(lambda: check.ready() is None, AGAIN_SECONDS)


async def test_what_they_can_do_without_does_not() -> None:
    async with World({STATUS}).checked(CREATE, BIND, STATUS) as check:
        assert check.ready() is None


async def test_update_does_for_patch() -> None:
    async with World({PATCH}).checked(PATCH) as check:
        assert check.ready() is None
    assert PATCH.instead
    async with World({PATCH, PATCH.instead}).checked(PATCH) as check:
        assert check.ready() is not None


async def test_a_right_that_is_taken_away_later_is_told() -> None:
    world = World()
    async with world.checked(CREATE) as check:
        assert not world.events
        world.denied.add(CREATE)
        await until(lambda: bool(world.events), RARELY_SECONDS)
        assert check.ready() is not None


async def test_where_it_cannot_be_found_out_nothing_is_claimed() -> None:
    world = World()
    async with FaultProxy.start() as api, Client.connect(master=api.url) as client:
        api.on("POST", "/selfsubjectaccessreviews", answer(500), times=1000)
        check = RightsCheck(client, frozenset({CREATE}), world, "s")
        with anyio.move_on_after(2 * AGAIN_SECONDS):
            await check.run()
    assert check.ready() is None
    assert not world.events
