"""The factory: one informer for each collection, however many want it."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import anyio
import anyio.abc

from pallet.api.meta import Object
from pallet.api.resource import Resource
from pallet.client.client import Client
from pallet.client.errors import ApiError, Unreachable
from pallet.informers.informer import SharedInformer
from pallet.informers.reflector import Scope
from pallet.logs import get_logger
from pallet.loop_budget import LoopBudget

log = get_logger(__name__)

T = TypeVar("T", bound=Object)


RETRY_SECONDS: Final = 1.0
"""After which the API is asked again how far it is."""


class NotSyncedError(Exception):
    """Some collections could not be read in time; the text names each with its last error."""


class InformerFactory:
    """Makes informers that share one client, and starts them together."""

    def __init__(self, client: Client, budget: LoopBudget) -> None:
        self._client = client
        self._budget = budget
        self._informers: dict[tuple[Resource[Any], Scope], SharedInformer[Any]] = {}
        self._started: set[tuple[Resource[Any], Scope]] = set()

    def informer(
        self,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> SharedInformer[T]:
        """Give the informer of a collection, or of the selected part; the same one for the same arguments."""
        scope = Scope(namespace, label_selector, field_selector)
        key = (resource, scope)
        if key not in self._informers:
            self._informers[key] = SharedInformer(self._client, resource, self._budget, scope)
        return self._informers[key]

    def start(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start all informers made since the last start; cancelling the task group stops them."""
        for key, informer in self._informers.items():
            if key not in self._started:
                self._started.add(key)
                tasks.start_soon(informer.run, name=f"informer {informer.resource}")

    @property
    def resources(self) -> frozenset[Resource[Any]]:
        """The collections that are watched, or will be."""
        return frozenset(informer.resource for informer in self._informers.values())

    def unsynced(self) -> str | None:
        """Name the collections still without a first list, with their last errors; None when all have one."""
        late = [informer for informer in self._informers.values() if not informer.synced.is_set()]
        words = (f"{informer.resource} ({informer.last_error or 'no error'})" for informer in late)
        return "; ".join(words) or None

    async def wait_for_sync(self, deadline: float) -> None:
        """Wait until all have delivered their first list; raise NotSyncedError after `deadline` seconds."""
        with anyio.move_on_after(deadline):
            for informer in self._informers.values():
                await informer.synced.wait()
        if late := self.unsynced():
            raise NotSyncedError(f"not synced after {deadline:g} s: {late}")

    def seen(self) -> dict[str, str]:
        """By collection the version of the last change that was seen, for who is to have seen as much."""
        return {
            _collection(resource, scope): informer.last_change
            for (resource, scope), informer in self._informers.items()
        }

    def have_seen(self, seen: Mapping[str, str]) -> bool:
        """Whether all have what another process had seen of the same collections."""
        return all(
            (version := seen.get(_collection(resource, scope))) is not None and informer.has(version)
            for (resource, scope), informer in self._informers.items()
        )

    async def catch_up(self) -> None:
        """Return when all have what the API had when this was called."""
        async with anyio.create_task_group() as tasks:
            for informer in self._informers.values():
                tasks.start_soon(_catch_up, informer)


def _collection(resource: Resource[Any], scope: Scope) -> str:
    return "|".join((str(resource), scope.namespace, scope.label_selector, scope.field_selector)).rstrip("|")


async def _catch_up(informer: SharedInformer[Any]) -> None:
    while True:
        try:
            return await informer.catch_up()
        except (ApiError, Unreachable) as error:
            log.warning("Cannot tell how far the API is", resource=informer.resource, error=error)
            await anyio.sleep(RETRY_SECONDS)
