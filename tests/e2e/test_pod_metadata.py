"""A plugin that reads annotations of pods: it gets them where it declares so, and else an error."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.racks import Declared, Undeclared
from tests.e2e.workload import Workload, eventually
from tests.running import SCHEDULER, configuration, running
from tools.controlplane import ControlPlane

pytestmark = pytest.mark.e2e


def with_plugin(name: str) -> dict[str, Any]:
    profile = {"schedulerName": SCHEDULER, "plugins": {"multiPoint": {"enabled": [{"name": name}]}}}
    return configuration(profiles=[profile])


def add_pod(workload: Workload) -> None:
    """A pod of rack 2, on nodes of two racks."""
    for rack in ("1", "2"):
        workload.pool.add(1, prefix=f"rack-{rack}", labels={"rack": rack})
    workload.add_pods("a", annotations={"example.com/rack": "2"})


def test_a_plugin_that_declares_annotations_reads_them(
    workload: Workload, control_plane: ControlPlane, service_account: Path
) -> None:
    with running(control_plane, with_plugin(Declared.name), kubeconfig=service_account):
        add_pod(workload)
        assert "rack-2" in workload.await_bound("a")["a"]


def test_without_the_declaration_the_pod_waits_and_the_log_says_which_line_to_add(
    workload: Workload, control_plane: ControlPlane, service_account: Path
) -> None:
    with running(control_plane, with_plugin(Undeclared.name), kubeconfig=service_account) as process:
        add_pod(workload)
        line = "add `pod_metadata = frozenset({'annotations'})` to the class"
        eventually("the error", lambda: line in process.log)
        assert not workload.bindings()
