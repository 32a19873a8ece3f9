"""The largest pods of one user beside those of another: they are scheduled, and no other pod waits."""

import pytest

from tests.e2e.workload import Workload, eventually
from tests.running import Pallet
from tools.bench.attacks import REQUIRED
from tools.bench.manifests import HOSTNAME

pytestmark = pytest.mark.e2e

TERMS = 2900


def apart_from(*apps: str, terms: int = TERMS) -> dict[str, object]:
    """Anti-affinity to many apps."""
    listed = [
        {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": app}}}
        for app in (*(f"app-{number}" for number in range(terms - len(apps))), *apps)
    ]
    return {"podAntiAffinity": {REQUIRED: listed}}


def test_large_pods_are_scheduled_one_at_a_time_and_told_so(workload: Workload, pallet: Pallet) -> None:
    first, second = workload.pool.add(2)
    workload.add_pods("a", nodeName=first)
    workload.await_bound("a")
    workload.add_pods("large-1 large-2", affinity=apart_from("a"))
    workload.add_pods("b")
    nodes = workload.await_bound("a b large-1 large-2")
    assert nodes["large-1"] == nodes["large-2"] == second
    note = eventually("an event", lambda: workload.events("large-2").get("SchedulingDelayed"))
    assert f"The pod has {TERMS:,} terms" in note


def test_as_much_as_the_api_server_takes_is_scheduled(workload: Workload, pallet: Pallet) -> None:
    first, second = workload.pool.add(2)
    terms = [*(f"none-{number}" for number in range(8000)), second]
    expressions = [[{"key": HOSTNAME, "operator": "In", "values": [each]}] for each in terms]
    required = {"nodeSelectorTerms": [{"matchExpressions": each} for each in expressions]}
    workload.add_pods("picky", affinity={"nodeAffinity": {REQUIRED: required}})
    tolerations = [{"key": f"k-{number}", "operator": "Exists"} for number in range(20_000)]
    tolerations += workload.pool.placement["tolerations"]
    workload.add_pods("tolerant", tolerations=tolerations)
    workload.add_pods("a", nodeName=first)
    workload.add_pods("apart", affinity=apart_from("a", terms=9000))
    workload.add_pods("ordinary")
    nodes = workload.await_bound("picky tolerant a apart ordinary")
    assert nodes["apart"] == second
    assert nodes["picky"] == second
    assert nodes["tolerant"] in (first, second)
    note = eventually("an event", lambda: workload.events("picky").get("SchedulingDelayed"))
    # the node selector of the pool is one of them
    assert "The pod has 8,002 expressions in spec.nodeSelector and spec.affinity.nodeAffinity" in note


def test_a_large_pod_that_was_put_on_a_node_is_counted_there(workload: Workload, pallet: Pallet) -> None:
    first, second = workload.pool.add(2)
    workload.add_pods("large", affinity=apart_from("a", "b"), nodeName=first)
    workload.add_pods("a b")
    assert workload.await_bound("a b") == {"large": first, "a": second, "b": second}
