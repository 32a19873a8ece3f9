"""`python -m tools.bench --objects`: what one large pod costs the event loop, by field.

Each field is as long as an object may be, and as long as a pod may have it that is scheduled. The steps are
those between which others run: the pod is decoded, taken in, compared with the placed pods (the longest slice
of that), decided, counted where it is bound already, and taken out; and a plain pod is decided beside it.
Time is the thread's own CPU time. Of the placed pods each has labels of its own.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final, TypeVar, cast

from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.cache.pod_info import PodInfo
from pallet.framework.state import CycleState
from pallet.informers.decoding import decode_event
from pallet.runtime import pod_limits
from pallet.runtime.counting import Counting
from pallet.runtime.evaluator import Evaluator
from pallet.runtime.pod_limits import check_limits
from tools.bench import attacks
from tools.bench.decisions import NAMESPACE, node_manifest, object_of
from tools.bench.manifests import SCHEDULER_NAME, Manifest, node_name, plain, pod
from tools.bench.offline import offline_graph
from tools.bench.tables import aligned

T = TypeVar("T")

LARGEST_BYTES: Final = 1_400_000
"""etcd takes objects of up to 1.5 MiB, and they are smaller there than as JSON."""
NODES_DEFAULT: Final = (100, 5000)
PODS_PER_NODE: Final = 2
STEPS: Final = ("decode", "take in", "compare", "decide", "count", "another", "take out")


@dataclass(frozen=True, slots=True)
class Cost:
    """The milliseconds of each step, for one length of one field."""

    field: str
    nodes: int
    entries: int
    scheduled: bool
    """Whether the pod is within the limits."""
    milliseconds: dict[str, float]


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The part of the command line: print tables, and return what the JSON file gets."""
    costs = []
    for nodes in arguments.nodes or NODES_DEFAULT:
        bench = Bench(nodes)
        for field in attacks.LONG:
            largest = entries_within(field, LARGEST_BYTES)
            for entries in dict.fromkeys((most_scheduled(field, largest), largest)):
                costs.append(bench.measure(field, entries))
                print(_line(costs[-1]), file=sys.stderr, flush=True)
    print(table(costs))
    return {"objects": [asdict(each) for each in costs]}, []


class Bench:
    """A scheduler's parts in front of a cluster without an API server."""

    def __init__(self, nodes: int) -> None:
        self._graph = offline_graph()
        self._nodes = nodes
        self._pods = self._graph.informers.informer(PODS)
        informer = self._graph.informers.informer(NODES)
        for number in range(nodes):
            informer.put(object_of(NODES.kind, node_manifest(number), ""))
        for number in range(nodes * PODS_PER_NODE):
            labels = {"app": f"app-{number // 100}", "pod": f"pod-{number}"}
            placed = pod(f"placed-{number}", labels=labels, nodeName=node_name(number % nodes))
            self._pods.put(object_of(Pod, placed, NAMESPACE))
        gc.freeze()  # as in the process, where little is looked at by a collection

    def measure(self, field: str, entries: int) -> Cost:
        """Take one large pod in, decide on it, count it on a node, and take it out."""
        taken: dict[str, float] = {}
        gc.collect()
        profile, snapshot = self._graph.profiles[SCHEDULER_NAME], self._graph.cache.snapshot
        evaluator = Evaluator(profile, snapshot, Random(1))  # noqa: S311  # it breaks ties
        counting = Counting(profile, snapshot)
        evaluator.choose(CycleState(), _info(plain(1)))
        made = attacks.LONG[field](f"large-{entries}", entries)
        line = b'{"type":"ADDED","object":' + _text(made) + b"}"
        event = _timed(taken, "decode", lambda: decode_event(PODS, line))
        large = cast("Pod", event.object if event else None)
        _timed(taken, "take in", lambda: self._pods.put(large))
        info = PodInfo(large)
        counted = _timed(taken, "compare", lambda: counting.counted(info))
        while not _timed(taken, "compare", lambda: counting.step(info, counted)):
            pass
        _timed(taken, "decide", lambda: evaluator.choose(CycleState(), info))
        made["spec"]["nodeName"] = node_name(0)
        bound = object_of(Pod, made, NAMESPACE, version="2")
        _timed(taken, "count", lambda: self._pods.put(bound))
        other = _info(pod("other", labels={"worst": f"value-{entries}"}))
        while not _timed(taken, "compare", lambda: counting.step(other, ())):
            pass
        _timed(taken, "another", lambda: evaluator.choose(CycleState(), other))
        _timed(taken, "take out", lambda: self._pods.remove(bound))
        return Cost(field, self._nodes, entries, check_limits(info).ok, taken)


def entries_within(field: str, size: int) -> int:
    """How many entries make a pod of at most so many bytes."""
    few, many = (len(_text(attacks.LONG[field]("p", count))) for count in (1000, 2000))
    entries = 1000 + int((size - few) / (many - few) * 1000)
    while len(_text(attacks.LONG[field]("p", entries))) > size:
        entries = int(entries * 0.98)
    return entries


def most_scheduled(field: str, largest: int) -> int:
    """How many entries a pod may have that is scheduled, as far as it may be so large."""
    low, high = 1, largest
    while low < high:
        middle = (low + high + 1) // 2
        if check_limits(_info(attacks.LONG[field]("p", middle))).ok:
            low = middle
        else:
            high = middle - 1
    return low


HEAD = ("one pod with so many", "entries", "nodes", *(f"{step}, ms" for step in STEPS), "")


def table(costs: list[Cost]) -> str:
    """A line for each length of each field."""
    return aligned([HEAD, *map(_cells, costs)])


def _cells(each: Cost) -> tuple[str, ...]:
    steps = (f"{each.milliseconds.get(step, 0.0):.0f}" for step in STEPS)
    refused = "" if each.scheduled else pod_limits.NAME
    return each.field, f"{each.entries:,}", f"{each.nodes:,}", *steps, refused


def _line(each: Cost) -> str:
    longest = max(each.milliseconds, key=lambda step: each.milliseconds[step])
    return f"{each.field}, {each.entries:,}: at most {each.milliseconds[longest]:.0f} ms ({longest})"


def _timed(taken: dict[str, float], step: str, work: Callable[[], T]) -> T:
    """Do one step, and keep its time if it is the longest of its name."""
    started = time.thread_time()
    done = work()
    taken[step] = max(taken.get(step, 0.0), (time.thread_time() - started) * 1000)
    return done


def _info(manifest: Manifest) -> PodInfo:
    return PodInfo(object_of(Pod, manifest, NAMESPACE))


def _text(manifest: Manifest) -> bytes:
    own = {"namespace": NAMESPACE, "uid": f"uid-{manifest['metadata']['name']}", "resourceVersion": "1"}
    return json.dumps({**manifest, "metadata": {**manifest["metadata"], **own}}).encode()
