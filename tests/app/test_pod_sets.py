"""What the arguments of PodSetPlanner are for, in the parts that are put together."""

from typing import Any

import anyio
import pytest
import yaml

from pallet.app.graph import Graph
from pallet.client import Client
from pallet.config.load import parse
from pallet.config.settings import Settings
from pallet.planner.interface import PlannerError
from pallet.planner.resolver import Resolver
from tests.config.documents import V1


def resolver_of(**planner: Any) -> Resolver:
    """What says where planners are dialled, with these arguments."""
    profile = {
        "schedulerName": "s",
        "plugins": {"multiPoint": {"enabled": [{"name": "PodSetPlanner"}]}},
        "pluginConfig": [{"name": "PodSetPlanner", "args": {"planner": planner}}],
    }
    settings = Settings(parse(V1 + yaml.safe_dump({"profiles": [profile]}), "c.yaml"))

    async def put_together() -> Resolver:
        async with Client.connect(master="http://127.0.0.1:1") as client:
            parts = Graph(settings, client, client).pod_sets
            assert parts is not None
            return parts._resolver

    return anyio.run(put_together)


def test_planners_are_dialled_where_the_arguments_say() -> None:
    resolver = resolver_of(addresses={"ops/p": "192.0.2.1:7000"})
    assert resolver("ops", "p") == "192.0.2.1:7000"
    assert resolver("ops", "other") == "other.ops.svc:7309"
    resolver = resolver_of(resolver="ClusterIP")
    with pytest.raises(PlannerError, match="no cluster IP"):  # there is no such Service
        resolver("ops", "p")
