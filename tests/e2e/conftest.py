"""The real process beside the real control plane, with the rights of its ServiceAccount."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.workload import Workload
from tests.running import SCHEDULER, Pallet, configuration, install, running
from tools.controlplane import ControlPlane
from tools.controlplane.pytest_plugin import NodePool

LOGGED = 20_000
"""Characters of a log that are shown at most."""


@pytest.fixture(scope="package")
def service_account(control_plane: ControlPlane) -> Path:
    """The kubeconfig of the installed ServiceAccount."""
    install(control_plane)
    return control_plane.kubeconfig_for_service_account("planner-system", SCHEDULER)


@pytest.fixture(scope="module")
def pallet(control_plane: ControlPlane, service_account: Path) -> Iterator[Pallet]:
    """One process for the tests of a module."""
    with running(control_plane, configuration(), kubeconfig=service_account) as process:
        yield process


@pytest.fixture
def workload(control_plane: ControlPlane, namespace: str, node_pool: NodePool) -> Workload:
    """What a test does in its namespace, on its nodes."""
    return Workload(control_plane, namespace, node_pool)


@pytest.fixture(autouse=True)
def show_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have what a module's process logged shown with a test that fails."""
    if "pallet" not in request.fixturenames:
        yield
        return
    process: Pallet = request.getfixturevalue("pallet")
    before = len(process.log)
    yield
    print(process.log[before:][-LOGGED:])  # noqa: T201 - pytest shows it
