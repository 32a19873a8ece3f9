"""The largest pods of one user beside those of another: refused or counted, and no other pod waits."""

import pytest

from tests.e2e.workload import Workload, eventually
from tests.running import Pallet
from tools.bench.attacks import REQUIRED
from tools.bench.manifests import HOSTNAME

pytestmark = pytest.mark.e2e

TERMS = 2900


def apart_from(*apps: str) -> dict[str, object]:
    """Anti-affinity to many apps."""
    terms = [
        {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": app}}}
        for app in (*(f"app-{number}" for number in range(TERMS - len(apps))), *apps)
    ]
    return {"podAntiAffinity": {REQUIRED: terms}}


def test_a_pod_beyond_the_limits_is_told_so_and_others_are_bound(workload: Workload, pallet: Pallet) -> None:
    workload.pool.add(1)
    workload.add_pods("large", affinity=apart_from())
    workload.add_pods("ordinary")
    assert workload.await_bound("ordinary").keys() == {"ordinary"}
    note = eventually("an event", lambda: workload.events("large").get("FailedScheduling"))
    assert f"the pod has {TERMS:,} terms in spec.affinity.podAffinity" in note
    workload.await_reason("large", "Unschedulable")


def test_a_large_pod_that_was_put_on_a_node_is_counted_there(workload: Workload, pallet: Pallet) -> None:
    first, second = workload.pool.add(2)
    workload.add_pods("large", affinity=apart_from("a", "b"), nodeName=first)
    workload.add_pods("a b")
    assert workload.await_bound("a b") == {"large": first, "a": second, "b": second}
