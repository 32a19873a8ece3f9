"""--check-plugins finds a plugin that reads more than it declares, and goes on with what is right."""

from pathlib import Path

import pytest

from tests.e2e.alone import Alone
from tests.e2e.workload import Workload, eventually
from tests.running import SCHEDULER, configuration, running
from tools.controlplane import ControlPlane

pytestmark = pytest.mark.e2e


def test_a_wrong_declaration_is_logged_and_does_no_harm(
    workload: Workload, control_plane: ControlPlane, service_account: Path
) -> None:
    profile = {"schedulerName": SCHEDULER, "plugins": {"multiPoint": {"enabled": [{"name": Alone.name}]}}}
    workload.pool.add(1)
    with running(
        control_plane,
        configuration(profiles=[profile]),
        kubeconfig=service_account,
        flags=["--check-plugins"],
    ) as process:
        workload.add_pods("a")
        workload.await_bound("a")
        workload.add_pods("b")
        eventually("the error", lambda: "Reads.LOAD" in process.log)
        assert "tests.e2e.alone:Alone: filter_reads (" in process.log
        assert set(workload.bindings()) == {"a"}
