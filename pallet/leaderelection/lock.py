"""The lease in the API."""

from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

from msgspec.structs import replace

from pallet.api.codec import encode
from pallet.api.core import LEASES, Lease, LeaseSpec
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.client import ApiError, Client
from pallet.client.answers import object_of

WATCH_SECONDS: Final = 300
"""How long one watch lasts."""

ANSWER_SECONDS: Final = 30
"""How much later than that a watch that has not ended counts as dead."""


WORD: Final = "planner.ciena.io/seen"
"""The annotation in which a leader that ends says what it had seen."""


def annotated(annotations: Mapping[str, str], word: str) -> Labels:
    """Give the annotations with this word for the next leader, or with none."""
    others = {key: value for key, value in annotations.items() if key != WORD}
    return Labels({**others, WORD: word} if word else others)


class Lock(Protocol):
    """Reads and writes one lease; a request is tried once."""

    async def get(self) -> Lease | None:
        """Read it; None where there is none. Raise ApiError or Unreachable."""
        ...

    async def write(self, old: Lease | None, spec: LeaseSpec, word: str = "") -> Lease:
        """Put a new record in the place of the one read before; create the lease if there was none.

        `word` is for who takes the lease next, in an annotation that is gone with the next record.
        Raise ApiError where it has changed since, or for another refusal; Unreachable; or AnswerLost.
        """
        ...

    def changes(self) -> AsyncIterator[None]:
        """Give a sign whenever it may have changed, until the watch ends. Raise ApiError or Unreachable."""
        ...


class LeaseLock:
    """The Lease of this namespace and name.

    The client should have a limiter and connections of its own (`Client.with_limiter`), so that a renewal
    never waits behind bindings. Fields of a Lease that are not read here (those of coordinated leader
    election) are lost when it is written.
    """

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    async def get(self) -> Lease | None:
        """Read it; None where there is none. Raise ApiError or Unreachable."""
        path = LEASES.path(self._namespace, self._name)
        try:
            return await self._client.request(
                "GET", path, object_of(LEASES, self._name), tries=1, subject=f"{LEASES} {self}"
            )
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def write(self, old: Lease | None, spec: LeaseSpec, word: str = "") -> Lease:
        """Replace it, or create it; raise as `Lock.write` says."""
        metadata = old.metadata if old else ObjectMeta(name=self._name, namespace=self._namespace)
        metadata = replace(metadata, annotations=annotated(metadata.annotations, word))
        lease = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}
        return await self._client.request(
            "PUT" if old else "POST",
            LEASES.path(self._namespace, self._name if old else ""),
            object_of(LEASES, self._name),
            body=encode(lease),
            tries=1,
            verb="update" if old else "create",
            subject=f"{LEASES} {self}",
        )

    async def changes(self) -> AsyncIterator[None]:
        """Watch it, as `Lock.changes` says. What is read is only a sign that there is something new."""
        query: dict[str, str | int] = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._name}",
            "timeoutSeconds": WATCH_SECONDS,
        }
        path, silence = LEASES.path(self._namespace), WATCH_SECONDS + ANSWER_SECONDS
        async with self._client.stream(
            path, query=query, silence=silence, subject=f"{LEASES} {self}"
        ) as read:
            while await read():
                yield
