"""The lease in the API."""

from typing import Final, Protocol

from pallet.api.codec import decoder, encode
from pallet.api.core import LEASES, Lease
from pallet.client import ApiError, Client
from pallet.leaderelection.record import named


class Lock(Protocol):
    """Reads and writes one lease. Each request is tried once; `timeout` is in seconds."""

    async def get(self, timeout: float) -> Lease | None:
        """Read it; None where there is none."""
        ...

    async def create(self, lease: Lease, timeout: float) -> Lease:
        """Create it; fail where there is one."""
        ...

    async def update(self, lease: Lease, timeout: float) -> Lease:
        """Replace it; fail where it has changed since it was read."""
        ...


class LeaseLock:
    """The Lease of this namespace and name.

    The client should have a limiter and connections of its own (`Client.with_limiter`), so that a renewal
    never waits behind bindings. Fields of a Lease that are not read here (the strategy of coordinated leader
    election) are lost when it is written.
    """

    def __init__(self, client: Client, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._path: Final = LEASES.path(namespace, name)

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    async def get(self, timeout: float) -> Lease | None:
        """Read it; None where there is none. Raise ApiError or Unreachable."""
        try:
            body = await self._client.request(
                "GET", self._path, timeout=timeout, tries=1, subject=f"{LEASES} {self}"
            )
        except ApiError as error:
            if error.not_found:
                return None
            raise
        return decoder(Lease)(body)

    async def create(self, lease: Lease, timeout: float) -> Lease:
        """Create it. Raise ApiError (`already_exists`), Unreachable or AnswerLost."""
        lease = named(lease, self._namespace, self._name)
        return await self._write("POST", LEASES.path(self._namespace), lease, timeout, "create")

    async def update(self, lease: Lease, timeout: float) -> Lease:
        """Replace it. Raise ApiError (`conflict`), Unreachable or AnswerLost."""
        return await self._write("PUT", self._path, lease, timeout, "update")

    async def _write(self, method: str, path: str, lease: Lease, timeout: float, verb: str) -> Lease:
        body = encode(
            {
                "apiVersion": LEASES.api_version,
                "kind": "Lease",
                "metadata": lease.metadata,
                "spec": lease.spec,
            }
        )
        answer = await self._client.request(
            method, path, body=body, timeout=timeout, tries=1, verb=verb, subject=f"{LEASES} {self}"
        )
        return decoder(Lease)(answer)
