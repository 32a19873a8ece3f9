"""Objects that are kept whole, as JSON, for those who pass them on (HTTP extenders)."""

from typing import Any

import msgspec

from pallet.api.meta import ObjectMeta
from pallet.api.resource import Resource


class WholeObject:
    """An object as the API server sent it: its metadata, and all of it as JSON."""

    __slots__ = ("json", "metadata")

    def __init__(self, metadata: ObjectMeta, document: dict[str, Any]) -> None:
        self.metadata = metadata
        self.json: bytes = msgspec.json.encode(document)


class WholeNode(WholeObject):
    """A node."""

    __slots__ = ()


WHOLE_NODES = Resource("", "v1", "nodes", WholeNode, namespaced=False)
