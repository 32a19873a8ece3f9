"""A scripted server, and a client of it."""

from collections.abc import AsyncIterator

import pytest

from pallet.client import Client
from tools.faults.proxy import FaultProxy


@pytest.fixture
async def server() -> AsyncIterator[FaultProxy]:
    async with FaultProxy.start() as proxy:
        yield proxy


@pytest.fixture
async def client(server: FaultProxy) -> AsyncIterator[Client]:
    async with Client.connect(master=server.url) as client:
        yield client
