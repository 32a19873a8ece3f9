"""An API server in memory: what was written, the newest states, and refusals on demand.

Every change is told to the informer handlers before the writer has its answer, as a fast watch does.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from pallet.api.codec import decoder, encode
from pallet.api.meta import Object, Status
from pallet.api.resource import Resource
from pallet.client.errors import ApiError

T = TypeVar("T", bound=Object)
Document = dict[str, Any]


def refusal(code: int, reason: str) -> ApiError:
    """An answer of the API server that is no object."""
    return ApiError(Status(code=code, reason=reason, message=reason), "write", "something")


@dataclass(frozen=True)
class Write:
    """One write that arrived, refused or not."""

    verb: str
    what: str
    name: str
    body: Document


@dataclass
class FakeApi:
    """Objects by kind and name. `refuse` answers for the next writes: None lets one through."""

    told: Callable[[str, str, Any, Any], None] = lambda *_: None
    prunes_status: bool = False
    writes: list[Write] = field(default_factory=list)
    refuse: list[tuple[str, Exception | None]] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """Verbs and resources to which there is no right."""
    halts_at: int | None = None
    """The number of writes after which nothing arrives any more: the process is killed there."""
    gets: int = 0
    _objects: dict[tuple[str, str], Document] = field(default_factory=dict)
    _versions: Any = field(default_factory=lambda: count(1000))

    def put(self, resource: Resource[T], obj: T) -> T:
        """Have an object as somebody else applied it, and tell the handlers. What we wrote into it stays."""
        document: Document = json.loads(encode(obj))
        old = self._objects.get((resource.plural, obj.metadata.name))
        if old is not None and old["metadata"]["uid"] == obj.metadata.uid:
            document = _merged(old, document)
        return self._store(resource, document)

    def remove(self, resource: Resource[T], name: str) -> None:
        """Delete an object as somebody else."""
        old = self._objects.pop((resource.plural, name))
        self.told(resource.plural, "delete", self._decode(resource, old), None)

    def read(self, resource: Resource[T], name: str) -> T | None:
        """The newest state."""
        document = self._objects.get((resource.plural, name))
        return None if document is None else self._decode(resource, document)

    def document(self, plural: str, name: str) -> Document:
        """The newest state, whole."""
        return self._objects[plural, name]

    def put_document(self, plural: str, document: Document) -> None:
        """Have an object be this, without telling."""
        self._objects[plural, document["metadata"]["name"]] = document

    def all(self, resource: Resource[T]) -> list[T]:
        """The newest states of all objects of a kind."""
        return [
            self._decode(resource, each)
            for (plural, _), each in self._objects.items()
            if plural == resource.plural
        ]

    def written(self, verb: str, what: str) -> list[Document]:
        """The bodies of the writes of a kind."""
        return [write.body for write in self.writes if (write.verb, write.what) == (verb, what)]

    async def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        self.gets += 1
        await anyio.lowlevel.checkpoint()
        found = self.read(resource, name)
        if found is None:
            raise refusal(404, "NotFound")
        return found

    async def create(self, resource: Resource[T], obj: Mapping[str, Any], namespace: str = "") -> T:
        body = json.loads(encode(obj))
        name = body["metadata"]["name"]
        await self._arrive("create", resource.plural, name, body)
        if (resource.plural, name) in self._objects:
            raise refusal(409, "AlreadyExists")
        body["metadata"]["uid"] = f"uid-{name}-{next(self._versions)}"
        return self._store(resource, body)

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
        body = json.loads(encode(patch))
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        await self._arrive("patch", what, name, body)
        old = self._objects.get((resource.plural, name))
        if old is None:
            raise refusal(404, "NotFound")
        for precondition in ("uid", "resourceVersion"):
            wanted = body["metadata"].pop(precondition, None)
            if wanted is not None and wanted != old["metadata"].get(precondition):
                raise refusal(409, "Conflict")
        if subresource == "status" and self.prunes_status:
            body["status"] = {}
        new = _merged(old, body)
        return self._decode(resource, old) if new == old else self._store(resource, new)

    async def replace(
        self,
        resource: Resource[T],
        name: str,
        namespace: str,
        document: Mapping[str, Any],
        *,
        subresource: str = "",
    ) -> T:
        body = json.loads(encode(document))
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        await self._arrive("update", what, name, body)
        old = self._objects.get((resource.plural, name))
        if old is None:
            raise refusal(404, "NotFound")
        if body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            raise refusal(409, "Conflict")
        parts = ("status",) if subresource else ("metadata", "spec")
        new = {**old, **{part: body[part] for part in parts}}
        return self._decode(resource, old) if new == old else self._store(resource, new)

    async def delete(self, resource: Resource[T], name: str, namespace: str = "", *, uid: str = "") -> None:
        await self._arrive("delete", resource.plural, name, {})
        found = self._objects.get((resource.plural, name))
        if found is None:
            raise refusal(404, "NotFound")
        if uid and found["metadata"]["uid"] != uid:
            raise refusal(409, "Conflict")
        self.remove(resource, name)

    async def _arrive(self, verb: str, what: str, name: str, body: Document) -> None:
        if self.halts_at is not None and len(self.writes) >= self.halts_at:
            await anyio.sleep_forever()
        self.writes.append(Write(verb, what, name, body))
        await anyio.lowlevel.checkpoint()
        if (verb, what.partition("/")[0]) in self.forbidden:
            raise refusal(403, "Forbidden")
        for index, (refused, error) in enumerate(self.refuse):
            if refused == f"{verb} {what}":
                del self.refuse[index]
                if error is not None:
                    raise error
                break

    def _store(self, resource: Resource[T], document: Document) -> T:
        key = (resource.plural, document["metadata"]["name"])
        old = self._objects.get(key)
        meta = document["metadata"]
        document = {**document, "metadata": {**meta, "resourceVersion": str(next(self._versions))}}
        if old is not None and old["metadata"]["uid"] == meta["uid"]:
            before = old["metadata"].get("generation", 1)
            document["metadata"]["generation"] = before + (old.get("spec") != document.get("spec"))
        self._objects[key] = document
        new = self._decode(resource, document)
        if old is None:
            self.told(resource.plural, "add", new, None)
        elif old["metadata"]["uid"] != meta["uid"]:
            self.told(resource.plural, "delete", self._decode(resource, old), None)
            self.told(resource.plural, "add", new, None)
        else:
            self.told(resource.plural, "update", self._decode(resource, old), new)
        return new

    def _decode(self, resource: Resource[T], document: Document) -> T:
        decode: Callable[[bytes], T] = decoder(resource.kind)
        return decode(json.dumps(document).encode())


def _merged(old: Document, patch: Document) -> Document:
    """Apply a JSON merge patch (RFC 7386)."""
    new = dict(old)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            new[key] = _merged(old.get(key) or {}, value)
        else:
            new[key] = value
    return new
