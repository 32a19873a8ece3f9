"""A cluster while it is being drawn: what the subjects add to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tools.parity.scenario import Manifest

T = TypeVar("T")

ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"

APPS = ("web", "db", "cache")
VERSIONS = ("v1", "v2")
TEAMS = ("red", "blue")


@dataclass(slots=True)
class Draft:
    """The objects so far, and the generator that decides. Values come from small pools, so that they meet."""

    rng: Random
    prefix: str
    namespaces: list[Manifest] = field(default_factory=list)
    nodes: list[Manifest] = field(default_factory=list)
    objects: list[Manifest] = field(default_factory=list)
    """Everything else but pods."""
    changes: list[Manifest] = field(default_factory=list)
    """See Scenario."""
    profiles: list[Manifest] = field(default_factory=lambda: [default_profile()])
    """As in a KubeSchedulerConfiguration."""
    extenders: list[Manifest] = field(default_factory=list)
    """See `tools.parity.extender`."""
    nodes_with_ports: set[str] = field(default_factory=set)
    """Where a pod has host ports. No other gets any: kube-scheduler forgets both when one of the two goes."""
    pods: int = 0
    """How many pods were drawn."""
    coming: int = 0
    """How many of them are to be scheduled; the step of the next one."""

    def chance(self, probability: float) -> bool:
        """Draw true with a probability between 0 and 1."""
        return self.rng.random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of several."""
        return self.rng.choice(choices)

    def some(self, choices: Sequence[T], most: int) -> list[T]:
        """Draw one or more different ones."""
        return self.rng.sample(choices, self.rng.randint(1, min(most, len(choices))))

    def namespace(self) -> str:
        """Draw the name of a namespace."""
        name: str = self.pick(self.namespaces)["metadata"]["name"]
        return name


@dataclass(frozen=True, slots=True)
class Subject:
    """One part of scheduling.

    `prepare` adds to the nodes and the objects of a cluster, `dress` to a pod; a pod that has a node in its
    spec is one of those that are there before. `needs` names the subjects without which this one says little.
    """

    name: str
    prepare: Callable[[Draft], None]
    dress: Callable[[Draft, Manifest], None]
    needs: tuple[str, ...] = ()


def default_profile() -> Manifest:
    """Make a profile that pods have who name none."""
    return {"schedulerName": "default-scheduler", "pluginConfig": [], "plugins": {}}


def nothing(_: Draft) -> None:
    """Prepare nothing."""


def undressed(_: Draft, __: Manifest) -> None:
    """Leave pods as they are: they say nothing of the subject."""


def requirement(draft: Draft, key: str, operator: str, values: Sequence[str]) -> Manifest:
    """A requirement of a label selector, with one or two of the values where the operator takes any."""
    if operator in ("Exists", "DoesNotExist"):
        return {"key": key, "operator": operator}
    return {"key": key, "operator": operator, "values": draft.some(values, 2)}


def pod_patch(pod: Manifest, patch: Manifest, subresource: str = "") -> Manifest:
    """A change of a pod, at the beginning (see `Scenario`)."""
    metadata = {name: pod["metadata"][name] for name in ("name", "namespace")}
    target = {"kind": "Pod", "metadata": metadata}
    return {"before": 0, "action": "patch", "object": target, "patch": patch, "subresource": subresource}


def is_bound(pod: Manifest) -> bool:
    """Whether a pod is drawn onto a node."""
    return "nodeName" in pod["spec"]
