"""The Deployment is replaced in the middle of a stream of pods: none is lost or bound twice."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Document, Workload, eventually
from tests.running import SCHEDULER
from tools.demo.shell import Shell
from tools.node.cluster import KWOK

pytestmark = pytest.mark.time_limit(600)

DEPLOYMENT = f"/apis/apps/v1/namespaces/planner-system/deployments/{SCHEDULER}"
CONFIG_MAP = "/api/v1/namespaces/planner-system/configmaps/scheduler-config"
PODS = f"/api/v1/namespaces/planner-system/pods?labelSelector=app%3D{SCHEDULER}"
RESTART = f"kubectl rollout restart -n planner-system deployment/{SCHEDULER}"
PAUSE = 0.1
ANYWHERE: Document = {
    "nodeSelector": {},
    "tolerations": [{"key": "pool", "operator": "Exists"}, {"key": KWOK.key, "operator": "Exists"}],
}
"""The part of a pod's spec that lets it go to any node: each takes 110 pods."""

RECREATE: Document = {"replicas": 1, "strategy": {"type": "Recreate", "rollingUpdate": None}}
ROLLING: Document = {
    "replicas": 2,
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
}


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


@pytest.fixture(params=[RECREATE, ROLLING], ids=["recreate", "rolling"])
def deployment(workload: Workload, shell: Shell, request: pytest.FixtureRequest) -> Iterator[None]:
    """The Deployment in one of two ways; afterwards as it is shipped."""
    workload.request("PATCH", DEPLOYMENT, {"spec": request.param})
    await_rollout(workload, shell, request.param["replicas"])
    yield
    workload.request("PATCH", DEPLOYMENT, {"spec": RECREATE})
    await_rollout(workload, shell, RECREATE["replicas"])


def await_rollout(workload: Workload, shell: Shell, replicas: int) -> None:
    """Wait until the new pods are there, and the old ones gone."""
    shell.run(f"kubectl rollout status -n planner-system deployment/{SCHEDULER} --timeout=90s", 100)
    eventually("so many pods", lambda: len(workload.request("GET", PODS)["items"]) == replicas, 60)


def restart(_: Workload) -> None:
    """Change nothing."""


def reconfigure(workload: Workload) -> None:
    """Change the ConfigMap: the process reads it when it starts."""
    text = workload.request("GET", CONFIG_MAP)["data"]["scheduler-config.yaml"]
    changed = (
        text.replace("burst: 1000", "burst: 999") if "burst: 1000" in text else text.replace("999", "1000")
    )
    assert changed != text
    workload.request("PATCH", CONFIG_MAP, {"data": {"scheduler-config.yaml": changed}})


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize("change", [restart, reconfigure])
def test_no_pod_is_lost_or_bound_twice_while_the_deployment_is_replaced(
    workload: Workload, shell: Shell, change: Callable[[Workload], None]
) -> None:
    with recording(workload) as history:
        with streaming(workload) as stream:
            change(workload)
            shell.run(RESTART)
            replicas = workload.request("GET", DEPLOYMENT)["spec"]["replicas"]
            await_rollout(workload, shell, replicas)
        history.check()
    print(f"{len(stream.bound)} pods, none bound for {stream.gap:.1f} s")  # noqa: T201 - pytest shows it
