"""Runs a workload's operations against an API server, and measures as upstream does."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import singledispatchmethod
from itertools import count as numbers
from pathlib import Path
from typing import Any, Final

from tools.bench.manifests import Manifest
from tools.bench.upstream import manifests
from tools.bench.upstream.manifests import Template, collection
from tools.bench.upstream.operations import (
    Barrier,
    Churn,
    CreateAny,
    CreateNamespaces,
    CreateNodes,
    CreatePods,
    CreatePodSets,
    DeletePods,
    Operation,
    Sleep,
    StartCollectingMetrics,
    StopCollectingMetrics,
    UpdateAny,
)
from tools.bench.upstream.pods import Pods, Selection, wait
from tools.bench.upstream.throughput import average, samples
from tools.bench.upstream.workloads import Workload, seconds
from tools.controlplane import ApiError, Client

PARALLEL: Final = 30
"""Requests at a time that create pods, as upstream's."""
NAMESPACES: Final = "/api/v1/namespaces"


class Executor:
    """One run of one workload; a context manager, which ends what runs beside."""

    def __init__(self, client: Client, pods: Pods, broken: Callable[[], str], workload: Workload) -> None:
        self._client = client
        self._pods = pods
        self._broken = broken
        self._workload = workload
        self._waiting: Counter[str] = Counter()
        """By namespace, how many pods were created that no operation has waited for."""
        self._namespaces: set[str] = set()
        self._nodes = 0
        self._measuring: tuple[float, Selection] | None = None
        self._measured: list[list[float]] = []
        self._done = threading.Event()
        self._beside: list[threading.Thread] = []
        self._faults: list[str] = []

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._beside:
            thread.join()

    def run(self) -> float | None:
        """Do all operations; the throughput of the first measurement that has one.

        Raises TimeoutError, ApiError and ObserverError.
        """
        for index, step in enumerate(self._workload.operations):
            self._do(step, index)
        return next((average(each) for each in self._measured if each), None)

    @singledispatchmethod
    def _do(self, step: Operation, _: int) -> None:
        raise TypeError(f"no such operation: {step}")

    @_do.register
    def _(self, step: CreateNodes, _: int) -> None:
        template = self._template(step.node_template_path, manifests.plain_node())
        nodes = [
            manifests.named_node(
                template.object(index, step.count, step.template_params), self._nodes + index, index, step
            )
            for index in range(step.count)
        ]
        self._nodes += step.count
        csi_nodes = [manifests.csi_node(node["metadata"]["name"], step) for node in nodes]
        self._client.request_all("POST", ((manifests.CSI_NODES, each) for each in csi_nodes if each))
        self._client.request_all("POST", (("/api/v1/nodes", each) for each in nodes))

    @_do.register
    def _(self, step: CreateNamespaces, _: int) -> None:
        template = self._template(step.namespace_template_path, {"metadata": {}})
        for index in range(step.count):
            namespace = template.object(index, step.count, {})
            namespace.setdefault("metadata", {})["name"] = f"{step.prefix}-{index}"
            self._ensure(f"{step.prefix}-{index}", namespace)

    @_do.register
    def _(self, step: CreatePods, index: int) -> None:
        namespace = step.namespace or f"namespace-{index}"
        self._ensure(namespace)
        if step.collect_metrics:
            self._measuring = time.monotonic(), Selection((namespace,))
        self._create_pods(step, namespace)
        if step.skip_wait_to_completion:
            self._waiting[namespace] += step.count
        else:
            self._wait_scheduled(Selection((namespace,)), step.count)
        if step.collect_metrics:
            self._stop_measuring()

    @_do.register
    def _(self, step: CreatePodSets, _: int) -> None:
        for number in range(step.count):
            namespace = f"{step.namespace_prefix}-{number}"
            self._ensure(namespace)
            self._create_pods(step.create_pods_op, namespace)
            self._wait_scheduled(Selection((namespace,)), step.create_pods_op.count)

    @_do.register
    def _(self, step: DeletePods, _: int) -> None:
        names = self._pods.names(Selection((step.namespace,), step.label_selector))
        if step.skip_wait_to_completion:
            self._start(lambda: self._delete(step, names))
        else:
            self._delete(step, names)

    @_do.register
    def _(self, step: Churn, index: int) -> None:
        namespace = step.namespace or f"namespace-{index}"
        self._ensure(namespace)
        objects = [self._template(path).object(0, 1, {}) for path in step.template_paths]
        self._start(lambda: self._churn(step, namespace, objects))

    @_do.register
    def _(self, step: Barrier, _: int) -> None:
        for namespace in step.namespaces or list(self._waiting):
            selection, wanted = Selection((namespace,), step.label_selector), self._waiting[namespace]
            if step.stage_requirement == "Attempted":
                self._wait(lambda: self._pods.attempted(selection) >= wanted, "trying pods")  # noqa: B023
            else:
                self._wait_scheduled(selection, wanted)
                del self._waiting[namespace]

    @_do.register
    def _(self, step: Sleep, _: int) -> None:
        time.sleep(seconds(step.duration))

    @_do.register
    def _(self, step: CreateAny, _: int) -> None:
        if step.namespace:
            self._ensure(step.namespace)
        template = self._template(step.template_path)
        for index in range(step.count):
            made = template.object(index, step.count, step.template_params)
            self._client.request("POST", collection(made, step.namespace), made)

    @_do.register
    def _(self, step: UpdateAny, _: int) -> None:
        template = self._template(step.template_path)
        ticks = _ticks(step.update_per_second)
        for index in range(step.count):
            ticks()
            made = template.object(index, step.count, {})
            path = f"{collection(made, step.namespace)}/{made['metadata']['name']}"
            self._client.request("PUT", "/".join((path, *step.subresources)), made)
            self._client.request("PUT", f"{path}/status", made)

    @_do.register
    def _(self, step: StartCollectingMetrics, _: int) -> None:
        self._measuring = time.monotonic(), Selection(step.namespaces, step.label_selector)

    @_do.register
    def _(self, _: StopCollectingMetrics, __: int) -> None:
        self._stop_measuring()

    def _stop_measuring(self) -> None:
        if self._measuring:
            start, selection = self._measuring
            self._measured.append(samples(self._pods.bound(selection, start), start, time.monotonic()))
            self._measuring = None

    def _create_pods(self, step: CreatePods, namespace: str) -> None:
        path = step.pod_template_path or self._workload.pod_template
        template = self._template(path, manifests.plain_pod())

        def create(index: int) -> None:
            pod = template.object(index, step.count, step.template_params)
            if path:
                labels = pod["metadata"].setdefault("labels", {})
                labels["signature"] = f"signature-label-{index // step.signature_batch_size}"
            if step.persistent_volume_claim_template_path and step.persistent_volume_template_path:
                volume = self._template(step.persistent_volume_template_path).object(index, 1, {})
                claim = self._template(step.persistent_volume_claim_template_path).object(index, 1, {})
                self._create_volume(namespace, *manifests.bound_volume(volume, claim, namespace, index))
                pod = manifests.with_claim(pod, index)
            self._client.request("POST", f"{NAMESPACES}/{namespace}/pods", pod)

        with ThreadPoolExecutor(PARALLEL) as pool:
            for _ in pool.map(create, range(step.count)):
                pass

    def _create_volume(self, namespace: str, volume: Manifest, claim: Manifest) -> None:
        for path, made in (
            (f"{NAMESPACES}/{namespace}/persistentvolumeclaims", claim),
            ("/api/v1/persistentvolumes", volume),
        ):
            self._client.request("POST", path, made)
            # Creating resets the status.
            self._client.request("PUT", f"{path}/{made['metadata']['name']}/status", made)

    def _delete(self, step: DeletePods, names: Sequence[str]) -> None:
        ticks = _ticks(step.delete_pods_per_second)
        for name in names:
            if self._done.is_set():
                return
            ticks()
            self._client.request("DELETE", f"{NAMESPACES}/{step.namespace}/pods/{name}")

    def _churn(self, step: Churn, namespace: str, objects: Sequence[Manifest]) -> None:
        made: dict[tuple[int, int], str] = {}
        cycles = range(step.number) if step.mode == "create" and step.number else numbers()
        for cycle in cycles:
            if self._done.wait(step.interval_milliseconds / 1000):
                return
            for place, obj in enumerate(objects):
                path = collection(obj, namespace)
                key = place, cycle % (step.number or 1)
                if step.mode == "recreate" and key in made:
                    self._client.request("DELETE", f"{path}/{made.pop(key)}")
                else:
                    made[key] = self._client.request("POST", path, obj)["metadata"]["name"]

    def _start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except ApiError as error:
                self._faults.append(str(error))

        self._beside.append(threading.Thread(target=run))
        self._beside[-1].start()

    def _wait_scheduled(self, selection: Selection, wanted: int) -> None:
        self._wait(lambda: self._pods.scheduled(selection) >= wanted, "scheduling pods")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        wait(done, what, lambda: next(iter(self._faults), "") or self._broken())

    def _ensure(self, name: str, namespace: Mapping[str, Any] | None = None) -> None:
        if name not in self._namespaces:
            self._namespaces.add(name)
            self._client.request("POST", NAMESPACES, namespace or {"metadata": {"name": name}})

    def _template(self, path: str | Path | None, default: Manifest | None = None) -> Template:
        if path is None:
            return Template("", default)
        return Template.of(self._workload.folder / path)


def _ticks(rate: int) -> Callable[[], None]:
    """Waits, when called, until the next tick of so many a second; not at all for 0."""
    started, calls = time.monotonic(), numbers(1)

    def wait_for_tick() -> None:
        if rate:
            time.sleep(max(0.0, started + next(calls) / rate - time.monotonic()))

    return wait_for_tick
