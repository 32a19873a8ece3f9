"""What the original did right, on the real API server."""

import pytest

from pallet.api.plan_name import plan_name
from tests.e2e.workload import Workload, eventually
from tests.running import Pallet

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("pallet")]


def test_a_set_without_a_trigger_stays_pending_until_it_gets_one(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_pods("a b", "web")
    workload.await_reason("a b", "AwaitingTrigger")
    assert workload.condition("a")["message"] == (
        f'pod set "web" has no ScheduleTrigger in namespace "{workload.namespace}"'
    )
    workload.let_a_plain_pod_pass("plain")
    assert workload.bindings("web") == {}
    workload.add_trigger("web", "Schedule")
    workload.await_plan_as_bound("web", "a b")


def test_of_several_triggers_the_first_by_name_counts_and_the_others_say_so(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Schedule", name="second")
    workload.add_trigger("web", "Planning", name="first")
    conflict = eventually("a conflict", lambda: workload.status("second")["conditions"].get("Conflict"))
    assert 'ScheduleTrigger "first", the first by name, gates pod set "web"' in conflict["message"]
    workload.add_pods("a", "web")
    workload.await_reason("a", "AwaitingTrigger")
    assert "Conflict" not in workload.status("first")["conditions"]
    workload.request("DELETE", f"{workload.triggers_path}/first")
    workload.await_plan_as_bound("web", "a")
    eventually("no conflict", lambda: "Conflict" not in workload.status("second")["conditions"])


def test_a_pod_that_joins_a_set_in_schedule_is_planned_and_bound(workload: Workload) -> None:
    workload.pool.add(2)
    workload.add_trigger("web", "Schedule")
    workload.add_pods("a", "web")
    first = workload.await_plan_as_bound("web", "a")
    workload.add_pods("b", "web")
    both = workload.await_plan_as_bound("web", "a b")
    assert both["a"] == first["a"]
    workload.await_status(total=2, gated=0, planned=2, bound=2)
    conditions = workload.status()["conditions"]
    assert (conditions["Planned"]["status"], conditions["Bound"]["status"]) == ("True", "True")


def test_a_deleted_pod_leaves_the_plan_and_the_last_one_takes_it_with_it(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Schedule")
    workload.add_pods("a b", "web")
    workload.await_plan_as_bound("web", "a b")
    workload.delete_pod("a")
    workload.await_plan_as_bound("web", "b")
    workload.delete_pod("b")
    eventually("the plan to go", lambda: workload.plan_object("web") is None)
    workload.await_status(total=0, planned=0, bound=0)


def test_a_set_whose_name_makes_no_object_name_is_planned_too(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_trigger("My_Set", "Schedule")
    workload.add_pods("a", "My_Set")
    workload.await_plan_as_bound("My_Set", "a")
    assert plan_name(workload.namespace, "My_Set") in workload.status()["conditions"]["Planned"]["message"]


def test_pods_of_other_schedulers_are_left_alone(workload: Workload) -> None:
    workload.pool.add(1)
    workload.add_trigger("web", "Schedule")
    workload.add_pods("other", "web", schedulerName="somebody-else")
    workload.add_pods("ours", "web")
    workload.await_bound("ours")
    workload.let_a_plain_pod_pass("plain")
    assert "other" not in workload.bindings()
    assert workload.reason("other") == ""
    assert workload.plan("web").keys() == {"ours"}


def test_a_stored_plan_is_obeyed_by_the_process_that_comes_after(workload: Workload, pallet: Pallet) -> None:
    better, worse = workload.pool.add(2)
    workload.add_pods("load", nodeName=worse, cpu="4")
    pallet.kill()
    workload.add_trigger("web", "Schedule")
    workload.add_pods("a b", "web")
    workload.write_plan("web", {"a": worse, "b": worse})
    pallet.start()
    assert workload.await_plan_as_bound("web", "a b") == {"a": worse, "b": worse}
    workload.add_pods("c", "web")
    assert workload.await_plan_as_bound("web", "a b c")["c"] == better
