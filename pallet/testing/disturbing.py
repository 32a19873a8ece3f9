"""Changes of a cluster and of a pod, one at a time, to see whether a plugin notices what it depends on."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import Node, NodeStatus, Taint
from pallet.api.pod import Container, ContainerPort, Pod, ResourceRequirements, Toleration
from pallet.cache.cache import Cache

FEW = 3
"""So many nodes are changed, and so many pods placed on each and taken away."""

_OTHER = "asked-other"


def disturb(cache: Cache, pod: Pod) -> Iterator[None]:
    """Change the cluster in one way after the other; each change is undone before the next one."""
    snapshot = cache.snapshot
    found = [snapshot.node(row) for row in snapshot.rows()][:FEW]
    nodes = [each.node for each in found]
    guests = [pod, *(each.pod for node in found for each in node.pods)][:FEW]
    for node in found:
        for changed in _others_like_node(node.node, nodes):
            cache.put_node(changed)
            yield
            cache.put_node(node.node)
        for guest in guests:
            placed = _renamed(replace(guest, spec=replace(guest.spec, node_name=node.name)))
            cache.put_pod(placed)
            yield
            cache.drop_pod(placed)
        for each in node.pods[:FEW]:
            cache.drop_pod(each.pod)
            yield
            cache.put_pod(each.pod)
    for first in nodes[:1]:
        cache.put_node(replace(first, metadata=replace(first.metadata, name=_OTHER, uid=_OTHER)))
        yield
        cache.drop_node(_OTHER)


def _others_like_node(node: Node, nodes: Iterable[Node]) -> Iterator[Node]:
    """The node with one part of it changed, some as another node has it."""
    metadata, spec = node.metadata, node.spec
    yield replace(node, spec=replace(spec, unschedulable=not spec.unschedulable))
    yield replace(node, spec=replace(spec, taints=(*spec.taints, Taint(_OTHER, "NoSchedule"))))
    yield replace(node, status=NodeStatus())
    for field in ("labels", "annotations"):
        yield from (replace(node, metadata=each) for each in _others_like_metadata(metadata, field))
    for other in nodes:
        if other is not node:
            yield replace(node, metadata=replace(metadata, labels=other.metadata.labels))
            yield replace(node, spec=other.spec)
            yield replace(node, status=other.status)


def others_like(pod: Pod, declared: frozenset[str]) -> Iterator[Pod]:
    """The pod with another name, and with one more part of it changed; of `POD_METADATA` what is declared."""
    pod = _renamed(pod)
    yield pod
    metadata, spec = pod.metadata, pod.spec
    yield replace(pod, metadata=replace(metadata, namespace=_OTHER))
    yield replace(pod, metadata=replace(metadata, owner_references=()))
    for field in ("labels", *({"annotations"} & declared)):
        yield from (replace(pod, metadata=each) for each in _others_like_metadata(metadata, field))
    port = ContainerPort(host_port=1)
    changes: tuple[dict[str, Any], ...] = (
        {"priority": spec.priority + 1},
        {"node_selector": Labels({_OTHER: ""})},
        {"tolerations": (Toleration(operator="Exists"),)},
        {"containers": tuple(map(_larger, spec.containers))},
        {"containers": tuple(replace(each, image=_OTHER) for each in spec.containers)},
        {"containers": (*spec.containers, Container(_OTHER, ports=(port,)))},
        {"node_selector": Labels({})},
        {"tolerations": ()},
        {"affinity": None},
        {"topology_spread_constraints": ()},
        {"volumes": ()},
    )
    for change in changes:
        yield replace(pod, spec=replace(spec, **change))


def _others_like_metadata(metadata: ObjectMeta, field: str) -> Iterator[ObjectMeta]:
    """Metadata with one of its labels or annotations more, fewer, or with another value."""
    values: Labels = getattr(metadata, field)
    changed = [{**values, _OTHER: ""}]
    for name in values:
        changed += [{**values, name: _OTHER}, {each: values[each] for each in values if each != name}]
    for each in changed:
        yield replace(metadata, **{field: Labels(each)})


def _renamed(pod: Pod) -> Pod:
    return replace(pod, metadata=replace(pod.metadata, name=_OTHER, uid=_OTHER))


def _larger(container: Container) -> Container:
    """A container that requests more of everything, and some cpu."""
    requests = {name: f"1{quantity}" for name, quantity in container.resources.requests.items()}
    return replace(container, resources=ResourceRequirements(Labels({"cpu": "1", **requests})))
