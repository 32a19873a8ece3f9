"""Without leader election: of the replicas of one Deployment only the oldest schedules."""

from functools import partial

import pytest

from pallet.api.pod import Pod
from pallet.app.own_pod import OtherReplicaError, require_no_other_replica
from pallet.informers.store import Store
from pallet.testing.builders import make_pod

LABELS = {"app": "scheduler", "pod-template-hash": "b"}

replica = partial(make_pod, node="n", labels=LABELS, created=5)
OURS = replica("ours", created=10)


def look(*pods: Pod, name: str = "ours") -> None:
    """Ask in a pod, with these in the cluster."""
    store: Store[Pod] = Store()
    for pod in pods:
        store.put(pod)
    require_no_other_replica(store, "default", name)


@pytest.mark.parametrize("revision", ["b", "a"], ids=["same rollout", "rollout before"])
def test_an_older_replica_schedules_so_this_process_ends(revision: str) -> None:
    older = replica("older", labels={**LABELS, "pod-template-hash": revision})
    with pytest.raises(OtherReplicaError, match=r"default/older is another replica.*config/one-replica"):
        look(OURS, older)


def test_of_two_created_in_one_second_the_first_by_name_schedules() -> None:
    twins = replica("a"), replica("b")
    look(*twins, name="a")
    with pytest.raises(OtherReplicaError, match="default/a "):
        look(*twins, name="b")


@pytest.mark.parametrize(
    "other",
    [
        replica("younger", created=11),
        replica("ending", deleted=9),
        replica("ended", phase="Failed"),
        replica("pending", node=""),
        replica("elsewhere", namespace="elsewhere"),
        replica("of-others", labels={**LABELS, "app": "web"}),
        replica("of-no-deployment", labels={"app": "scheduler"}),
    ],
    ids=lambda pod: pod.metadata.name,
)
def test_what_is_no_older_replica_is_nothing(other: Pod) -> None:
    look(OURS, other)


def test_a_pod_of_no_deployment_has_no_replicas() -> None:
    alike = {"app": "scheduler"}
    look(replica("ours", labels=alike, created=10), replica("older", labels=alike))


def test_a_process_beside_the_cluster_has_no_replicas() -> None:
    look(replica("older"), name="machine")
