"""A process that lacks rights says which at the start, and is not ready if no set can be scheduled."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.interception import intercepting
from tests.e2e.workload import Workload, eventually
from tests.manifests.documents import find, rendered
from tests.running import SCHEDULER, Pallet, configuration, running
from tools.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def user(namespace: str) -> str:
    """A ServiceAccount of the test's own."""
    return f"system:serviceaccount:{namespace}:scheduler"


@pytest.fixture
def account(control_plane: ControlPlane, service_account: Path, namespace: str) -> Path:
    """Its kubeconfig; the custom resources are installed."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    control_plane.client.request("POST", path, {"metadata": {"name": "scheduler"}})
    return control_plane.kubeconfig_for_service_account(namespace, "scheduler")


@contextmanager
def granted(control_plane: ControlPlane, namespace: str, rules: list[dict[str, Any]]) -> Iterator[None]:
    """Let the ServiceAccount do what these rules say."""
    client = control_plane.client
    client.request("POST", f"{RBAC}/clusterroles", {"metadata": {"name": namespace}, "rules": rules})
    client.request(
        "POST",
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": {"name": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
            "subjects": [{"kind": "ServiceAccount", "name": "scheduler", "namespace": namespace}],
        },
    )
    try:
        yield
    finally:
        client.request("DELETE", f"{RBAC}/clusterrolebindings/{namespace}")
        client.request("DELETE", f"{RBAC}/clusterroles/{namespace}")


def shipped(*without: tuple[str, str], update: bool = False) -> list[dict[str, Any]]:
    """The rules of the shipped role without some verbs of some resources, in whose place may be update."""
    rules = []
    for rule in find(rendered("default"), "ClusterRole", f"{SCHEDULER}-role")["rules"]:
        for resource in rule["resources"]:
            verbs = [verb for verb in rule["verbs"] if (resource, verb) not in without]
            verbs += ["update"] * (update and len(verbs) < len(rule["verbs"]))
            rules.append({**rule, "resources": [resource], "verbs": verbs})
    return rules


def told(process: Pallet) -> list[str]:
    return [line for line in process.log.splitlines() if '"Rights are missing"' in line]


def event_of(control_plane: ControlPlane, namespace: str) -> dict[str, Any] | None:
    events = control_plane.client.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    found = [event for event in events["items"] if event["reason"] == "MissingRights"]
    assert len(found) <= 1
    return found[0] if found else None


def test_with_the_shipped_roles_nothing_is_missing(
    control_plane: ControlPlane, account: Path, namespace: str
) -> None:
    with (
        granted(control_plane, namespace, shipped()),
        running(control_plane, configuration(), kubeconfig=account) as process,
    ):
        eventually("it to schedule", lambda: '"Scheduling"' in process.log)
        assert not told(process)


def test_what_is_missing_is_one_line_and_one_event_with_the_rules(
    control_plane: ControlPlane, account: Path, namespace: str, user: str
) -> None:
    lacking = (("pods/status", "patch"), ("scheduletriggers", "patch"), ("tokenreviews", "create"))
    with (
        granted(control_plane, namespace, shipped(*lacking, update=True)),
        running(control_plane, configuration(), kubeconfig=account) as process,
    ):
        event = eventually("an event", lambda: event_of(control_plane, namespace))
        [line] = told(process)
        assert f"user={user}" in line
        assert 'sets="are scheduled"' in line
        assert event["regarding"]["name"] == "scheduler"
        for rule in (
            '{apiGroups: [""], resources: [pods/status], verbs: [patch]}',
            "{apiGroups: [planner.ciena.io], resources: [scheduletriggers], verbs: [patch]}",
            "{apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}",
        ):
            assert rule in event["note"]
            assert rule.replace('"', '\\"') in line
        assert process.is_ready()


def test_it_is_not_ready_where_no_set_can_be_scheduled(
    control_plane: ControlPlane, account: Path, namespace: str
) -> None:
    with (
        granted(control_plane, namespace, shipped(("scheduleplans", "create"))),
        running(control_plane, configuration(), kubeconfig=account, ready=False) as process,
    ):
        eventually("it to be told", lambda: told(process))
        assert not process.is_ready()
        assert 'sets="stand still"' in process.log


def test_without_any_right_there_is_one_warning_of_the_informers_and_one_line_with_all(
    control_plane: ControlPlane, service_account: Path
) -> None:
    """Some twenty informers try again and again."""
    assert service_account.exists()  # with it came the custom resources
    nobody = control_plane.kubeconfig_for("nobody")
    with (
        intercepting(nobody) as proxy,
        running(control_plane, configuration(), master=proxy.url, ready=False) as process,
    ):
        eventually("it to be told", lambda: told(process))
        # Each collection is asked for when it starts, and again after refusals.
        eventually("informers to have tried", lambda: len(lists(proxy.requests)) >= 45)
        warnings = [line for line in process.log.splitlines() if " WARNING informers" in line]
        assert len(warnings) == 1
        [line] = told(process)
        assert "resources: [pods], verbs: [delete, get, list, watch]" in line


def lists(requests: list[str]) -> list[str]:
    return [request for request in requests if request.startswith("GET ") and "?" in request]


def test_with_update_in_the_place_of_patch_sets_are_scheduled(
    control_plane: ControlPlane, account: Path, namespace: str, workload: Workload
) -> None:
    """So it is in the roles of ciena/pallet."""
    resources = ("scheduletriggers", "scheduletriggers/status", "scheduleplans")
    rules = shipped(*((resource, "patch") for resource in resources), update=True)
    with (
        granted(control_plane, namespace, rules),
        running(control_plane, configuration(), kubeconfig=account),
    ):
        workload.pool.add(1)
        workload.add_trigger("web", "Planning", quiet_time="100ms")
        workload.add_pods("a b", "web")
        workload.await_plan_as_bound("web", "a b")
        workload.add_pods("late", "web")
        workload.await_plan_as_bound("web", "a b late")
        workload.await_status(bound=3)
