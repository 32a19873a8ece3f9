"""The part of the API client that sets are written with, and what stands in for a patch that is forbidden.

The roles of ciena/pallet give no right to patch. Where a patch is forbidden, the object is read whole, the
fields of the patch are put into it, and it is written back with `update`, as the version that was read.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from pallet.api.meta import Object, Status
from pallet.api.resource import Resource
from pallet.api.whole import WholeObject
from pallet.client import ApiError
from pallet.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T", bound=Object)

Document = dict[str, Any]


class Api(Protocol):
    """The part of the client that is used here."""

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """Read one object."""
        ...

    async def create(self, resource: Resource[T], obj: Mapping[str, Any], namespace: str = "") -> T:
        """Create an object."""
        ...

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        patch: Any,
        *,
        subresource: str = "",
        safe: bool = False,
    ) -> T:
        """Change an object."""
        ...

    async def replace(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        document: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> T:
        """Write an object back that was read whole."""
        ...

    async def delete(self, resource: Resource[T], name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object."""
        ...


class UpdatingApi:
    """An Api that falls back from patch to update."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.get, self.create, self.replace, self.delete = api.get, api.create, api.replace, api.delete
        self._unpatchable: set[tuple[str, str]] = set()
        """What may not be patched but updated, as resource and subresource."""

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        patch: Any,
        *,
        subresource: str = "",
        safe: bool = False,
    ) -> T:
        """Change an object. Raises the refusal of the patch where an update is forbidden too."""
        what, refused = (resource.plural, subresource), None
        if what not in self._unpatchable:
            try:
                return await self._api.patch(
                    resource, name, namespace, patch, subresource=subresource, safe=safe
                )
            except ApiError as error:
                if not error.forbidden:
                    raise
                refused = error
        try:
            changed = await self._update(resource, name, namespace, patch, subresource)
        except ApiError as error:
            if error.forbidden:
                self._unpatchable.discard(what)
                raise refused or error from None
            raise
        if refused is not None:
            log.warning("May not patch, updating instead", resource=str(resource), error=refused)
            self._unpatchable.add(what)
        return changed

    async def _update(
        self, resource: Resource[T], name: str, namespace: str, patch: Mapping[str, Any], subresource: str
    ) -> T:
        whole = Resource(resource.group, resource.version, resource.plural, WholeObject)
        document: Document = msgspec.json.decode((await self._api.get(whole, name, namespace)).json)
        meta = dict(patch.get("metadata", {}))
        for precondition in ("uid", "resourceVersion"):
            wanted = meta.pop(precondition, None)
            if wanted not in (None, document["metadata"][precondition]):
                words = f"the {precondition} is {document['metadata'][precondition]}, not {wanted}"
                raise ApiError(Status(code=409, reason="Conflict", message=words), "update", str(resource))
        merged = merge(document, {**patch, "metadata": meta})
        return await self._api.replace(resource, name, namespace, merged, subresource=subresource)


def merge(document: Mapping[str, Any], patch: Mapping[str, Any]) -> Document:
    """Apply a JSON merge patch (RFC 7386) to an object."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
