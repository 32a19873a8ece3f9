"""What becomes of a planned set when its pods or their node fail."""

from collections.abc import Iterator

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Document, Workload, eventually, is_ready
from tests.node.programs import IMAGE
from tests.node.refusal import REAL_FIRST, begin_with_one_bound, bindings_refused
from tools.demo.shell import Shell
from tools.node.kind import AnyCluster
from tools.node.node import NAME

pytestmark = pytest.mark.time_limit(600)

NODE = f"/api/v1/nodes/{NAME}"
NOT_READY_SECONDS = 90.0
"""The node's lease has to run out, 40 to 50 s."""


@pytest.fixture(autouse=True)
def open_node(real_cluster: AnyCluster) -> Iterator[None]:
    """The real node takes pods again afterwards."""
    yield
    real_cluster.client.request("PATCH", NODE, {"spec": {"unschedulable": None}})


def plan(workload: Workload, names: str) -> dict[str, str]:
    """Have the set of these pods planned and bound."""
    workload.await_reason(names, "AwaitingTrigger")
    workload.switch("Schedule")
    return workload.await_plan_as_bound("web", names)


def waiting_reason(pod: Document) -> str:
    """Why the first container of a pod waits; empty when it does not."""
    [state] = [each["state"] for each in pod["status"].get("containerStatuses", ())] or [{}]
    reason: str = state.get("waiting", {}).get("reason", "")
    return reason


def failed(workload: Workload, name: str) -> str:
    """Why a pod has failed; empty while it has not."""
    status = workload.pods()[name]["status"]
    return status.get("reason", "unknown") if status["phase"] == "Failed" else ""


def test_an_image_that_cannot_be_pulled_changes_neither_plan_nor_set(workload: Workload) -> None:
    with recording(workload) as history:
        workload.add_trigger("web", "Planning")
        workload.add_pods("a b", "web", cpu="1m")
        resources = {"requests": {"cpu": "1m"}}
        nowhere = {"name": "main", "image": "registry.invalid/nothing:1", "resources": resources}
        workload.add_pods("c", "web", containers=[nowhere])
        bindings = plan(workload, "a b c")
        workload.await_running(["a", "b"])
        eventually("the image to be given up", lambda: "Pull" in waiting_reason(workload.pods()["c"]), 60)
        workload.let_a_plain_pod_pass("later")
        assert workload.plan("web") == workload.bindings("web") == bindings
        workload.await_status(bound=3, total=3)
        history.check()


def test_a_member_that_the_kubelet_rejects_counts_as_gone_and_another_takes_its_place(
    workload: Workload, real_cluster: AnyCluster
) -> None:
    """Another scheduler binds to the same node; the kubelet starts the older pods, as they have room."""
    workload.add_pods("older", cpu="1", schedulerName="another")
    workload.add_trigger("web", "Planning")
    workload.add_pods("a b", "web", cpu="600m", **REAL_FIRST)
    workload.await_reason("a b", "AwaitingTrigger")
    with real_cluster.without_kubelet():
        workload.switch("Schedule")
        assert set(workload.await_plan_as_bound("web", "a b").values()) == {NAME}
        binding = {"metadata": {"name": "older"}, "target": {"kind": "Node", "name": NAME}}
        workload.request("POST", f"{workload.pods_path}/older/binding", binding)
    rejected, other = eventually("a rejection", lambda: rejection(workload), 60)
    assert workload.bindings()[rejected] == NAME
    workload.add_pods("replacement", "web", cpu="600m", **REAL_FIRST)
    await_plan(workload, {other, "replacement"})
    assert workload.bindings()["replacement"] != NAME
    assert workload.bindings()[other] == NAME
    workload.await_status(bound=2, total=2)


def rejection(workload: Workload) -> tuple[str, str] | None:
    """The member that was rejected, and the one that runs."""
    reasons = {name: failed(workload, name) for name in ("a", "b")}
    for name, other in (("a", "b"), ("b", "a")):
        if reasons[name] == "OutOfcpu" and workload.pods()[other]["status"]["phase"] == "Running":
            return name, other
    return None


def await_plan(workload: Workload, names: set[str]) -> None:
    """Wait until the plan is of these pods, as they are bound."""

    def look() -> bool:
        bindings = workload.bindings("web")
        return workload.plan("web") == {name: bindings.get(name) for name in names}

    eventually(f"the plan to be that of {names}", look)


def test_a_member_that_is_evicted_counts_as_gone_and_another_takes_its_place(workload: Workload) -> None:
    """It writes more than its volume may hold; the kubelet looks every ten seconds."""
    workload.add_trigger("web", "Planning")
    workload.add_pods("a", "web", cpu="1m")
    write = "import time; open('/data/file', 'w').write('x' * 5_000_000); time.sleep(1000)"
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["python", "-c", write],
        "resources": {"requests": {"cpu": "1m"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}]
    workload.add_pods("b", "web", containers=[container], volumes=volumes)
    plan(workload, "a b")
    assert eventually("the eviction", lambda: failed(workload, "b"), 90) == "Evicted"
    workload.add_pods("replacement", "web", cpu="1m")
    await_plan(workload, {"a", "replacement"})
    workload.await_running(["a", "replacement"])
    workload.await_status(bound=2, total=2)


def test_drained_members_are_replaced_elsewhere_as_late_members(workload: Workload, shell: Shell) -> None:
    labels = {"app": "drained", "planner.ciena.io/pod-set": "web"}
    container = {"name": "main", "image": "main:1", "resources": {"requests": {"cpu": "1m"}}}
    spec = {
        "schedulerName": "podset-planner-scheduler",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        **REAL_FIRST,
    }
    with recording(workload) as history:
        workload.add_trigger("web", "Schedule")
        workload.request(
            "POST",
            f"/apis/apps/v1/namespaces/{workload.namespace}/deployments",
            {
                "metadata": {"name": "drained"},
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": spec},
                },
            },
        )
        before = eventually("pods on the node", lambda: all_at(workload, 3, {NAME}))
        workload.await_running(before)
        shell.run(f"kubectl drain {NAME} --pod-selector=app=drained --timeout=60s", 70)
        others = {f"fake-{number}" for number in range(3)}
        after = eventually("pods on other nodes", lambda: all_at(workload, 3, others))
        assert not before.keys() & after.keys()
        assert workload.plan("web") == after
        workload.await_running(after)
        history.check()


def all_at(workload: Workload, count: int, nodes: set[str]) -> dict[str, str]:
    """The nodes of all pods, if there are so many, on these nodes, as planned."""
    bindings = workload.bindings("web")
    there = len(workload.pods()) == len(bindings) == count and set(bindings.values()) <= nodes
    return bindings if there and workload.plan("web") == bindings else {}


def test_a_member_planned_on_a_node_that_is_cordoned_is_planned_anew_and_a_bound_one_stays(
    workload: Workload,
) -> None:
    with recording(workload) as history, bindings_refused(workload, "b"):
        begin_with_one_bound(workload)
        workload.cordon(NAME)
        eventually("b to be planned elsewhere", lambda: workload.plan("web")["b"] != NAME)
        assert workload.plan("web")["a"] == workload.bindings("web")["a"] == NAME
        history.check()
    bindings = workload.await_plan_as_bound("web", "a b")
    assert bindings["a"] == NAME != bindings["b"]


def test_a_node_that_is_not_ready_keeps_its_pods_and_gets_no_more_until_it_is_back(
    workload: Workload, real_cluster: AnyCluster
) -> None:
    with recording(workload) as history, bindings_refused(workload, "b"):
        begin_with_one_bound(workload)
        workload.await_running(["a"])
        with real_cluster.without_kubelet():
            eventually("the node to be given up", lambda: not node_is_ready(workload), NOT_READY_SECONDS)
            eventually("b to be planned elsewhere", lambda: workload.plan("web")["b"] != NAME)
            assert workload.plan("web")["a"] == workload.bindings("web")["a"] == NAME
        eventually("the node to be back", lambda: node_is_ready(workload), 60)
        history.check()
    workload.await_plan_as_bound("web", "a b")
    workload.add_pods("late", "web", cpu="1m", **REAL_FIRST)
    assert workload.await_plan_as_bound("web", "a b late")["late"] == NAME
    workload.await_running(["a", "late"])
    [status] = workload.pods()["a"]["status"]["containerStatuses"]
    assert status["restartCount"] == 0


def node_is_ready(workload: Workload) -> bool:
    """Whether the real node is."""
    return is_ready(workload.request("GET", NODE))
