"""The pods of all namespaces as the API server shows them, and when each was bound."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import msgspec

from tools.bench.observer import Line, Metadata, Spec, Watch, Watched, access
from tools.bench.spawned import ObserverError

POLL_SECONDS: Final = 1.0
"""As upstream: the end of a measurement is seen at most so late."""
PATIENCE_SECONDS: Final = 600.0


class PodMetadata(Metadata, rename="camel"):
    """What tells pods apart."""

    namespace: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Condition(msgspec.Struct):
    """Of a condition, its type."""

    type: str = ""


class PodStatus(msgspec.Struct):
    """Of a status, the conditions."""

    conditions: list[Condition] = msgspec.field(default_factory=list)


class Pod(Watched, rename="camel"):
    """A pod as it is watched."""

    metadata: PodMetadata = msgspec.field(default_factory=PodMetadata)
    status: PodStatus = msgspec.field(default_factory=PodStatus)
    spec: Spec = msgspec.field(default_factory=Spec)


class PodLine(Line):
    """A line of a watch of pods."""

    object: Pod


@dataclass(frozen=True, slots=True)
class Selection:
    """Pods of some namespaces (of all where none is named) with some labels."""

    namespaces: Collection[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def has(self, pod: Pod) -> bool:
        """Whether a pod is one of them."""
        metadata = pod.metadata
        if self.namespaces and metadata.namespace not in self.namespaces:
            return False
        return all(metadata.labels.get(key) == value for key, value in self.labels.items())


class Pods:
    """The pods as last seen, and all bindings of them. One thread writes."""

    def __init__(self) -> None:
        self._pods: dict[tuple[str, str], Pod] = {}
        self._bindings: list[tuple[float, Pod]] = []

    def take(self, at: float, line: Line) -> None:
        """Take one change in."""
        pod = cast("Pod", line.object)
        key = pod.metadata.namespace, pod.metadata.name
        if line.type == "DELETED":
            self._pods.pop(key, None)
            return
        before = self._pods.get(key)
        self._pods[key] = pod
        if pod.spec.node_name and not (before and before.spec.node_name):
            self._bindings.append((at, pod))

    def bound(self, selection: Selection, since: float) -> list[float]:
        """When pods of a selection were bound, in order."""
        return [at for at, pod in self._bindings[:] if at > since and selection.has(pod)]

    def scheduled(self, selection: Selection) -> int:
        """How many pods of a selection have a node."""
        return sum(bool(pod.spec.node_name) for pod in self._pods.copy().values() if selection.has(pod))

    def attempted(self, selection: Selection) -> int:
        """How many pods of a selection have a node, or were tried."""
        pods = self._pods.copy().values()
        return sum(bool(pod.spec.node_name) or _tried(pod) for pod in pods if selection.has(pod))

    def names(self, selection: Selection) -> list[str]:
        """The names of the pods of a selection."""
        return [pod.metadata.name for pod in self._pods.copy().values() if selection.has(pod)]


def watch(kubeconfig: Path, pods: Pods) -> Watch:
    """Start to watch all pods. Raises ObserverError."""
    server, context = access(kubeconfig)
    started = Watch(server, context, "/api/v1/pods", "", pods.take, msgspec.json.Decoder(PodLine))
    started.start()
    return started


def wait(done: Callable[[], bool], what: str, broken: Callable[[], str]) -> None:
    """Look once a second. Raises TimeoutError, and ObserverError where a watch or a scheduler broke."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if error := broken():
            raise ObserverError(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {PATIENCE_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _tried(pod: Pod) -> bool:
    return any(each.type == "PodScheduled" for each in pod.status.conditions)
