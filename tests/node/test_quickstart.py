"""The first thing a user does, on a real node: deploy, and go through the quickstart."""

import time

import pytest

from tests.e2e.workload import Workload
from tools.demo.quickstart import walk_through
from tools.demo.shell import Shell

pytestmark = [pytest.mark.time_limit(1200), pytest.mark.usefixtures("deployed")]


def test_deployed_with_the_shipped_manifests_it_places_a_set(shell: Shell) -> None:
    walk_through(shell, "5s")


@pytest.mark.parametrize("count", [2, 20])
def test_the_same_pods_run_under_both_schedulers(workload: Workload, count: int) -> None:
    """kube-scheduler places pods when they are created; a set is created before, and then switched."""
    theirs, ours = ([f"{whose}-{number}" for number in range(count)] for whose in ("theirs", "ours"))
    began = time.monotonic()
    workload.add_pods(theirs, cpu="1m", schedulerName="default-scheduler")
    workload.await_running(theirs)
    print(f"kube-scheduler: {count} pods run {time.monotonic() - began:.2f} s after they were created")  # noqa: T201
    for name in theirs:
        workload.delete_pod(name)
    workload.add_trigger("web", "Planning")
    workload.add_pods(ours, "web", cpu="1m")
    workload.await_reason(" ".join(ours), "AwaitingTrigger")
    began = time.monotonic()
    workload.switch("Schedule")
    workload.await_running(ours)
    print(f"pallet: {count} pods run {time.monotonic() - began:.2f} s after the switch")  # noqa: T201
    workload.await_plan_as_bound("web", " ".join(ours))
