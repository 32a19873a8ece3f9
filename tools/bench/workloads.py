"""What is scheduled: one line of a table for each workload."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tools.bench import manifests
from tools.bench.manifests import Manifest


def nothing(_: int, __: int) -> Iterator[Manifest]:
    """No pods beside the backlog."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Workload:
    """A backlog of pods, and what stands beside it."""

    name: str
    pod: Callable[[int], Manifest]
    """Makes the pod of the backlog with a number, from 0."""
    pods: int
    """How many are scheduled unless something else is asked for."""
    standing: Callable[[int, int], Iterator[Manifest]] = nothing
    """Makes the pods that are there before, from the number of nodes and the size of the backlog."""
    needs: str = ""
    """The plugin without which the workload is not what it is called."""
    most_by_node: float = float("inf")
    """So many pods there can be for each node, at most."""
    sets: int = 0
    """So many pods make a set; 0 where there are no sets."""

    def size(self, nodes: int, pods: int | None = None) -> int:
        """The backlog's size: what is asked for, or the usual, or as much as the nodes can take."""
        return int(min(self.pods if pods is None else pods, nodes * self.most_by_node))

    def backlog(self, pods: int) -> list[Manifest]:
        """The pods to schedule, in their order."""
        return [self.pod(number) for number in range(pods)]


_ALL = (
    Workload("plain", manifests.plain, 3000),
    Workload("anti-affinity", manifests.anti_affine, 1500),
    Workload("preferred-anti-affinity", manifests.preferably_anti_affine, 1500),
    Workload("affinity", manifests.affine, 1500),
    Workload("preferred-affinity", manifests.preferably_affine, 1500),
    Workload("spreading", manifests.spread, 1500, needs="PodTopologySpread"),
    Workload("preferred-spreading", manifests.preferably_spread, 1500, needs="PodTopologySpread"),
    Workload("node-affinity", manifests.node_affine, 1500),
    Workload("volumes", manifests.with_volume, 1000, needs="VolumeBinding"),
    Workload(
        "preemption",
        manifests.important,
        500,
        manifests.unimportant,
        needs="DefaultPreemption",
        most_by_node=0.5,
    ),
    Workload("unschedulable", manifests.churn, 1500),
    Workload("gated", manifests.plain, 3000, manifests.gated),
    Workload("mixed", manifests.mixed, 1500, needs="PodTopologySpread"),
    Workload("podsets", manifests.plain, 5000, sets=50),
)

WORKLOADS: Mapping[str, Workload] = {each.name: each for each in _ALL}
"""By the name they have on the command line and in tables."""
