"""pytest fixtures over one control plane for the whole run; load with `-p tools.controlplane.pytest_plugin`.

A test keeps to its own namespace and its own nodes, so that tests do not see each other.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest

from tools.controlplane.cluster import Cluster
from tools.controlplane.controlplane import ControlPlane
from tools.controlplane.nodes import Taint, numbered


@dataclass(frozen=True, slots=True)
class NodePool:
    """Nodes labelled `pool=<name>` and tainted the same, so that only pods with `placement` go there."""

    name: str
    control_plane: Cluster

    @property
    def placement(self) -> dict[str, Any]:
        """The part of a pod's spec that sends it here and nowhere else; new with each call."""
        toleration = {"key": "pool", "value": self.name, "effect": "NoSchedule"}
        return {"nodeSelector": {"pool": self.name}, "tolerations": [toleration]}

    def add(
        self,
        count: int,
        *,
        prefix: str = "node",
        labels: Mapping[str, str] = MappingProxyType({}),
        taints: tuple[Taint, ...] = (),
        capacity: Mapping[str, str] = MappingProxyType({}),
    ) -> list[str]:
        """Adds `count` nodes named <pool>-<prefix>-<number>, waits until they take pods, returns the names.

        For the next ones of the same pool take another prefix.
        """
        return self.control_plane.add_nodes(
            numbered(f"{self.name}-{prefix}", count),
            labels={"pool": self.name, **labels},
            taints=[Taint("pool", "NoSchedule", self.name), *taints],
            capacity=capacity,
        )


@pytest.fixture(scope="session")
def control_plane(pytestconfig: pytest.Config) -> Iterator[ControlPlane]:
    """The one control plane of the test run, with kwok and without a scheduler."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a first run builds the programs: let its progress be seen
        created = ControlPlane()
    with created:
        yield created


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a namespace of the test's own; its deletion is asked for, not waited for."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.create_namespace(name)
    yield name
    control_plane.client.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def node_pool(control_plane: ControlPlane) -> Iterator[NodePool]:
    """A pool of nodes of the test's own, empty at first."""
    pool = NodePool(f"pool-{secrets.token_hex(4)}", control_plane)
    yield pool
    control_plane.client.request("DELETE", f"/api/v1/nodes?labelSelector=pool%3D{pool.name}")
