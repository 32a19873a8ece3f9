"""A scheduler in virtual time with one probing plugin, for whoever asks for it."""

from collections.abc import AsyncIterator

import pytest

from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource
from tests.scheduler.probe import Probe
from tests.scheduler.world import World, a_world


@pytest.fixture
async def probe() -> Probe:
    probe = Probe()
    probe.interests = [EventInterest(ClusterEvent(EventResource.NODE, Action.ADD))]
    return probe


@pytest.fixture
async def world(probe: Probe) -> AsyncIterator[World]:
    async with a_world(probe) as world:
        yield world
