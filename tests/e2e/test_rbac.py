"""The installed roles are enough for every feature, and nothing in them is unused.

Both are read from the API server's audit log, on a control plane of the test's own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import audit
from tests.e2e.interception import intercepting
from tests.e2e.storage import Storage, provision, using
from tests.e2e.workload import Workload, eventually
from tests.running import SCHEDULER, configuration, running
from tools.controlplane import ControlPlane
from tools.controlplane.pytest_plugin import NodePool
from tools.faults.proxy import answer, lose_answer
from tools.installation import install

pytestmark = pytest.mark.e2e


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane that writes down what the scheduler does."""
    with ControlPlane(apiserver_args=audit.arguments(tmp_path)) as control_plane:
        install(control_plane)
        control_plane.create_namespace("team")
        yield control_plane


def test_the_roles_are_enough_and_all_of_them_is_used(audited: ControlPlane, tmp_path: Path) -> None:
    workload = Workload(audited, "team", NodePool("audited", audited))
    workload.pool.add(1, capacity={"cpu": "4"})
    service_account = audited.kubeconfig_for_service_account("planner-system", SCHEDULER)
    election = configuration()["leaderElection"] | {"leaderElect": True, "retryPeriod": "500ms"}
    with intercepting(service_account) as interception:
        # The informers have to do without streaming lists at first, so that there are lists and watches.
        for resource in {each for _, each, verb in audit.granted() if verb == "list"}:
            interception.on("GET", f"/{resource}$", answer(422), times=1)
        interception.on("POST", "/pods/a/binding", lose_answer)  # which has the pod read
        for path in ("scheduletriggers/trigger$", "scheduleplans/"):  # which has them read again
            interception.on("PATCH", path, answer(409))
        config = configuration(leaderElection=election)
        with (
            running(audited, config, kubeconfig=None, master=interception.url) as process,
            running(audited, config, kubeconfig=None, master=interception.url),  # it watches the lease
        ):
            place_and_remove(workload)
            use_volumes(Storage(workload, "volumes"))
            workload.add_pods("urgent", cpu="4", priorityClassName="system-cluster-critical")
            workload.await_bound("urgent")  # in place of all others
            token = audited.client.request(
                "POST", "/api/v1/namespaces/team/serviceaccounts/default/token", {"spec": {}}
            )["status"]["token"]
            with pytest.raises(OSError, match="403"):
                process.get("/metrics", token)
        assert "forbidden" not in process.log
    audit.await_use(tmp_path)
    assert not audit.refused(tmp_path)


def place_and_remove(workload: Workload) -> None:
    """What a set goes through, and a pod that does not fit until another one has gone."""
    workload.add_trigger("web", "Planning", quiet_time="100ms")
    workload.add_pods("a b", "web", cpu="1")
    workload.await_plan_as_bound("web", "a b")
    workload.add_pods("big", cpu="3")
    workload.await_reason("big", "Unschedulable")
    workload.add_pods("c", "web", cpu="1")
    workload.await_plan_as_bound("web", "a b c")
    workload.delete_pod("c")
    eventually("a repeated event", workload.repeats_an_event, patience=30)
    workload.delete_pod("b")
    workload.await_bound("big")
    workload.delete_pod("a")
    eventually("the plan to go", lambda: workload.plan_object("web") is None)


def use_volumes(storage: Storage) -> None:
    """Volumes that are there, and volumes that are made."""
    storage.add_class("stub.example.com")
    storage.add_claim("made")
    storage.workload.add_pods("made", **using("made"))
    node = provision(storage, "made")
    storage.add_volume("v", node)
    storage.await_phase("Available", "volumes-v")
    storage.add_claim("kept")
    storage.workload.add_pods("kept", **using("kept"))
    storage.workload.await_bound("made kept")


def repeats(workload: Workload) -> bool:
    """Have the pods that do not fit tried again, and look for an event that says so."""
    workload.add_pods("small", cpu="10m")
    workload.await_bound("small")
    workload.delete_pod("small")
    events = workload.request("GET", "/apis/events.k8s.io/v1/namespaces/team/events")["items"]
    return any(event.get("series") for event in events)
