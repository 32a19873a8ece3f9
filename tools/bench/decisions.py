"""The decision alone: choose a node and assume the pod there, in this process, without decoding and writes.

The objects are those of the workloads, given to the informers of a scheduler that has no client, so that its
cache is filled as in life. Time is the thread's own CPU time: what else the machine does is not in it.
"""

import gc
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from pallet.api.codec import decoder
from pallet.api.core import NAMESPACES
from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod, PodStatus
from pallet.api.resource import Resource
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.runtime.evaluator import Evaluator
from tools.bench import rules, volumes
from tools.bench.manifests import SCHEDULER_NAME, Manifest, node_labels, node_name
from tools.bench.offline import offline_graph
from tools.bench.workloads import Workload
from tools.controlplane import nodes

if TYPE_CHECKING:
    from pallet.runtime.profile import Profile

NAMESPACE = "bench"
STORAGE_CLASS = "bench"


@dataclass(frozen=True, slots=True)
class Run:
    """The microseconds that each pod of one run took, and how many were given a node, as they should be."""

    microseconds: list[float]
    placed: int
    fitting: int
    """So many pods fit somewhere."""


class Decider:
    """A scheduler's cache and profile in front of one workload."""

    def __init__(self, workload: Workload, node_count: int, pods: int) -> None:
        """Fill the cache, and make the pods that will be decided."""
        self._graph = offline_graph()
        backlog = workload.backlog(pods)
        self._fill(workload, node_count, backlog)
        self._fitting = sum(map(rules.fits, backlog))
        self._infos = [PodInfo(_pod(manifest)) for manifest in backlog]
        self._cache = self._graph.cache
        self.profile: Profile = self._graph.profiles[SCHEDULER_NAME]
        rng = Random(1)  # noqa: S311  # it breaks ties
        self._evaluator = Evaluator(self.profile, self._cache.snapshot, rng)

    def run(self) -> Run:
        """Decide all pods."""
        gc.collect()
        gc.freeze()
        taken, placed = [], 0
        for info in self._infos:
            started = time.thread_time_ns()
            found, nominated = self._cycle(info)
            nanoseconds = time.thread_time_ns() - started
            if nominated:
                again = self._make_room(info, nominated)
                started = time.thread_time_ns()
                found, _ = self._cycle(again)
                nanoseconds += time.thread_time_ns() - started
            taken.append(nanoseconds / 1000)
            placed += found
        gc.unfreeze()
        return Run(taken, placed, self._fitting)

    def _cycle(self, info: PodInfo) -> tuple[bool, str | None]:
        """The scheduling cycle of one pod: whether it has a place, and else the node nominated for it."""
        state = CycleState()
        evaluator = self._evaluator
        choice = evaluator.choose(state, info)
        if choice.node is None:
            for post_filter in self.profile.post_filter:
                nominated, status = post_filter.post_filter(
                    state, info, evaluator.snapshot, choice.refusals, evaluator.row_filters
                )
                if status.ok:
                    return False, nominated
            return False, None
        self._cache.assume(info, choice.node)
        for plugin in self.profile.reserve:
            plugin.reserve(state, info, choice.node)
        return True, None

    def _make_room(self, info: PodInfo, node: str) -> PodInfo:
        """End a node's less important pods, as the API server would, and nominate the node for the pod."""
        snapshot = self._cache.snapshot
        for placed in list(snapshot.pods(snapshot.table.row_of[node])):
            if placed.pod.spec.priority < info.pod.spec.priority:
                self._cache.drop_pod(placed.pod)
        return PodInfo(msgspec.structs.replace(info.pod, status=PodStatus(nominated_node_name=node)))

    def _fill(self, workload: Workload, node_count: int, backlog: list[Manifest]) -> None:
        self._put(NAMESPACES, [{"metadata": {"name": NAMESPACE}}])
        self._put(NODES, (node_manifest(number) for number in range(node_count)))
        if claims := volumes.claims(backlog, STORAGE_CLASS):
            self._put(STORAGE_CLASSES, [volumes.local_class(STORAGE_CLASS)])
            self._put(PERSISTENT_VOLUME_CLAIMS, claims)
        self._put(PODS, workload.standing(node_count, len(backlog)))

    def _put(self, resource: Resource[Any], objects: Iterable[Manifest]) -> None:
        informer = self._graph.informers.informer(resource)
        namespace = NAMESPACE if resource.namespaced else ""
        for manifest in objects:
            informer.put(object_of(resource.kind, manifest, namespace))


def _pod(manifest: Manifest) -> Pod:
    pod: Pod = object_of(Pod, manifest, NAMESPACE)
    return pod


def node_manifest(number: int) -> Manifest:
    """The node with this number."""
    return nodes.manifest(node_name(number), labels=node_labels(number), taints=(), capacity={}, ready=True)


def object_of(kind: Any, manifest: Manifest, namespace: str, version: str = "1") -> Any:
    """What the API server would make of a manifest, as far as it is read."""
    meta = manifest["metadata"]
    own = {"namespace": namespace, "uid": f"uid-{namespace}-{meta['name']}", "resourceVersion": version}
    return decoder(kind)(json.dumps({**manifest, "metadata": {**meta, **own}}).encode())
