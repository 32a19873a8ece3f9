"""The workshop's example carries the names that the workshop knows, and installs beside everything else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pallet.config.load import load
from tests.manifests.documents import ROOT, Document, example, find, kustomized, rendered

FOLDER = "examples/workshop"


def test_the_configuration_has_the_one_profile_and_needs_no_custom_resources() -> None:
    [profile] = load(ROOT / FOLDER / "config.yaml").profiles
    assert profile.scheduler_name == "PrgContSched"
    assert profile.plugins.multi_point.enabled == ()


@pytest.mark.parametrize(
    ("file", "kind", "name"),
    [
        ("hello.yaml", "Pod", "hello"),
        ("webgordon.yaml", "StatefulSet", "webgordon"),
        ("daemonset.yaml", "DaemonSet", "gordon"),
    ],
)
def test_the_pods_ask_for_the_scheduler_by_name(file: str, kind: str, name: str) -> None:
    spec = find(example(f"workshop/{file}"), kind, name)["spec"]
    pod = spec["template"]["spec"] if "template" in spec else spec
    assert pod["schedulerName"] == "PrgContSched"
    assert [each["image"] for each in pod["containers"]] == ["prgcont/gordon:v1.0"]


def test_the_stateful_set_has_a_headless_service_and_a_volume_to_each_pod() -> None:
    documents = example("workshop/webgordon.yaml")
    spec = find(documents, "StatefulSet", "webgordon")["spec"]
    assert (spec["serviceName"], spec["replicas"]) == ("gordon", 2)
    assert find(documents, "Service", "gordon")["spec"]["clusterIP"] == "None"
    [template] = spec["volumeClaimTemplates"]
    assert template["metadata"]["name"] == "www"
    assert template["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }


def test_the_daemons_tolerate_masters_old_and_new() -> None:
    spec = find(example("workshop/daemonset.yaml"), "DaemonSet", "gordon")["spec"]["template"]["spec"]
    assert spec["tolerations"] == [
        {"key": f"node-role.kubernetes.io/{name}", "effect": "NoSchedule"}
        for name in ("master", "control-plane")
    ]


def identity(document: Document) -> tuple[str, str, str]:
    metadata: dict[str, Any] = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def test_it_is_installed_beside_what_config_installs_and_shares_nothing_with_it() -> None:
    ours = {identity(each) for each in kustomized(FOLDER)}
    assert not ours & {identity(each) for each in rendered("default")}
    assert {kind for kind, _, _ in ours} == {
        *("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
        *("ConfigMap", "Deployment", "PodDisruptionBudget", "NetworkPolicy"),
    }


def test_its_rights_are_those_of_the_scheduler_and_its_lease_is_the_one_it_takes() -> None:
    documents = kustomized(FOLDER)
    installed = find(rendered("default"), "ClusterRole", "podset-planner-scheduler-role")
    assert find(documents, "ClusterRole", "prgcontsched")["rules"] == installed["rules"]
    role = find(documents, "Role", "prgcontsched")
    config = find(documents, "ConfigMap", "scheduler-config")["data"]["scheduler-config.yaml"]
    assert config == Path(ROOT / FOLDER / "config.yaml").read_text()
    election = yaml.safe_load(config)["leaderElection"]
    assert role["metadata"]["namespace"] == election["resourceNamespace"]
    assert role["rules"][0]["resourceNames"] == [election["resourceName"]]


@pytest.mark.parametrize("kind", ["ClusterRoleBinding", "RoleBinding"])
def test_the_rights_are_the_deployments(kind: str) -> None:
    documents = kustomized(FOLDER)
    deployment = find(documents, "Deployment", "prgcontsched")["spec"]["template"]["spec"]
    [subject] = find(documents, kind, "prgcontsched")["subjects"]
    account = {"kind": "ServiceAccount", "name": deployment["serviceAccountName"], "namespace": "workshop"}
    assert subject == account
