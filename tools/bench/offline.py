"""A scheduler's objects without an API server, for what is measured in this process."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from pallet.app.graph import Graph
from pallet.config.load import default_configuration
from pallet.config.settings import Settings

if TYPE_CHECKING:
    from pallet.client.client import Client


def offline_graph() -> Graph:
    """The objects of the default configuration, whose clients send nothing."""
    clock = SimpleNamespace(now=None)
    client = cast("Client", SimpleNamespace(server_clock=clock, address="http://nowhere"))
    return Graph(Settings(default_configuration()), client, client)
