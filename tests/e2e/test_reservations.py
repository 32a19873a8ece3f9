"""Room that is reserved for sets, on the real control plane."""

import pytest

from tests.e2e.workload import Workload, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("pallet")]


def test_a_plan_by_hand_closes_no_node_to_others(workload: Workload) -> None:
    """Nor do pods with scheduling gates of their own."""
    nodes = workload.pool.add(3)
    huge = {f"huge-{number}": node for number, node in enumerate(nodes)}
    workload.add_pods(huge, "huge", cpu="10000")
    workload.add_pods("gated", "gated", cpu="8", schedulingGates=[{"name": "example.com/later"}])
    workload.write_plan("huge", huge)
    workload.write_plan("gated", {"gated": nodes[0]})
    workload.add_trigger("huge", "Schedule", name="huge")
    workload.add_trigger("gated", "Schedule", name="gated")
    eventually("an event", lambda: workload.events("huge").get("PlanEntriesNotUsed"))
    workload.add_pods("a b c", cpu="8")
    assert set(workload.await_bound("a b c").values()) == set(nodes)
    assert workload.status("huge").get("reserved", 0) == 0
    assert workload.status("gated").get("total", 0) == 0
