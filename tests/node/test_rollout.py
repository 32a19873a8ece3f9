"""The Deployment is replaced in the middle of a stream of pods: none is lost or bound twice."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Document, Workload, eventually
from tests.node.deployment import NAMESPACE, REPLICAS, TARGET, await_rollout
from tests.node.programs import IMAGE
from tests.running import SCHEDULER
from tools.demo.kind import deploy
from tools.demo.shell import Shell
from tools.node.cluster import KWOK

pytestmark = pytest.mark.time_limit(600)

CONFIG_MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/scheduler-config"
RESTART = f"kubectl rollout restart {TARGET}"
PAUSE = 0.1
ANYWHERE: Document = {
    "nodeSelector": {},
    "tolerations": [{"key": "pool", "operator": "Exists"}, {"key": KWOK.key, "operator": "Exists"}],
}
"""The part of a pod's spec that lets it go to any node: each takes 110 pods."""


@dataclass
class Stream:
    """Pods that come one after the other, and when each was first seen bound, in seconds."""

    workload: Workload
    created: list[str] = field(default_factory=list)
    bound: dict[str, float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def create(self) -> None:
        """Create them until it is ended."""
        for number in count():
            if self.ended.wait(PAUSE):
                return
            self.workload.add_pods(f"pod-{number}", cpu="1m", **ANYWHERE)
            self.created.append(f"pod-{number}")

    def look(self) -> None:
        """Note which are bound, until it is ended and all are."""
        while not self.ended.wait(PAUSE) or set(self.created) - self.bound.keys():
            now = time.monotonic()
            for name in self.workload.bindings():
                self.bound.setdefault(name, now)

    @property
    def gap(self) -> float:
        """The longest time in which none was bound."""
        times = sorted(self.bound.values())
        return max(later - earlier for earlier, later in pairwise(times))


@contextmanager
def streaming(workload: Workload) -> Iterator[Stream]:
    """Have pods come while the block runs, and wait until all of them are bound."""
    stream = Stream(workload)
    threads = [threading.Thread(target=step, daemon=True) for step in (stream.create, stream.look)]
    for thread in threads:
        thread.start()
    eventually("the first pods to be bound", lambda: len(stream.bound) > 10)
    try:
        yield stream
        seen = len(stream.bound)
        eventually("more pods to be bound", lambda: len(stream.bound) > seen + 10, 60)
    finally:
        stream.ended.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), set(stream.created) - stream.bound.keys()


@pytest.fixture(params=[("default", REPLICAS), ("one-replica", 1)], ids=lambda param: param[0])
def replicas(
    workload: Workload, shell: Shell, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[int]:
    """How many there are, deployed in one of two ways; afterwards as by `config/default`."""
    overlay, wanted = request.param
    if overlay == "default":
        yield wanted
        return
    deploy(shell, tmp_path, overlay)
    await_rollout(workload, shell, wanted)
    yield wanted
    shell.run(f"kubectl scale {TARGET} --replicas=0")  # it knows no lease
    await_rollout(workload, shell, 0)
    deploy(shell, tmp_path)
    await_rollout(workload, shell)


def restart(_: Workload, shell: Shell) -> None:
    """Change nothing."""
    shell.run(RESTART)


def reconfigure(workload: Workload, shell: Shell) -> None:
    """Change the ConfigMap: the process reads it when it starts."""
    text = workload.request("GET", CONFIG_MAP)["data"]["scheduler-config.yaml"]
    changed = (
        text.replace("burst: 1000", "burst: 999") if "burst: 1000" in text else text.replace("999", "1000")
    )
    assert changed != text
    workload.request("PATCH", CONFIG_MAP, {"data": {"scheduler-config.yaml": changed}})
    shell.run(RESTART)


@pytest.mark.parametrize("change", [restart, reconfigure])
def test_no_pod_is_lost_or_bound_twice_while_the_deployment_is_replaced(
    workload: Workload, shell: Shell, replicas: int, change: Callable[[Workload, Shell], None]
) -> None:
    replace(workload, shell, replicas, lambda: change(workload, shell))


def test_no_pod_is_lost_or_bound_twice_while_the_version_before_is_replaced(
    workload: Workload, shell: Shell, replicas: int, image_before: str
) -> None:
    set_image(shell, image_before)
    await_rollout(workload, shell, replicas)
    replace(workload, shell, replicas, lambda: set_image(shell, IMAGE))


def replace(workload: Workload, shell: Shell, replicas: int, change: Callable[[], None]) -> None:
    """Have a change replace the Deployment's pods in a stream of others, and check what became of these."""
    with recording(workload) as history:
        with streaming(workload) as stream:
            change()
            await_rollout(workload, shell, replicas)
        history.check()
    print(f"{len(stream.bound)} pods, none bound for {stream.gap:.1f} s")  # noqa: T201 - pytest shows it


def set_image(shell: Shell, image: str) -> None:
    shell.run(f"kubectl set image {TARGET} {SCHEDULER}={image}")
