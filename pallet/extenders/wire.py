"""What goes over the wire to an extender, and what comes back.

The names are those of k8s.io/kube-scheduler/extender/v1, whose types carry no JSON names of their own:
requests are spelled as there, and answers are read whatever the case of their letters, as Go does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from pallet.api.codec import encode

MAX_EXTENDER_SCORE = 10
"""The highest score that an extender is to give."""

Document = bytes
"""A whole object of the API, as JSON."""

A = TypeVar("A")


class NodeMetadata(msgspec.Struct, frozen=True):
    """Of a node's metadata, the name."""

    name: str


class NamedNode(msgspec.Struct, frozen=True):
    """Of a node that an extender sends back, what tells which one it is."""

    metadata: NodeMetadata


class NodeList(msgspec.Struct, frozen=True):
    """Nodes that an extender sends back."""

    items: tuple[NamedNode, ...] | None = None


class FilterResult(msgspec.Struct, frozen=True):
    """Which nodes are left, and why the others are not."""

    nodes: NodeList | None = None
    nodenames: tuple[str, ...] | None = None
    failednodes: dict[str, str] | None = None
    failedandunresolvablenodes: dict[str, str] | None = None
    error: str | None = None


class HostPriority(msgspec.Struct, frozen=True):
    """A node's score."""

    host: str
    score: int


class BindingResult(msgspec.Struct, frozen=True):
    """Whether a pod was bound: without an error it was."""

    error: str | None = None


class MetaPod(msgspec.Struct, frozen=True):
    """A victim."""

    uid: str


class MetaVictims(msgspec.Struct, frozen=True):
    """The pods to be evicted from a node, and how many budgets that violates."""

    pods: tuple[MetaPod, ...] | None = None
    numpdbviolations: int = 0


class PreemptionResult(msgspec.Struct, frozen=True):
    """The nodes on which an extender agrees to preemption, with its victims."""

    nodenametometavictims: dict[str, MetaVictims] | None = None


def read(kind: type[A], body: bytes) -> A:
    """Read an answer; raises `msgspec.DecodeError` where it is not one."""
    return msgspec.convert(_lowered(msgspec.json.decode(body)), kind)


def args(pod: Document, *, names: Iterable[str] | None = None, nodes: Iterable[Document] = ()) -> bytes:
    """Ask about a pod and some nodes: their names for an extender that knows nodes, or else all of them."""
    if names is not None:
        return b'{"Pod":%b,"Nodes":null,"NodeNames":%b}' % (pod, encode(list(names)))
    return b'{"Pod":%b,"Nodes":{"metadata":{},"items":[%b]},"NodeNames":null}' % (pod, b",".join(nodes))


def binding_args(name: str, namespace: str, uid: str, node: str) -> bytes:
    """Ask for a pod to be bound."""
    return encode({"PodName": name, "PodNamespace": namespace, "PodUID": uid, "Node": node})


def preemption_args(
    pod: Document, victims: Mapping[str, Sequence[str | Document]], violations: Mapping[str, int]
) -> bytes:
    """Ask about victims by node, each given by its UID, or as a whole pod (Document)."""
    whole = any(isinstance(each, bytes) for pods in victims.values() for each in pods)
    by_node = {
        node: {
            "Pods": [msgspec.Raw(each) if whole else {"UID": each} for each in pods],
            "NumPDBViolations": violations[node],
        }
        for node, pods in victims.items()
    }
    given, other = ("NodeNameToVictims", "NodeNameToMetaVictims")[:: 1 if whole else -1]
    return encode({"Pod": msgspec.Raw(pod), given: by_node, other: None})


_OPEN = frozenset({"failednodes", "failedandunresolvablenodes", "nodenametometavictims"})
"""Mappings whose keys are names of nodes, not of fields."""


def _lowered(value: Any, *, fields: bool = True) -> Any:
    """The same with the names of fields in lower case; what a node list holds is left as it is."""
    if isinstance(value, list):
        return [_lowered(each) for each in value]
    if not isinstance(value, dict):
        return value
    if not fields:
        return {name: _lowered(each) for name, each in value.items()}
    return {name.lower(): _lowered(each, fields=name.lower() not in _OPEN) for name, each in value.items()}
