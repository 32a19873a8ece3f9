"""The blind binder: makes the writes of a scheduler, and decides nothing.

It goes round the nodes, over pallet's client, and so shows how fast this API server takes these very writes:
a Binding and an event for each pod; before that, for a pod with a claim, the node is written on the claim and
the volume waited for; for an important pod a refusal is written and the less important pods of its node are
evicted; for a pod that fits nowhere there is just the refusal.

`python -m tools.bench.blind_binder KUBECONFIG NAMESPACE STANDING_NAMESPACE` stays until it is told to end.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import anyio

from pallet.api.core import EVENTS, Event, ObjectReference
from pallet.api.meta import ObjectMeta
from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim
from pallet.client import Client
from pallet.client.client import STRATEGIC_MERGE_PATCH
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.loop_budget import LoopBudget
from tools.bench.manifests import HIGH_PRIORITY_VALUE, NEVER_FITS
from tools.bench.volumes import SELECTED_NODE

NO_LIMIT = 0
SYNC_SECONDS = 30.0
IN_FLIGHT = 64
"""Pods that are written at a time, each one's writes one after the other."""
REFUSAL = "0/1 nodes are available: 1 Insufficient cpu."


class BlindBinder:
    """Writes for the pods of one namespace."""

    def __init__(
        self, client: Client, victims: Mapping[str, Sequence[Pod]], claims: Iterable[PersistentVolumeClaim]
    ) -> None:
        """Take the pods that can be evicted, by node, and the claims that wait."""
        self._client = client
        self._victims = victims
        self._bound = {claim.metadata.name: anyio.Event() for claim in claims}

    def see(self, _: PersistentVolumeClaim, claim: PersistentVolumeClaim) -> None:
        """Take note that a claim is bound."""
        if claim.status.phase == "Bound":
            self._bound[claim.metadata.name].set()

    async def work(self, work: Iterator[tuple[Pod, str]]) -> None:
        """Write for one pod after the other."""
        for pod, node in work:
            if NEVER_FITS in pod.metadata.labels:
                await self._refuse(pod)
                continue
            if pod.spec.priority == HIGH_PRIORITY_VALUE:
                await self._refuse(pod, node)
                for victim in self._victims[node]:
                    await self._evict(victim)
            for volume in pod.spec.volumes:
                if volume.persistent_volume_claim:
                    claim = volume.persistent_volume_claim.claim_name
                    await self._bind_volume(pod.metadata.namespace, claim, node)
            await self._bind(pod, node)

    async def _bind(self, pod: Pod, node: str) -> None:
        meta = pod.metadata
        await self._client.create_binding(meta.namespace, meta.name, meta.uid, node)
        await self._say(pod, "Scheduled", "Binding", f"Successfully assigned {pod.key} to {node}")

    async def _refuse(self, pod: Pod, nominated: str = "") -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": REFUSAL}
        await self._patch_status(
            pod, {"conditions": [condition], **({"nominatedNodeName": nominated} if nominated else {})}
        )
        await self._say(pod, "FailedScheduling", "Scheduling", REFUSAL, "Warning")

    async def _evict(self, victim: Pod) -> None:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        await self._patch_status(victim, {"conditions": [condition]})
        meta = victim.metadata
        await self._client.delete(PODS, meta.name, meta.namespace, uid=meta.uid)
        await self._say(victim, "Preempted", "Preempting", "Preempted by a pod")

    async def _bind_volume(self, namespace: str, claim: str, node: str) -> None:
        """Say where a claim's volume is to be, and wait until it is there."""
        patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
        await self._client.patch(PERSISTENT_VOLUME_CLAIMS, claim, namespace, patch)
        await self._bound[claim].wait()

    async def _patch_status(self, pod: Pod, status: Mapping[str, Any]) -> None:
        meta = pod.metadata
        await self._client.patch(
            PODS,
            meta.name,
            meta.namespace,
            {"metadata": {"uid": meta.uid}, "status": status},
            subresource="status",
            content_type=STRATEGIC_MERGE_PATCH,
        )

    async def _say(self, pod: Pod, reason: str, action: str, note: str, kind: str = "Normal") -> None:
        """Record what a scheduler says of a pod."""
        meta = pod.metadata
        event = Event(
            metadata=ObjectMeta(name=f"{meta.name}.{reason.lower()}", namespace=meta.namespace),
            event_time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            reporting_controller="default-scheduler",
            reporting_instance="blind-binder",
            action=action,
            reason=reason,
            regarding=ObjectReference(
                "Pod", meta.namespace, meta.name, meta.uid, "v1", meta.resource_version
            ),
            note=note,
            type=kind,
        )
        await self._client.create(EVENTS, event, meta.namespace)


async def main(kubeconfig: str, namespace: str, standing_namespace: str) -> None:
    """Write for all pods of the namespace, then wait for ever."""
    async with (
        Client.connect(kubeconfig, qps=NO_LIMIT, user_agent="blind-binder") as client,
        anyio.create_task_group() as tasks,
    ):
        nodes = (await client.list(NODES)).items
        pods = (await client.list(PODS, namespace)).items
        claims = (await client.list(PERSISTENT_VOLUME_CLAIMS, namespace)).items
        victims: dict[str, list[Pod]] = defaultdict(list)
        selector = "spec.nodeName!="
        for pod in (await client.list(PODS, standing_namespace, field_selector=selector)).items:
            victims[pod.spec.node_name].append(pod)
        binder = BlindBinder(client, victims, claims)
        if claims:
            informers = InformerFactory(client, LoopBudget())
            informer = informers.informer(PERSISTENT_VOLUME_CLAIMS, namespace=namespace)
            informer.add_handler(Handler(on_update=binder.see))
            informers.start(tasks)
            await informers.wait_for_sync(SYNC_SECONDS)
        work = zip(pods, cycle(node.metadata.name for node in nodes), strict=False)
        for _ in range(IN_FLIGHT):
            tasks.start_soon(binder.work, work)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], backend_options={"use_uvloop": True})
