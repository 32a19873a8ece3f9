"""The scheduler's rights are the least that it works with.

That they are enough is shown by the end-to-end tests, which run under its ServiceAccount.
"""

import pytest

from tests.manifests.documents import Document, find, rendered

SCHEDULER_RIGHTS = {
    ("", "nodes"): {"list", "watch"},
    ("", "namespaces"): {"list", "watch"},
    ("", "services"): {"list", "watch"},
    ("discovery.k8s.io", "endpointslices"): {"list", "watch"},
    ("", "pods"): {"get", "list", "watch", "delete"},
    ("", "replicationcontrollers"): {"list", "watch"},
    ("apps", "replicasets"): {"list", "watch"},
    ("apps", "statefulsets"): {"list", "watch"},
    ("policy", "poddisruptionbudgets"): {"list", "watch"},
    ("", "persistentvolumes"): {"list", "watch", "patch"},
    ("", "persistentvolumeclaims"): {"list", "watch", "patch"},
    ("storage.k8s.io", "storageclasses"): {"list", "watch"},
    ("storage.k8s.io", "csinodes"): {"list", "watch"},
    ("storage.k8s.io", "csidrivers"): {"list", "watch"},
    ("storage.k8s.io", "csistoragecapacities"): {"list", "watch"},
    ("storage.k8s.io", "volumeattachments"): {"list", "watch"},
    ("", "pods/binding"): {"create"},
    ("", "pods/status"): {"patch"},
    ("events.k8s.io", "events"): {"create", "patch"},
    ("planner.ciena.io", "scheduletriggers"): {"get", "list", "watch", "patch"},
    ("planner.ciena.io", "scheduletriggers/status"): {"patch"},
    ("planner.ciena.io", "scheduleplans"): {"get", "list", "watch", "create", "patch", "delete"},
    ("authentication.k8s.io", "tokenreviews"): {"create"},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
}
"""Each of them with a use in `pallet/`; whoever adds one adds it here too, on purpose."""

READ = {"get", "list", "watch"}
WRITE = READ | {"create", "update", "patch", "delete"}


def rights(role: Document) -> dict[tuple[str, str], set[str]]:
    """The verbs for each group and resource; a right granted twice is a mistake."""
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        assert "resourceNames" not in rule
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert (group, resource) not in granted
                granted[group, resource] = set(rule["verbs"])
    return granted


def test_the_scheduler_may_do_what_is_listed_and_nothing_else() -> None:
    role = find(rendered("default"), "ClusterRole", "podset-planner-scheduler-role")
    assert rights(role) == SCHEDULER_RIGHTS


def test_only_its_own_lease_is_open_to_the_scheduler() -> None:
    role = find(rendered("default"), "Role", "podset-planner-scheduler-leader-election")
    assert role["metadata"]["namespace"] == "planner-system"
    assert {rule["resources"][0] for rule in role["rules"]} == {"leases"}
    named = [rule for rule in role["rules"] if rule.get("resourceNames") == ["podset-planner-scheduler"]]
    unnamed = [rule for rule in role["rules"] if "resourceNames" not in rule]
    assert [set(rule["verbs"]) for rule in named] == [{"get", "update", "watch"}]
    assert [set(rule["verbs"]) for rule in unnamed] == [{"create"}]


def test_nobody_else_is_given_anything() -> None:
    bindings = [each for each in rendered("default") if each["kind"].endswith("RoleBinding")]
    assert {each["roleRef"]["name"] for each in bindings} == {
        "podset-planner-scheduler-role",
        "podset-planner-scheduler-leader-election",
    }
    for binding in bindings:
        [subject] = binding["subjects"]
        assert subject["kind"] == "ServiceAccount"
        assert (subject["namespace"], subject["name"]) == ("planner-system", "podset-planner-scheduler")


@pytest.mark.parametrize("kind", ["scheduletrigger", "scheduleplan"])
@pytest.mark.parametrize(("role", "verbs"), [("viewer", READ), ("editor", WRITE)])
def test_roles_for_people(kind: str, role: str, verbs: set[str]) -> None:
    document = find(rendered("default"), "ClusterRole", f"{kind}-{role}-role")
    assert rights(document) == {
        ("planner.ciena.io", f"{kind}s"): verbs,
        ("planner.ciena.io", f"{kind}s/status"): {"get"},
    }


def test_the_role_for_prometheus_reads_metrics_and_nothing_else() -> None:
    role = find(rendered("default"), "ClusterRole", "podset-planner-metrics-reader")
    assert role["rules"] == [{"nonResourceURLs": ["/metrics", "/metrics/resources"], "verbs": ["get"]}]
