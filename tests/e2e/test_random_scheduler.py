"""examples/random-scheduler: an installed plugin, its rights, and a proxy in place of credentials."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
import yaml

from tests.e2e.random_scheduler import EXAMPLE, await_missing_rights, await_placed, scheduled_notes
from tests.e2e.workload import Workload, eventually
from tests.running import running
from tools.controlplane import ControlPlane, binaries
from tools.controlplane.processes import Process, free_port
from tools.controlplane.pytest_plugin import NodePool

pytestmark = pytest.mark.e2e

CONFIG, MY_CONFIG = (
    yaml.safe_load((EXAMPLE / name).read_text()) for name in ("config.yaml", "my-scheduler.yaml")
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment in which the example's package is installed."""
    directory = tmp_path_factory.mktemp("random-scheduler")
    source, target = directory / "source", directory / "installed"
    shutil.copytree(EXAMPLE, source)  # a build leaves files beside the source
    options = ["--quiet", "--no-deps", "--no-build-isolation", f"--target={target}"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return {"PYTHONPATH": str(target)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of this module's own, with nodes for everybody."""
    with ControlPlane() as control_plane:
        control_plane.add_nodes(["worker-1", "worker-2", "worker-3"])
        yield control_plane


@pytest.fixture
def default(cluster: ControlPlane) -> Workload:
    return Workload(cluster, "default", NodePool("none", cluster))


def test_without_its_rights_it_says_which_are_missing_and_with_them_it_places_sleep(
    cluster: ControlPlane, default: Workload, installed: Mapping[str, str]
) -> None:
    cluster.kubectl("apply", "-f", str(EXAMPLE / "service-account.yaml"), "-f", str(EXAMPLE / "sleep.yaml"))
    kubeconfig = cluster.kubeconfig_for_service_account("kube-system", "random-scheduler")
    with running(cluster, CONFIG, kubeconfig=kubeconfig, environment=installed, ready=False) as pallet:
        await_missing_rights(lambda: pallet.log)
        assert not pallet.is_ready()
        cluster.kubectl("apply", "-f", str(EXAMPLE / "rbac.yaml"))
        eventually("the process to become ready", pallet.is_ready)
        assert await_placed(default, lambda: pallet.log) in ("worker-1", "worker-2", "worker-3")
        for name in ("worker-1", "worker-2", "worker-3"):
            assert f'"New Node Added to Store: {name}"' in pallet.log
        cluster.kubectl("scale", "deployment/sleep", "--replicas=20")
        eventually("20 to be placed", lambda: len(default.bindings()) == 20)
        assert set(default.bindings().values()) == {"worker-1", "worker-2", "worker-3"}
        eventually("an event each", lambda: len(scheduled_notes(default)) == 20)
        assert "rbidden" not in pallet.log.rpartition("Scheduling")[2]
    cluster.kubectl("delete", "-f", str(EXAMPLE / "sleep.yaml"))


def test_through_kubectl_proxy_it_needs_no_credentials(
    cluster: ControlPlane, default: Workload, installed: Mapping[str, str]
) -> None:
    port = free_port()
    command = [str(binaries.find("kubectl")), f"--kubeconfig={cluster.kubeconfig}", "proxy", f"--port={port}"]
    proxy = Process(command, cluster.directory / "proxy.log", group=cluster.group)
    try:
        proxy.wait_until(lambda: "Starting to serve" in proxy.log.read_text(), "opening its port", 20)
        with running(cluster, MY_CONFIG, master=f"http://localhost:{port}", environment=installed):
            default.add_pods("plain", schedulerName="my-scheduler", nodeSelector={}, tolerations=[])
            node = default.await_bound("plain")["plain"]
            note = f"Placed pod [default/plain] on {node}"
            eventually("the event", lambda: ("my-scheduler", note) in scheduled_notes(default))
    finally:
        proxy.terminate()
