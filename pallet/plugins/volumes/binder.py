"""Carries out what was decided for a pod's claims: assumes it, writes it, and waits until it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from pallet.api.meta import key_of
from pallet.api.node import NODES, Node
from pallet.api.pod import PODS, Pod
from pallet.api.storage import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PersistentVolume,
    PersistentVolumeClaim,
)
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.client.limiter import Priority
from pallet.framework.handle import Handle
from pallet.framework.status import SUCCESS, Status, error
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.plugins.volumes.assumed import AssumeCache, OutOfSyncError
from pallet.plugins.volumes.choice import (
    Binding,
    VolumeChoice,
    claim_patch,
    keep_for,
    select_node,
    volume_patch,
)
from pallet.plugins.volumes.claims import holder_of
from pallet.plugins.volumes.migration import Migration
from pallet.plugins.volumes.progress import Progress, UndoneError


class VolumeBinder:
    """Changes claims and volumes, in memory first and then through the API.

    Waiting is a matter of events: of the claims, of their volumes, of the pod and of its node.
    """

    def __init__(
        self,
        handle: Handle,
        volumes: AssumeCache[PersistentVolume],
        claims: AssumeCache[PersistentVolumeClaim],
        migration: Migration,
        timeout: float,
    ) -> None:
        self._client = handle.client
        self._volumes = volumes
        self._claims = claims
        self._timeout = timeout
        self._progress = Progress(handle, volumes, claims, migration)
        self._bells = _Bells(handle.informers)

    def assume(self, choice: VolumeChoice, node_name: str) -> VolumeChoice:
        """Take all of a choice for done, and give it as it is to be written. Raise OutOfSyncError."""
        assumed = VolumeChoice()
        try:
            for binding in choice.bindings:
                kept = keep_for(binding.volume, binding.claim)
                if kept != binding.volume:
                    self._volumes.assume(kept)
                assumed.bindings.append(Binding(kept, binding.claim))
            for claim in choice.provisions:
                asking = select_node(claim, node_name)
                self._claims.assume(asking)
                assumed.provisions.append(asking)
        except OutOfSyncError:
            self.restore(assumed)
            raise
        return assumed

    def restore(self, assumed: VolumeChoice) -> None:
        """Take back what was assumed; what was written stays, since the API shows it soon."""
        for binding in assumed.bindings:
            self._volumes.restore(binding.volume)
        for claim in assumed.provisions:
            self._claims.restore(claim)

    async def bind(self, pod: Pod, node_name: str, assumed: VolumeChoice) -> Status:
        """Write what was assumed, and wait until every claim has its volume."""
        claims = [*(binding.claim for binding in assumed.bindings), *assumed.provisions]
        with self._bells.listening(pod, node_name, claims) as bell:
            try:
                await self._write(assumed)
            except ApiError as refused:
                return error(refused.message or str(refused))
            except (AnswerLost, Unreachable) as lost:
                return error(str(lost))
            bell.is_worth_ringing = lambda: self._progress.is_over(node_name, assumed)
            with anyio.move_on_after(self._timeout):
                try:
                    while not self._progress.is_done(pod, node_name, assumed):
                        await bell.rung()
                except UndoneError as undone:
                    return error(f"binding volumes: {undone}")
                return SUCCESS
        return error("binding volumes: context deadline exceeded")

    async def _write(self, assumed: VolumeChoice) -> None:
        """Write one after the other. There is no way back: what is written stays when a later one fails."""
        for binding in assumed.bindings:
            binding.volume = await self._client.patch(
                PERSISTENT_VOLUMES,
                binding.volume.metadata.name,
                "",
                volume_patch(binding),
                priority=Priority.BINDING,
            )
        for index, claim in enumerate(assumed.provisions):
            assumed.provisions[index] = await self._client.patch(
                PERSISTENT_VOLUME_CLAIMS,
                claim.metadata.name,
                claim.metadata.namespace,
                claim_patch(claim),
                priority=Priority.BINDING,
            )


class _Bell:
    """Rings when the binding that waits for it should look how far it has come."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.is_worth_ringing: Callable[[], bool] = lambda: False
        """Asked when a claim or a volume has changed, which happens several times on the way; not before
        all is written: then the binding looks by itself."""

    def ring(self) -> None:
        self._event.set()

    async def rung(self) -> None:
        """Wait until it rings; it may have done so before."""
        await self._event.wait()
        self._event = anyio.Event()


class _Bells:
    """The bells of all bindings under way, by what they listen to."""

    def __init__(self, informers: InformerFactory) -> None:
        self._bells: dict[tuple[str, str], list[_Bell]] = {}
        informers.informer(PERSISTENT_VOLUMES).add_handler(
            Handler(self._ring_holder, self._ring_holders, self._ring_holder)
        )
        informers.informer(PERSISTENT_VOLUME_CLAIMS).add_handler(
            Handler(self._ring_claim, lambda _, new: self._ring_claim(new), self._ring_claim)
        )
        informers.informer(PODS).add_handler(Handler(on_delete=lambda pod: self._ring("pod", pod.key)))
        informers.informer(NODES).add_handler(
            Handler(on_update=self._ring_node, on_delete=lambda node: self._ring("node", node.metadata.name))
        )

    @contextmanager
    def listening(self, pod: Pod, node_name: str, claims: list[PersistentVolumeClaim]) -> Iterator[_Bell]:
        """A bell for one binding, as long as the block lasts."""
        bell = _Bell()
        topics = {("pod", pod.key), ("node", node_name), *(("claim", key_of(claim)) for claim in claims)}
        for topic in topics:
            self._bells.setdefault(topic, []).append(bell)
        try:
            yield bell
        finally:
            for topic in topics:
                self._bells[topic].remove(bell)
                if not self._bells[topic]:
                    del self._bells[topic]

    def _ring(self, kind: str, key: str) -> None:
        for bell in self._bells.get((kind, key), ()):
            bell.ring()

    def _ring_claim(self, claim: PersistentVolumeClaim) -> None:
        self._ring_if_over(key_of(claim))

    def _ring_if_over(self, claim: str) -> None:
        for bell in self._bells.get(("claim", claim), ()):
            if bell.is_worth_ringing():
                bell.ring()

    def _ring_holder(self, volume: PersistentVolume) -> None:
        """A volume that is made for a claim names it, and may come before or after the claim names it."""
        holder = holder_of(volume)
        if holder is not None:
            self._ring_if_over(holder)

    def _ring_holders(self, old: PersistentVolume, new: PersistentVolume) -> None:
        self._ring_holder(old)
        self._ring_holder(new)

    def _ring_node(self, old: Node, new: Node) -> None:
        if old.metadata.labels is not new.metadata.labels:
            self._ring("node", new.metadata.name)
