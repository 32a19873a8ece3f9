"""The client of the API server: typed reads and writes.

The structs of `pallet.api` hold only the fields that are read here. A struct that was read and is written
back whole with `update` would erase all the others: change objects of others with `patch`, and keep
`create` and `update` for objects whose every field is ours (leases, events, plans).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypedDict, TypeVar, Unpack

from pallet.api.codec import encode
from pallet.api.meta import Object, ObjectList
from pallet.api.resource import Resource
from pallet.client.answers import Reader, anything_done, object_of, page_of
from pallet.client.credentials import Credentials
from pallet.client.limiter import Priority, RateLimiter
from pallet.client.requester import TRIES, Requester
from pallet.client.server_clock import ServerClock
from pallet.client.transport import Transport

T = TypeVar("T", bound=Object)
A = TypeVar("A")

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"

PAGE_SIZE: Final = 500
"""Objects in one page of a list."""


class PatchOptions(TypedDict, total=False):
    """How an object is changed."""

    subresource: str
    content_type: str
    """MERGE_PATCH unless told otherwise."""
    safe: bool
    """Whether doing it twice is as good as once; not so unless told."""
    priority: Priority


class Client(Requester):
    """Typed reads and writes on one API server. Open it with `async with Client.connect(...) as client`."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        kubeconfig: str | None = None,
        master: str | None = None,
        *,
        qps: float = 50.0,
        burst: int = 100,
        user_agent: str = "pallet",
    ) -> AsyncIterator["Client"]:
        """Find the server and the credentials (see `Credentials.load`) and open a pool of connections to it.

        `qps` of 0 or less means no limit. Nothing is sent yet. Raise ConfigError where no usable
        configuration is found.
        """
        credentials = await Credentials.load(kubeconfig, master)
        async with cls._open(credentials, qps, burst, ServerClock(), user_agent) as client:
            yield client

    @asynccontextmanager
    async def with_limiter(self, qps: float, burst: int) -> AsyncIterator["Client"]:
        """Open another client with the same credentials, but with a limiter and connections of its own.

        Lease renewals use one, so that they never wait behind bindings.
        """
        async with self._open(self._credentials, qps, burst, self.server_clock, self._user_agent) as client:
            yield client

    @classmethod
    @asynccontextmanager
    async def _open(
        cls, credentials: Credentials, qps: float, burst: int, server_clock: ServerClock, user_agent: str
    ) -> AsyncIterator["Client"]:
        transport = Transport(credentials, user_agent)
        try:
            yield cls(credentials, transport, RateLimiter(qps, burst), server_clock, user_agent)
        finally:
            await transport.aclose()

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """Read one object."""
        return await self.request(
            "GET",
            resource.path(namespace, name),
            object_of(resource, name),
            subject=_named(resource, namespace, name),
        )

    async def list(
        self,
        resource: Resource[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList[T]:
        """Read all objects of a collection, page by page; its metadata is that of the first page."""
        first = page = await self.page(
            resource, namespace, label_selector=label_selector, field_selector=field_selector
        )
        items = first.items
        while page.metadata.continue_:
            page = await self.page(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                continue_=page.metadata.continue_,
            )
            items += page.items
        return first

    async def page(
        self,
        resource: Resource[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        continue_: str = "",
        tries: int = TRIES,
    ) -> ObjectList[T]:
        """Read the first page of a list, as of the newest version, or the page that `continue_` leads to."""
        query: dict[str, str | int] = {"limit": PAGE_SIZE}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        if continue_:
            query["continue"] = continue_
        return await self.request(
            "GET",
            resource.path(namespace),
            page_of(resource),
            query=query,
            tries=tries,
            verb="list",
            subject=str(resource),
        )

    async def create(
        self,
        resource: Resource[T],
        obj: T | Mapping[str, Any],
        namespace: str = "",
        *,
        priority: Priority = Priority.NORMAL,
    ) -> T:
        """Create an object from a struct, or from a mapping that is sent as it is."""
        return await self._post(resource, obj, namespace, priority, object_of(resource))

    async def post(
        self, resource: Resource[T], obj: T, namespace: str = "", *, priority: Priority = Priority.NORMAL
    ) -> None:
        """Create an object without reading what became of it: the answer holds all of it once more."""
        await self._post(resource, obj, namespace, priority, anything_done)

    async def update(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        """Replace an object; fields that the struct does not know are lost. Raise ApiError `conflict`
        where its resource version is no longer the newest.
        """
        meta = obj.metadata
        return await self.request(
            "PUT",
            resource.path(meta.namespace, meta.name, subresource),
            object_of(resource, meta.name),
            body=_encode(resource, obj),
            verb="update",
            subject=_named(resource, meta.namespace, meta.name, subresource),
        )

    async def replace(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        document: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> T:
        """Write an object back that was read whole, as a document. Raise ApiError `conflict` where the
        resource version in it is no longer the newest.
        """
        return await self.request(
            "PUT",
            resource.path(namespace, name, subresource),
            object_of(resource, name),
            body=encode(document),
            verb="update",
            subject=_named(resource, namespace, name, subresource),
        )

    async def patch(
        self, resource: Resource[T], name: str, namespace: str, patch: Any, **how: Unpack[PatchOptions]
    ) -> T:
        """Change an object. Name its `metadata.uid` or `resourceVersion` in the patch as a precondition."""
        return await self._patch(resource, name, namespace, patch, object_of(resource, name), **how)

    async def amend(
        self, resource: Resource[T], name: str, namespace: str, patch: Any, **how: Unpack[PatchOptions]
    ) -> None:
        """Change an object as `patch` does, without reading what became of it."""
        await self._patch(resource, name, namespace, patch, anything_done, **how)

    async def delete(self, resource: Resource[T], name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object; with a uid, only that one, and not another that took its name.

        Raise ApiError `not_found` where it is gone, also when an earlier attempt deleted it.
        """
        await self.request(
            "DELETE",
            resource.path(namespace, name),
            anything_done,
            body=encode({"preconditions": {"uid": uid}}) if uid else None,
            safe=bool(uid),
            verb="delete",
            subject=_named(resource, namespace, name),
        )

    async def create_binding(self, namespace: str, name: str, uid: str, node: str) -> None:
        """Bind a pod to a node, if the pod is still the one with this uid.

        Raise AnswerLost where the answer is lost: read the pod to see whether it is bound.
        """
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await self.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/pods/{name}/binding",
            anything_done,
            body=encode(binding),
            priority=Priority.BINDING,
            verb="create",
            subject=f"pods/binding {namespace}/{name}",
        )

    async def _post(
        self,
        resource: Resource[T],
        obj: T | Mapping[str, Any],
        namespace: str,
        priority: Priority,
        read: Reader[A],
    ) -> A:
        return await self.request(
            "POST",
            resource.path(namespace),
            read,
            body=_encode(resource, obj),
            priority=priority,
            verb="create",
            subject=str(resource),
        )

    async def _patch(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        patch: Any,
        read: Reader[A],
        **how: Unpack[PatchOptions],
    ) -> A:
        subresource = how.get("subresource", "")
        return await self.request(
            "PATCH",
            resource.path(namespace, name, subresource),
            read,
            body=encode(patch),
            content_type=how.get("content_type", MERGE_PATCH),
            safe=how.get("safe", False),
            priority=how.get("priority", Priority.NORMAL),
            verb="patch",
            subject=_named(resource, namespace, name, subresource),
        )


def _encode(resource: Resource[T], obj: T | Mapping[str, Any]) -> bytes:
    """Encode an object, with the apiVersion and kind that its struct does not carry."""
    body = encode(obj)
    if isinstance(obj, Mapping):
        return body
    head = f'{{"apiVersion":"{resource.api_version}","kind":"{resource.kind.__name__}"'
    return head.encode() + (b"," + body[1:] if body != b"{}" else b"}")


def _named(resource: Resource[T], namespace: str, name: str, subresource: str = "") -> str:
    """Name an object in an error: `pods/status default/web`."""
    kind = f"{resource}/{subresource}" if subresource else str(resource)
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
