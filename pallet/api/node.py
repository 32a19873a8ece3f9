"""Node, as far as a scheduler reads it."""

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource


class Taint(msgspec.Struct, frozen=True, gc=False):
    """What keeps pods without a matching toleration away from a node."""

    key: str
    effect: str
    value: str = ""


class NodeSpec(msgspec.Struct, frozen=True, gc=False):
    """The node's wishes: unschedulable (cordoned) and taints."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class ContainerImage(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An image that is present on a node, under all its names, in bytes."""

    names: tuple[str, ...] = ()
    size_bytes: int = 0


class NodeStatus(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the node offers: quantities by resource name, images, and features that some pods need."""

    allocatable: Labels = NO_LABELS
    images: tuple[ContainerImage, ...] = ()
    declared_features: tuple[str, ...] = ()


class Node(msgspec.Struct, frozen=True, gc=False):
    """core/v1 Node."""

    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


NODES = Resource("", "v1", "nodes", Node, namespaced=False)
