"""What is in the cache and in the queue, and where they differ from the API, for the log.

kube-scheduler's CacheDebugger (pkg/scheduler/backend/cache/debugger) does the same on the same signal. The
watches may be behind the API by a little, and the cache is compared with what they have told.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from pallet.api.meta import key_of
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.requests import CPU, MEMORY, PODS
from pallet.cache.cache import Cache, Hold
from pallet.cache.resource_columns import NATIVE, added
from pallet.informers.store import Store
from pallet.scheduler.queue import SchedulingQueue

MISMATCH = "Cache mismatch"
NODE = "Dump of cached NodeInfo"
QUEUED = "Dump of scheduling queue"
SUMMARY = "Compared cache and queue with the API"


class Line(NamedTuple):
    """One line for the log."""

    message: str
    fields: dict[str, object]


class CacheDebugger:
    """Compares and dumps, in small steps: after each something else may run, and None says no more than that.

    `nodes` and `pods` are what the informers know; `scheduler_names` those whose pods the queue takes.
    """

    def __init__(
        self,
        cache: Cache,
        queue: SchedulingQueue,
        nodes: Store[Node],
        pods: Store[Pod],
        scheduler_names: Collection[str],
    ) -> None:
        self._cache, self._queue = cache, queue
        self._nodes, self._pods = nodes, pods
        self._scheduler_names = frozenset(scheduler_names)

    def lines(self) -> Iterator[Line | None]:
        """Every mismatch, then what is held, then a summary."""
        mismatches = 0
        for line in self.compare():
            mismatches += line is not None
            yield line
        yield from self._dump_nodes()
        counts: dict[str, int] = defaultdict(int)
        for place, queued in self._queue.places():
            counts[place.replace(" ", "_")] += 1
            fields = {"place": place, "pod": queued.pod.key, "attempts": queued.attempts}
            yield Line(QUEUED, {**fields, "refused_by": ",".join(sorted(queued.refused_by))})
        sizes = {"nodes": len(self._nodes), "pods": len(self._pods)}
        held = {hold.name.lower(): self._cache.count(hold) for hold in Hold}
        yield Line(SUMMARY, {"mismatches": mismatches, **sizes, **held, **counts})

    def compare(self) -> Iterator[Line | None]:
        """Where cache and queue say something else than the API."""
        for node in self._nodes.list():
            yield self._of_node(node)
        table = self._cache.snapshot.table
        for name in list(table.row_of):
            redundant = name not in self._nodes
            yield _mismatch(f"node {name}", "is in the cache and not in the API") if redundant else None
        for pod in self._pods.list():
            yield self._of_pod(pod)
        for uid, placement in self._cache.locations():
            yield self._of_redundant(uid, placement.info.pod, f"is {placement.hold.name.lower()}")
        for place, queued in self._queue.places():
            yield self._of_redundant(queued.uid, queued.pod, f"is {place}")

    def _of_node(self, node: Node) -> Line | None:
        """Compare one node, if it has not changed meanwhile."""
        name = node.metadata.name
        if self._nodes.get(name) is not node:
            return None
        snapshot = self._cache.snapshot
        row = snapshot.table.row_of.get(name)
        cached = None if row is None else snapshot.table.nodes[row]
        if row is None or cached is None:
            return _mismatch(f"node {name}", "is in the API and not in the cache")
        if cached.metadata.uid != node.metadata.uid or cached.status != node.status:
            return _mismatch(f"node {name}", "is older in the cache than in the API")
        pods = list(snapshot.pods(row))
        for resource in NATIVE:
            expected = sum(added(info.requests, resource) for info in pods)
            counted = snapshot.table.resources[resource].requested.item(row)
            if counted != expected and not snapshot.table.resources.is_overfull(row):
                words = f"has {counted} of {resource} requested, and its pods ask for {expected}"
                return _mismatch(f"node {name}", words)
        strangers = [info.pod.key for info in pods if not self._is_counted(info.uid, name)]
        return _mismatch(f"node {name}", f"holds {','.join(strangers)}") if strangers else None

    def _is_counted(self, uid: str, node: str) -> bool:
        placement = self._cache.location(uid)
        return placement is not None and placement.node == node

    def _of_pod(self, pod: Pod) -> Line | None:
        """Compare one pod, if it has not changed meanwhile."""
        if self._pods.get(key_of(pod)) is not pod or pod.finished:
            return None
        placement, uid = self._cache.location(pod.metadata.uid), pod.metadata.uid
        if pod.spec.node_name:
            if placement is None or placement.hold is not Hold.BOUND or placement.node != pod.spec.node_name:
                held = f"{placement.hold.name.lower()} on {placement.node}" if placement else "nowhere"
                words = f"is on {pod.spec.node_name} in the API and {held} in the cache"
                return _mismatch(f"pod {pod.key}", words)
            return None
        if placement is not None and placement.hold is Hold.BOUND:
            return _mismatch(f"pod {pod.key}", f"is pending in the API and bound to {placement.node} here")
        assumed = placement is not None and placement.hold is Hold.ASSUMED
        if pod.spec.scheduler_name not in self._scheduler_names or pod.terminating or assumed:
            return None
        places = self._queue.places_of(uid)
        if len(places) == 1:
            return None
        words = f"is pending in the API, in the queue it is {' and '.join(places) or 'nowhere'}"
        return _mismatch(f"pod {pod.key}", words)

    def _of_redundant(self, uid: str, pod: Pod, held: str) -> Line | None:
        """Compare what is held of a pod, if it is held."""
        known = self._pods.get(pod.key)
        if known is not None and known.metadata.uid == uid and not known.finished:
            return None
        still = self._cache.location(uid) is not None or self._queue.places_of(uid)
        return _mismatch(f"pod {pod.key}", f"{held} here and gone in the API") if still else None

    def _dump_nodes(self) -> Iterator[Line]:
        table = self._cache.snapshot.table
        for name in list(table.row_of):
            row = table.row_of.get(name)
            if row is not None:
                amounts = {
                    resource: table.resources[resource].requested.item(row)
                    for resource in (CPU, MEMORY, PODS)
                }
                yield Line(NODE, {"node": name, **amounts})


def _mismatch(subject: str, words: str) -> Line:
    return Line(MISMATCH, {"object": subject, "mismatch": words})
