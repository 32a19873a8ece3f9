"""What the scheduler of examples/random-scheduler says and does, wherever it runs."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.workload import Workload, eventually

EXAMPLE = Path("examples/random-scheduler")


def await_missing_rights(log: Callable[[], str]) -> None:
    """Wait until a log says which rights are missing, and whose."""
    eventually("what is missing to be told", lambda: '"Rights are missing"' in log(), patience=60)
    [told] = [line for line in log().splitlines() if '"Rights are missing"' in line]
    assert "user=system:serviceaccount:kube-system:random-scheduler" in told
    assert "resources: [nodes], verbs: [list, watch]}" in told
    eventually("a refused list", lambda: ": forbidden; grant verb" in log())


def await_placed(workload: Workload, log: Callable[[], str]) -> str:
    """Wait until the one pod of the namespace is placed, and an event and a line say so; returns its node."""
    [(pod, node)] = eventually("a pod to be placed", workload.bindings).items()
    words = f"Placed pod [{workload.namespace}/{pod}] on {node}"
    said = eventually("the event", lambda: scheduled_notes(workload))
    assert said == [("random-scheduler", words)]
    assert f'"{words}"' in log()
    return node


def scheduled_notes(workload: Workload) -> list[tuple[str, str]]:
    """Who wrote the events of pods that were placed, and what they say."""
    path = f"/apis/events.k8s.io/v1/namespaces/{workload.namespace}/events"
    found = workload.request("GET", path)["items"]
    return [(each["reportingController"], each["note"]) for each in found if each["reason"] == "Scheduled"]
