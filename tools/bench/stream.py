"""Ordinary pods that arrive at a steady rate, and when each is bound: in a process of its own."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from pallet.api.pod import PODS
from pallet.client import Client
from tools.bench.manifests import plain
from tools.bench.observer import Binding, Watch, access, node_bindings
from tools.bench.spawned import ObserverError, Spawned

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

DRAIN_SECONDS = 15.0
"""How long those that have arrived are waited for at the end."""
_MOST_AT_ONCE = 64
"""Creations at a time. Where the API server does not keep up, pods arrive more slowly."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a pod was created, and bound; None while it is not. In seconds of `time.monotonic`."""

    created: float
    bound: float | None


class Stream(Spawned):
    """Creates plain pods in a namespace from entry on, so many a second; a context manager."""

    def __init__(self, kubeconfig: Path, namespace: str, rate: float) -> None:
        super().__init__("stream", _stream, kubeconfig, namespace, rate)

    def stop(self) -> Sequence[Arrival]:
        """Create no more; give all pods once they are bound, or not waited for any longer."""
        self._pipe.send(None)
        arrivals: Sequence[Arrival] = self._receive()
        return arrivals


def _stream(kubeconfig: Path, namespace: str, rate: float, pipe: "Connection[Any, Any]") -> None:
    """Do the stream's work; in its own process."""
    bindings: list[Binding] = []
    try:
        pods = f"/api/v1/namespaces/{namespace}/pods"
        watch = Watch(*access(kubeconfig), pods, "spec.nodeName!=", node_bindings(bindings))
    except (ObserverError, OSError) as error:
        pipe.send(f"the stream cannot watch: {error!r}")
        return
    watch.start()
    pipe.send(None)
    created = anyio.run(_create, str(kubeconfig), namespace, rate, pipe, backend_options={"use_uvloop": True})
    deadline = time.monotonic() + DRAIN_SECONDS
    while len(bindings) < len(created) and time.monotonic() < deadline and not watch.error:
        time.sleep(0.05)
    bound = {each.pod: each.at for each in bindings}
    pipe.send(watch.error or [Arrival(at, bound.get(name)) for name, at in created.items()])


async def _create(
    kubeconfig: str, namespace: str, rate: float, pipe: "Connection[Any, Any]"
) -> dict[str, float]:
    """Create pods until told to stop; when each was sent, by name."""
    created: dict[str, float] = {}
    stopped = threading.Event()

    async def create(number: int) -> None:
        async with slots:
            pod = plain(number)
            created[pod["metadata"]["name"]] = time.monotonic()
            await client.create(PODS, pod, namespace)

    def wait() -> None:
        pipe.recv()
        stopped.set()

    slots = anyio.Semaphore(_MOST_AT_ONCE)
    async with (
        Client.connect(kubeconfig, qps=0, user_agent="bench") as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(anyio.to_thread.run_sync, wait)
        started, number = anyio.current_time(), 0
        while not stopped.is_set():
            await anyio.sleep_until(started + number / rate)
            async with slots:
                pass
            tasks.start_soon(create, number)
            number += 1
    return created
