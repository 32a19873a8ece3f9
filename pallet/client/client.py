"""The client of the API server: retries, rate limit, and typed reads and writes.

The structs of `pallet.api` hold only the fields that are read here. A struct that was read and is written
back whole with `update` would erase all the others: change objects of others with `patch`, and keep
`create` and `update` for objects whose every field is ours (leases, events, plans).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import anyio

from pallet.api.codec import decoder, encode, list_decoder
from pallet.api.meta import Object, ObjectList
from pallet.api.resource import Resource
from pallet.client.backoff import Backoff
from pallet.client.credentials import Credentials
from pallet.client.errors import AnswerLost, ApiError, Unreachable, api_error
from pallet.client.limiter import Priority, RateLimiter
from pallet.client.transport import LostError, NotSentError, Transport

T = TypeVar("T", bound=Object)
Query = Mapping[str, str | int]
Read = Callable[[], Awaitable[bytes]]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"

ATTEMPT_SECONDS: Final = 30.0
"""Seconds one attempt may take; the API server gives up on most requests after 60."""

TRIES: Final = 8
"""Attempts at one request; with the back-off below they span some ten seconds, an API server's restart."""

PAGE_SIZE: Final = 500
"""Objects in one page of a list."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, as it is sent on each attempt."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    seconds: float
    safe: bool
    verb: str
    subject: str


class Client:
    """Requests to one API server. Open it with `async with Client.connect(...) as client`."""

    def __init__(
        self, credentials: Credentials, transport: Transport, limiter: RateLimiter, user_agent: str
    ) -> None:
        self._credentials = credentials
        self._transport = transport
        self._limiter = limiter
        self._user_agent = user_agent
        self.fence: Callable[[], float] | None = None
        """Seconds that a write starting now may take, 0 when none may start; without it, any time."""

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
        async with cls._open(credentials, qps, burst, user_agent) as client:
            yield client

    @asynccontextmanager
    async def with_limiter(self, qps: float, burst: int) -> AsyncIterator["Client"]:
        """Open another client with the same credentials, but with a limiter and connections of its own.

        Lease renewals use one, so that they never wait behind bindings.
        """
        async with self._open(self._credentials, qps, burst, self._user_agent) as client:
            yield client

    @classmethod
    @asynccontextmanager
    async def _open(
        cls, credentials: Credentials, qps: float, burst: int, user_agent: str
    ) -> AsyncIterator["Client"]:
        transport = Transport(credentials, user_agent)
        try:
            yield cls(credentials, transport, RateLimiter(qps, burst), user_agent)
        finally:
            await transport.aclose()

    @property
    def address(self) -> str:
        """The API server's URL."""
        return self._credentials.address

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        seconds: float = ATTEMPT_SECONDS,
        tries: int = TRIES,
        safe: bool | None = None,
        priority: Priority = Priority.NORMAL,
        verb: str = "",
        subject: str = "",
    ) -> bytes:
        """Send a request and return the body of its answer.

        429 and 5xx are tried again, after the server's Retry-After or a growing delay. A `safe` request (by
        default a GET) may reach the server twice, so it is also tried again when its answer is lost.
        `seconds` is for one attempt. `verb` and `subject` are the words for errors.

        Raise ApiError where the server refuses, Unreachable where there is no connection, and AnswerLost
        where an unsafe request may or may not have been carried out.
        """
        safe = method == "GET" if safe is None else safe
        call = _Call(
            method=method,
            path=f"{path}?{urlencode(query)}" if query else path,
            body=body,
            content_type=content_type,
            seconds=seconds,
            safe=safe,
            verb=verb or method.lower(),
            subject=subject or path,
        )
        backoff = Backoff(initial=0.1, cap=5.0, jitter=0.5)
        for attempt in count(1):
            await self._limiter.acquire(priority)
            try:
                return await self._attempt(call)
            except (ApiError, Unreachable) as failure:
                if attempt >= tries or not _passing(failure, attempt):
                    raise
                await anyio.sleep(_delay(backoff, failure))
        raise AssertionError("the loop above does not end")

    async def _attempt(self, call: "_Call") -> bytes:
        """Send a request once."""
        seconds = call.seconds
        if self.fence is not None and call.method != "GET":
            seconds = min(seconds, self.fence())
            if seconds <= 0:
                raise Unreachable(self.address, "this process leads no longer, so it may not write")
        try:
            answer = await self._transport.send(call.method, call.path, call.body, call.content_type, seconds)
        except NotSentError as error:
            raise Unreachable(self.address, str(error)) from error
        except LostError as error:
            if call.safe:
                raise Unreachable(self.address, str(error)) from error
            raise AnswerLost(call.verb, call.subject, str(error)) from error
        if answer.status < 300:
            return answer.body
        refusal = _refusal(answer.status, answer.headers, answer.body, call.verb, call.subject)
        if answer.status == 401:
            await self._credentials.refresh()
        if answer.status >= 500 and not call.safe and refusal.retry_after is None:
            # It may have failed after it had written, so a second attempt could mislead.
            raise AnswerLost(call.verb, call.subject, str(refusal)) from refusal
        raise refusal

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Query, silence: float, verb: str = "watch", subject: str = ""
    ) -> AsyncIterator[Read]:
        """GET a watch and give the function that reads on: bytes as they come, none at its end.

        Nothing is tried again. Raise ApiError where the server refuses; Unreachable, also from reading,
        where there is no connection, where it breaks, or where it is silent for `silence` seconds.
        """
        await self._limiter.acquire()
        async with AsyncExitStack() as stack:
            try:
                stream = await stack.enter_async_context(
                    self._transport.stream(f"{path}?{urlencode(query)}", silence)
                )
                if stream.status >= 300:
                    body = await stream.read_all()
                    raise _refusal(stream.status, stream.headers, body, verb, subject or path)
            except (NotSentError, LostError) as error:
                raise Unreachable(self.address, str(error)) from error

            async def read() -> bytes:
                try:
                    return await stream.read()
                except LostError as error:
                    raise Unreachable(self.address, str(error)) from error

            yield read

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """Read one object."""
        body = await self.request(
            "GET", resource.path(namespace, name), subject=_named(resource, namespace, name)
        )
        return _decode(resource, body)

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
        path = resource.path(namespace)
        body = await self.request("GET", path, query=query, tries=tries, verb="list", subject=str(resource))
        return list_decoder(resource.kind)(body)

    async def create(
        self,
        resource: Resource[T],
        obj: T | Mapping[str, Any],
        namespace: str = "",
        *,
        priority: Priority = Priority.NORMAL,
    ) -> T:
        """Create an object from a struct, or from a mapping that is sent as it is."""
        body = await self.request(
            "POST",
            resource.path(namespace),
            body=_encode(resource, obj),
            priority=priority,
            verb="create",
            subject=str(resource),
        )
        return _decode(resource, body)

    async def update(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        """Replace an object; fields that the struct does not know are lost. Raise ApiError `conflict`
        where its resource version is no longer the newest.
        """
        meta = obj.metadata
        body = await self.request(
            "PUT",
            resource.path(meta.namespace, meta.name, subresource),
            body=_encode(resource, obj),
            verb="update",
            subject=_named(resource, meta.namespace, meta.name, subresource),
        )
        return _decode(resource, body)

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        patch: Any,
        *,
        subresource: str = "",
        content_type: str = MERGE_PATCH,
        safe: bool = False,
        priority: Priority = Priority.NORMAL,
    ) -> T:
        """Change an object. Name its `metadata.uid` or `resourceVersion` in the patch as a precondition.

        Say `safe` where doing it twice is as good as once.
        """
        body = await self.request(
            "PATCH",
            resource.path(namespace, name, subresource),
            body=encode(patch),
            content_type=content_type,
            safe=safe,
            priority=priority,
            verb="patch",
            subject=_named(resource, namespace, name, subresource),
        )
        return _decode(resource, body)

    async def delete(self, resource: Resource[T], name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object; with a uid, only that one, and not another that took its name.

        Raise ApiError `not_found` where it is gone, also when an earlier attempt deleted it.
        """
        await self.request(
            "DELETE",
            resource.path(namespace, name),
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
            body=encode(binding),
            priority=Priority.BINDING,
            verb="create",
            subject=f"pods/binding {namespace}/{name}",
        )


def _decode(resource: Resource[T], body: bytes) -> T:
    """Decode one object."""
    obj: T = decoder(resource.kind)(body)
    return obj


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


def _refusal(code: int, headers: Mapping[str, str], body: bytes, verb: str, subject: str) -> ApiError:
    """Build the error from an answer."""
    return api_error(code, body, verb, subject, _retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the header's seconds; the API server never sends its other form, a date."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def _passing(failure: ApiError | Unreachable, attempt: int) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(failure, Unreachable):
        return True
    if failure.code == 401:
        return attempt == 1  # the credentials have been read anew
    # A version from the future is the caller's to give up.
    return (failure.code == 429 or failure.code >= 500) and not failure.too_large_resource_version


def _delay(backoff: Backoff, failure: ApiError | Unreachable) -> float:
    """Seconds until the next attempt: at least what the server asks for."""
    asked = failure.retry_after if isinstance(failure, ApiError) else None
    return max(backoff.delay(anyio.current_time()), asked or 0.0)
