"""A provisioner that makes a volume at once for each claim for which a node was chosen.

`python -m tools.bench.provisioner KUBECONFIG NAMESPACE` serves the claims of one namespace until it is ended.
"""

import sys
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PersistentVolumeClaim
from pallet.client import Client
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.loop_budget import LoopBudget
from tools.bench import volumes

MAKERS = 16


async def main(kubeconfig: str, namespace: str) -> None:
    """Make volumes for ever."""
    send, receive = anyio.create_memory_object_stream[PersistentVolumeClaim](float("inf"))
    async with (
        Client.connect(kubeconfig, qps=0, user_agent="provisioner") as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(MAKERS):
            tasks.start_soon(_make, client, receive)
        informers = InformerFactory(client, LoopBudget())
        informer = informers.informer(PERSISTENT_VOLUME_CLAIMS, namespace=namespace)
        informer.add_handler(Handler(partial(_take, send, None), partial(_take, send)))
        informers.start(tasks)


def _take(
    send: MemoryObjectSendStream[PersistentVolumeClaim],
    old: PersistentVolumeClaim | None,
    new: PersistentVolumeClaim,
) -> None:
    """Have a volume made when a node was chosen just now."""
    if _is_ready(new) and not (old and _is_ready(old)):
        send.send_nowait(new)


def _is_ready(claim: PersistentVolumeClaim) -> bool:
    return volumes.SELECTED_NODE in claim.metadata.annotations


async def _make(client: Client, receive: MemoryObjectReceiveStream[PersistentVolumeClaim]) -> None:
    async for claim in receive:
        meta = claim.metadata
        node = meta.annotations[volumes.SELECTED_NODE]
        storage_class = claim.spec.storage_class_name or ""
        made = volumes.volume(meta.namespace, meta.name, meta.uid, node, storage_class)
        await client.create(PERSISTENT_VOLUMES, made)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], backend_options={"use_uvloop": True})
