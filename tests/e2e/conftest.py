"""The real process beside the real control plane, with the rights of its ServiceAccount."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.interception import Interception, intercepting
from tests.e2e.workload import Workload
from tests.running import SCHEDULER, Pallet, configuration, running
from tools.controlplane import ControlPlane
from tools.controlplane.pytest_plugin import NodePool
from tools.installation import install

LOGGED = 20_000
"""Characters of a log that are shown at most."""


@pytest.fixture(scope="package")
def service_account(control_plane: ControlPlane) -> Path:
    """The kubeconfig of the installed ServiceAccount."""
    install(control_plane)
    return control_plane.kubeconfig_for_service_account("planner-system", SCHEDULER)


@pytest.fixture(scope="module")
def interception(service_account: Path) -> Iterator[Interception]:
    """A proxy for the tests of a module, for processes that are started with its address."""
    with intercepting(service_account) as interception:
        yield interception


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
def watch_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have what a module's process logs shown with a test that fails; start it where a test has ended it."""
    if "pallet" not in request.fixturenames:
        yield
        return
    process: Pallet = request.getfixturevalue("pallet")
    before = len(process.log)
    if not process.process.running:
        process.start()
    yield
    print(process.log[before:][-LOGGED:])  # noqa: T201 - pytest shows it
