"""The blind binder: writes what a scheduler writes, a Binding and an event for each pod, and decides nothing.

It goes round the nodes, over pallet's client, and so shows how fast this API server takes these very writes.
`python -m tools.bench.blind_binder KUBECONFIG NAMESPACE`; it stays until it is told to end.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle

import anyio

from pallet.api.core import EVENTS, Event, ObjectReference
from pallet.api.meta import ObjectMeta
from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.client import Client

NO_LIMIT = 0
IN_FLIGHT = 64
"""Pods that are written at a time: a binding first, its event after it."""


async def main(kubeconfig: str, namespace: str) -> None:
    """Bind all pods of the namespace, then wait for ever."""
    async with Client.connect(kubeconfig, qps=NO_LIMIT, user_agent="blind-binder") as client:
        nodes = (await client.list(NODES)).items
        pods = (await client.list(PODS, namespace)).items
        work = zip(pods, cycle(node.metadata.name for node in nodes), strict=False)
        async with anyio.create_task_group() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.start_soon(_write, client, work)
        await anyio.sleep_forever()


async def _write(client: Client, work: Iterator[tuple[Pod, str]]) -> None:
    for pod, node in work:
        meta = pod.metadata
        await client.create_binding(meta.namespace, meta.name, meta.uid, node)
        await client.create(EVENTS, _event(pod, node), meta.namespace)


def _event(pod: Pod, node: str) -> Event:
    """What a scheduler says of a pod it has bound."""
    meta = pod.metadata
    return Event(
        metadata=ObjectMeta(name=f"{meta.name}.blind", namespace=meta.namespace),
        event_time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        reporting_controller="default-scheduler",
        reporting_instance="blind-binder",
        action="Binding",
        reason="Scheduled",
        regarding=ObjectReference("Pod", meta.namespace, meta.name, meta.uid, "v1", meta.resource_version),
        note=f"Successfully assigned {pod.key} to {node}",
        type="Normal",
    )


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], backend_options={"use_uvloop": True})
