"""Two replicas of the Deployment: what happens to a set when the one that leads goes."""

from collections.abc import Iterator

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Workload, eventually
from tools.demo.shell import Shell
from tools.node.node import NAME, PAUSE_IMAGE

pytestmark = pytest.mark.time_limit(600)

DEPLOYMENT = "-n planner-system deployment/podset-planner-scheduler"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/planner-system/leases/podset-planner-scheduler"
MEMBERS = [f"member-{number}" for number in range(20)]


@pytest.fixture(autouse=True)
def replicas(shell: Shell, workload: Workload) -> Iterator[None]:
    """Two while a test runs, one afterwards."""
    for count in (2, 1):
        shell.run(f"kubectl scale {DEPLOYMENT} --replicas={count}")
        shell.run(f"kubectl rollout status {DEPLOYMENT} --timeout=90s", 100)
        if count == 2:
            yield


def leader(workload: Workload) -> str:
    """The pod that leads."""
    holder: str = workload.request("GET", LEASE)["spec"]["holderIdentity"]
    return holder.partition("_")[0]


def add_members(workload: Workload) -> None:
    """A set of pods that run, on the real node, and wait for their trigger."""
    resources = {"requests": {"cpu": "1m"}}
    container = {"name": "main", "image": PAUSE_IMAGE, "imagePullPolicy": "Never", "resources": resources}
    place = {"kubernetes.io/hostname": NAME}
    workload.add_trigger("web", "Planning")
    workload.add_pods(MEMBERS, "web", containers=[container], nodeSelector=place, tolerations=[])
    workload.await_reason(" ".join(MEMBERS), "AwaitingTrigger")


def await_running(workload: Workload) -> None:
    def are_running() -> bool:
        return all(pod["status"]["phase"] == "Running" for pod in workload.pods().values())

    eventually("all members to run", are_running, patience=60)


def test_a_set_is_placed_whole_when_the_leader_s_pod_is_deleted(workload: Workload, shell: Shell) -> None:
    with recording(workload) as history:
        add_members(workload)
        gone = leader(workload)
        workload.switch("Schedule")
        eventually("the first binding", workload.bindings)
        shell.run(f"kubectl -n planner-system delete pod {gone}")
        workload.await_plan_as_bound("web", " ".join(MEMBERS))
        await_running(workload)
        history.check()
    assert leader(workload) != gone
