"""The overlay that takes kube-scheduler's place: the installation, and the right to its Lease."""

from pallet.config.load import parse
from tests.manifests.documents import Document, find, rendered

LEASE_ROLE = "podset-planner-scheduler-kube-scheduler-lease"


def by_name(overlay: str) -> dict[tuple[str, str], Document]:
    return {(each["kind"], each["metadata"]["name"]): each for each in rendered(overlay)}


def test_it_differs_in_the_configuration_and_the_lease_alone() -> None:
    installed, overlay = by_name("default"), by_name("default-scheduler")
    assert set(overlay) - set(installed) == {("Role", LEASE_ROLE), ("RoleBinding", LEASE_ROLE)}
    assert {key for key in installed if overlay[key] != installed[key]} == {
        ("ConfigMap", "scheduler-config"),
        ("FlowSchema", "podset-planner-scheduler-leader-election"),
    }


def test_kube_scheduler_s_lease_is_taken_for_the_pods_of_kube_scheduler() -> None:
    text = find(rendered("default-scheduler"), "ConfigMap", "scheduler-config")["data"][
        "scheduler-config.yaml"
    ]
    configuration = parse(text, "scheduler-config.yaml")
    election = configuration.leader_election
    assert election.leader_elect
    assert (election.resource_namespace, election.resource_name) == ("kube-system", "kube-scheduler")
    names = [profile.scheduler_name for profile in configuration.profiles]
    assert names == ["default-scheduler", "podset-planner-scheduler"]


def test_only_that_lease_is_opened() -> None:
    role = find(rendered("default-scheduler"), "Role", LEASE_ROLE)
    assert role["metadata"]["namespace"] == "kube-system"
    assert role["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["kube-scheduler"],
            "verbs": ["get", "update", "watch"],
        },
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    ]
    binding = find(rendered("default-scheduler"), "RoleBinding", LEASE_ROLE)
    assert binding["metadata"]["namespace"] == "kube-system"
    assert binding["roleRef"]["name"] == LEASE_ROLE
    [subject] = binding["subjects"]
    assert (subject["namespace"], subject["name"]) == ("planner-system", "podset-planner-scheduler")


def test_its_renewals_keep_their_level_of_priority() -> None:
    name = "podset-planner-scheduler-leader-election"
    [rule] = find(rendered("default-scheduler"), "FlowSchema", name)["spec"]["rules"]
    assert [each["namespaces"] for each in rule["resourceRules"]] == [["kube-system"]]


def test_the_plain_installation_does_not_touch_kube_scheduler() -> None:
    assert "kube-system" not in {each["metadata"].get("namespace") for each in rendered("default")}
