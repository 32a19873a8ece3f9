"""What the tests of pod sets start from."""

from typing import Any

import pytest

from tests.builders import make_node
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.podset.world import World


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """An event loop that waits for nothing."""
    return VIRTUAL_TIME


@pytest.fixture
def world() -> World:
    """Two nodes, and no set yet."""
    world = World()
    world.add(make_node("n1"), make_node("n2"))
    return world
