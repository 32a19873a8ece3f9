"""What every Kubernetes object carries: metadata, lists, watch events and the API server's Status."""

from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

from pallet.api.labels import NO_LABELS, Labels


class OwnerReference(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """The object that manages another one (meta/v1 OwnerReference)."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool = False


class ObjectMeta(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """The fields of meta/v1 ObjectMeta that are read here."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Labels = NO_LABELS
    annotations: Labels = NO_LABELS
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class Object(Protocol):
    """Anything with metadata: what informers, stores and indexes can hold."""

    @property
    def metadata(self) -> ObjectMeta:
        """The object's metadata."""
        ...


T = TypeVar("T")


class ListMeta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Where a list stands: its version, and where its next page begins."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int = 0


class ObjectList(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One page of a list."""

    metadata: ListMeta = ListMeta()
    items: list[T] = []


class WatchEvent(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    type: str
    object: T


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One of the reasons inside a Status."""

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a Status is about, and when to come back."""

    name: str = ""
    kind: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True, gc=False):
    """The API server's answer to a request that gave no object (meta/v1 Status)."""

    status: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


def key_of(obj: Object) -> str:
    """`namespace/name`, or the name alone for an object without a namespace, as client-go keys its stores."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
