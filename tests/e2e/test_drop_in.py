"""The faults of the original, by number (1 to 18): each would show again here.

Those that no API server is needed for are shown elsewhere:

===== =====================================================================================================
fault shown in
===== =====================================================================================================
4     tests/planner/test_discovery.py (which Services), test_server.py (mutual TLS), test_check.py (answers)
5     tests/podset/test_triggers.py and test_decisions.py; the conflict, the restart and the switch back: here
10    tests/manifests/test_deployment.py, and between processes test_leadership.py
11    tests/planner/test_discovery.py (the label), test_remote.py (the cluster's domain)
12    tests/planner/test_greedy.py
13    tests/planner/test_discovery.py
16    tests/planner/test_greedy.py, and here
17    tests/planner/test_remote.py
18    tests/informers/test_factory.py, and here
===== =====================================================================================================
"""

import time
from collections.abc import Iterator

import anyio.to_thread
import pytest
from aiohttp import web

from pallet.api.podset import LAST_JOINED
from tests.e2e.interception import Interception
from tests.e2e.workload import Workload, eventually
from tests.running import Pallet, configuration, running
from tools.controlplane import ControlPlane
from tools.faults.proxy import Exchange, pass_on

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("pallet")]


@pytest.fixture(scope="module")
def pallet(control_plane: ControlPlane, interception: Interception) -> Iterator[Pallet]:
    """As for other modules, but through the proxy."""
    with running(control_plane, configuration(), kubeconfig=None, master=interception.url) as process:
        yield process


def test_1_a_gated_pod_stays_pending_with_exactly_one_feasible_node(workload: Workload) -> None:
    [node] = workload.pool.add(1)
    workload.add_trigger("web", "Planning")
    workload.add_pods("a b", "web")
    workload.await_reason("a b", "AwaitingTrigger")
    workload.let_a_plain_pod_pass("before")
    workload.request("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": {"new": "label"}}})
    workload.delete_pod("before")
    workload.let_a_plain_pod_pass("after")
    assert workload.bindings("web") == {}
    workload.switch("Schedule")
    workload.await_plan_as_bound("web", "a b")


def test_2_the_stored_plan_is_obeyed_even_when_it_names_a_worse_node(workload: Workload) -> None:
    better, worse = workload.pool.add(2)
    workload.add_pods("load", nodeName=worse, cpu="4")
    workload.add_trigger("web", "Planning")
    workload.add_pods("a", "web")
    workload.await_reason("a", "AwaitingTrigger")
    workload.write_plan("web", {"a": worse})
    workload.let_a_plain_pod_pass("plain")
    assert workload.plan("web") == {"a": worse}
    workload.switch("Schedule")
    assert workload.await_plan_as_bound("web", "a") == {"a": worse}
    assert workload.bindings()["plain"] == better


def test_2_only_a_plan_that_does_not_fit_any_more_is_replaced(workload: Workload) -> None:
    left, right = workload.pool.add(2, capacity={"cpu": "2"})
    workload.add_trigger("web", "Planning")
    workload.add_pods("a b", "web", cpu="1500m")
    workload.await_reason("a b", "AwaitingTrigger")
    workload.write_plan("web", {"a": left, "b": left})
    workload.switch("Schedule")
    assert workload.await_plan_as_bound("web", "a b") == {"a": left, "b": right}
    assert "Insufficient cpu" in eventually(
        "an event", lambda: workload.events("trigger").get("PlanEntriesNotUsed", "")
    )


def test_3_a_pod_that_joins_starts_the_quiet_time_again(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Planning", quiet_time="2s")
    workload.add_pods("a", "web")
    first = time.monotonic()
    workload.await_status(total=1, gated=1)
    eventually("half of the quiet time to pass", lambda: time.monotonic() > first + 1)
    second = time.monotonic()
    workload.add_pods("b", "web")
    eventually("the switch", lambda: workload.state() == "Schedule")
    assert time.monotonic() >= second + 2
    workload.await_plan_as_bound("web", "a b")


def test_4_a_planner_service_of_another_namespace_is_not_dialled(workload: Workload, pallet: Pallet) -> None:
    workload.pool.add(1)
    workload.request(
        "POST",
        f"/api/v1/namespaces/{workload.namespace}/services",
        {
            "metadata": {"name": "rogue", "labels": {"planner.ciena.io/web": "enabled"}},
            "spec": {"ports": [{"port": 7309}]},
        },
    )
    workload.add_trigger("web", "Schedule")
    workload.add_pods("a", "web")
    workload.await_plan_as_bound("web", "a")
    eventually("a warning", lambda: f"{workload.namespace}/rogue" in pallet.log)


def test_4_one_that_is_allowed_counts_and_its_failure_is_told_on_the_pod(workload: Workload) -> None:
    services = "/api/v1/namespaces/planner-system/services"
    pod_set = workload.namespace
    workload.request(
        "POST",
        services,
        {
            "metadata": {"name": pod_set, "labels": {f"planner.ciena.io/{pod_set}": "enabled"}},
            "spec": {"ports": [{"port": 7309}]},
        },
    )
    try:
        workload.pool.add(1)
        workload.add_trigger(pod_set, "Schedule")
        workload.add_pods("a", pod_set)
        workload.await_reason("a", "SchedulerError")
        assert f"planner planner-system/{pod_set}" in workload.condition("a")["message"]
        assert workload.status()["conditions"]["Planned"]["reason"] == "PlannerFailed"
    finally:
        workload.request("DELETE", f"{services}/{pod_set}")


def test_5_a_conflict_on_the_switch_is_tried_again(workload: Workload, interception: Interception) -> None:
    conflicts: list[int] = []

    async def meddle(exchange: Exchange) -> web.StreamResponse:
        """Have somebody else change the trigger just before it is switched."""
        if b'"Schedule"' in exchange.body and len(conflicts) < 2:
            change = {"metadata": {"annotations": {"meddled": str(len(conflicts))}}}
            await anyio.to_thread.run_sync(workload.request, "PATCH", exchange.request.path, change)
            answer = await pass_on(exchange)
            conflicts.append(answer.status)
            return answer
        return await pass_on(exchange)

    workload.pool.add(1)
    path = f"{workload.triggers_path}/trigger$"
    interception.on("PATCH", path, meddle, times=float("inf"))
    workload.add_trigger("web", "Planning", quiet_time="100ms")
    workload.add_pods("a", "web")
    workload.await_plan_as_bound("web", "a")
    assert conflicts == [409, 409]


def test_5_a_broken_watch_does_not_stop_the_countdown(workload: Workload, interception: Interception) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Planning", quiet_time="1s")
    workload.add_pods("a", "web")
    workload.await_status(gated=1)
    interception.cut_watches()
    workload.await_plan_as_bound("web", "a")


def test_5_a_set_that_is_switched_back_waits_and_counts_again(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Planning", quiet_time="1s")
    workload.add_pods("a", "web")
    workload.await_plan_as_bound("web", "a")
    before = time.monotonic()
    workload.switch("Planning")
    workload.add_pods("b", "web")
    workload.await_reason("b", "AwaitingTrigger")
    assert workload.plan("web").keys() == {"a"}
    eventually("the second switch", lambda: workload.state() == "Schedule")
    assert time.monotonic() >= before + 1
    workload.await_plan_as_bound("web", "a b")


def test_5_a_restart_neither_shortens_nor_restarts_a_countdown(workload: Workload, pallet: Pallet) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Planning", quiet_time="5s")
    workload.add_pods("a", "web")
    joined = time.monotonic()
    eventually("the times to be kept", lambda: LAST_JOINED in workload.annotations())
    until = workload.status()["quietUntil"]
    eventually("some of the quiet time to pass", lambda: time.monotonic() > joined + 2)
    pallet.restart()
    # A countdown that began at the restart would take longer than this one.
    workload.add_trigger("later", "Planning", name="later", quiet_time="4s")
    workload.add_pods("b", "later")
    workload.await_status("later", gated=1)
    if workload.state() == "Planning":
        assert workload.status()["quietUntil"] == until
    eventually("the switch", lambda: workload.state() == "Schedule")
    assert time.monotonic() >= joined + 5
    assert workload.state("later") == "Planning"
    workload.await_plan_as_bound("web", "a")


def test_6_a_cordoned_node_has_the_pods_replanned_that_are_not_bound_and_no_others(
    workload: Workload, interception: Interception
) -> None:
    node, *_ = workload.pool.add(1, prefix="first")
    workload.add_trigger("web", "Schedule")
    workload.add_pods("a b", "web")
    workload.await_plan_as_bound("web", "a b")
    with interception.refusing_to_bind("late"):
        workload.add_pods("late", "web")
        eventually("the plan", lambda: workload.plan("web").get("late") == node)
        [other] = workload.pool.add(1, prefix="second")
        workload.cordon(node)
    bindings = workload.await_plan_as_bound("web", "a b late")
    assert bindings == {"a": node, "b": node, "late": other}
    workload.let_a_plain_pod_pass("plain")
    assert workload.plan("web") == bindings


def test_6_a_restart_leaves_the_plan_of_bound_pods_alone(workload: Workload, pallet: Pallet) -> None:
    [node] = workload.pool.add(1)
    workload.add_trigger("web", "Schedule")
    workload.add_pods("a b", "web")
    workload.await_plan_as_bound("web", "a b")
    workload.await_status(bound=2)
    before = workload.plan_object("web")
    workload.cordon(node)
    workload.pool.add(1, prefix="other")
    pallet.restart()
    workload.let_a_plain_pod_pass("plain")
    assert workload.plan_object("web") == before


def test_7_deletions_missed_while_it_was_down_leave_the_plan(workload: Workload, pallet: Pallet) -> None:
    workload.pool.add(1)
    for pod_set, pods in (("web", "a b"), ("gone", "c d")):
        workload.add_trigger(pod_set, "Schedule", name=pod_set)
        workload.add_pods(pods, pod_set)
        workload.await_plan_as_bound(pod_set, pods)
    pallet.kill()
    for pod in "bcd":
        workload.delete_pod(pod)
    pallet.start()
    workload.await_plan_as_bound("web", "a")
    eventually("the plan without pods to go", lambda: workload.plan_object("gone") is None)


def test_8_among_more_than_a_hundred_nodes_the_planned_one_is_always_found(workload: Workload) -> None:
    nodes = workload.pool.add(120)
    pods = [f"pod-{number}" for number in range(8)]
    wanted = dict(zip(pods, nodes[5::15], strict=True))
    workload.write_plan("web", wanted)
    workload.add_trigger("web", "Planning")
    workload.add_pods(pods, "web")
    workload.await_status(gated=8)
    workload.switch("Schedule")
    assert workload.await_plan_as_bound("web", " ".join(pods)) == wanted


def test_9_nothing_is_read_from_the_api_to_plan_and_bind_a_set(
    workload: Workload, interception: Interception
) -> None:
    workload.pool.add(20)
    pods = [f"pod-{number}" for number in range(10)]
    workload.add_trigger("web", "Planning")
    workload.add_pods(pods, "web")
    workload.await_status(gated=10)
    before = len(interception.requests)
    workload.switch("Schedule")
    workload.await_plan_as_bound("web", " ".join(pods))
    requests = [
        request for request in interception.requests[before:] if "watch=" not in request and "GET" in request
    ]
    assert requests == []


def test_11_a_set_may_be_named_default(workload: Workload) -> None:
    workload.pool.add(2)
    workload.add_trigger("default", "Schedule", name="default")
    workload.add_trigger("web", "Schedule", name="web")
    workload.add_pods("a", "default")
    workload.add_pods("b", "web")
    workload.await_plan_as_bound("default", "a")
    workload.await_plan_as_bound("web", "b")


def test_14_a_pod_that_fits_nowhere_is_told_why(workload: Workload) -> None:
    workload.pool.add(2)
    workload.add_trigger("web", "Schedule")
    workload.add_pods("big", "web", cpu="100")
    workload.await_reason("big", "Unschedulable")
    message = workload.condition("big")["message"]
    assert "nodes are available: " in message
    assert "2 Insufficient cpu" in message
    assert eventually("an event", lambda: workload.events("big").get("FailedScheduling")) == message
    planned = eventually("the status", lambda: workload.status()["conditions"].get("Planned"))
    assert (planned["status"], planned["reason"]) == ("False", "PodsRefused")
    assert message in planned["message"]


def test_15_and_16_bare_pods_are_planned_as_far_as_they_fit(workload: Workload) -> None:
    nodes = workload.pool.add(3, capacity={"cpu": "4"})
    big = [f"big-{number}" for number in range(8)]
    small = [f"small-{number}" for number in range(8)]
    workload.add_trigger("big", "Planning", name="big")
    workload.add_pods(big, "big", cpu="3")
    workload.add_trigger("small", "Schedule", name="small")
    workload.add_pods(small, "small", cpu="100m")
    workload.await_plan_as_bound("small", " ".join(small))
    workload.switch("Schedule", "big")
    workload.await_status("big", total=8, bound=3, planned=3, gated=5)
    assert sorted(workload.bindings("big").values()) == nodes
    assert workload.plan("big") == workload.bindings("big")
    for pod in set(big) - workload.bindings("big").keys():
        workload.await_reason(pod, "Unschedulable")
        assert "3 Insufficient cpu" in workload.condition(pod)["message"]


def test_18_what_cannot_read_the_cluster_is_not_ready_says_why_and_can_be_ended(
    control_plane: ControlPlane,
) -> None:
    jane = control_plane.kubeconfig_for("jane")
    process = Pallet(control_plane, configuration(), kubeconfig=jane)
    process.start(ready=False)
    try:
        eventually("a reason", lambda: ": forbidden; grant verb" in process.log)
        eventually("all that is missing", lambda: "Rights are missing" in process.log)
        eventually("its port", lambda: process.get("/livez") == "ok")
        assert not process.is_ready()
    finally:
        code = process.stop()
    assert code == 0


def test_18_it_ends_when_it_is_told_to(pallet: Pallet) -> None:
    assert pallet.stop() == 0
    pallet.start()
