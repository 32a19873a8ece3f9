"""`make migrate` removes what an installation of ciena/pallet leaves behind, and nothing else.

The names are those of its `deploy/*.yaml` and of `config/default` with its prefix; those in its `config/rbac`
are kubebuilder's.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.documents import ROOT, find, rendered
from tools.controlplane import binaries
from tools.controlplane.controlplane import ControlPlane

NAMESPACE, PLANNER, SCHEDULER = "planner-system", "podset-planner", "podset-planner-scheduler"
RIGHTS = ("pods", "plans", "services")
CORE, APPS, RBAC = "v1", "apps/v1", "rbac.authorization.k8s.io/v1"

Object = tuple[str, str, str, str]
"""API version, kind, namespace, name."""

MANAGER: list[Object] = [
    (APPS, "Deployment", NAMESPACE, "planner-controller-manager"),
    (CORE, "ServiceAccount", NAMESPACE, "planner-controller-manager"),
    (CORE, "Service", NAMESPACE, "planner-controller-manager-metrics-service"),
    (CORE, "ConfigMap", NAMESPACE, "planner-manager-config"),
    (RBAC, "ClusterRole", "", "planner-manager-role"),
    (RBAC, "ClusterRole", "", "planner-proxy-role"),
    (RBAC, "ClusterRole", "", "planner-metrics-reader"),
    (RBAC, "ClusterRoleBinding", "", "planner-manager-rolebinding"),
    (RBAC, "ClusterRoleBinding", "", "planner-proxy-rolebinding"),
    (RBAC, "Role", NAMESPACE, "planner-leader-election-role"),
    (RBAC, "RoleBinding", NAMESPACE, "planner-leader-election-rolebinding"),
    # Its leader election, as it runs.
    ("coordination.k8s.io/v1", "Lease", NAMESPACE, "ab1badf6.ciena.com"),
    (CORE, "ConfigMap", NAMESPACE, "ab1badf6.ciena.com"),
]


def with_rights(name: str) -> list[Object]:
    """A Deployment, its ServiceAccount, and the rights it is given."""
    return [
        (APPS, "Deployment", NAMESPACE, name),
        (CORE, "ServiceAccount", NAMESPACE, name),
        (RBAC, "ClusterRoleBinding", "", name),
        *((RBAC, "ClusterRole", "", f"{name}-{part}") for part in RIGHTS),
        *((RBAC, "ClusterRoleBinding", "", f"{name}-{part}") for part in RIGHTS),
    ]


ORIGINAL: list[Object] = [
    *MANAGER,
    *with_rights(PLANNER),
    (CORE, "Service", NAMESPACE, PLANNER),
    *with_rights(SCHEDULER),
    (CORE, "ConfigMap", NAMESPACE, "scheduler-config"),
]


def identity(document: dict[str, Any]) -> Object:
    metadata = document["metadata"]
    return document["apiVersion"], document["kind"], metadata.get("namespace", ""), metadata["name"]


def deleted() -> set[Object]:
    """What is deleted."""
    document = yaml.safe_load((ROOT / "config/migrate/ciena-pallet.yaml").read_text())
    objects = [identity(each) for each in document["items"]]
    assert len(set(objects)) == len(objects)
    return set(objects)


def test_each_object_of_the_original_is_deleted_or_replaced_by_ours() -> None:
    ours = {identity(each) for each in rendered("default")}
    assert deleted() | (ours & set(ORIGINAL)) == set(ORIGINAL)
    # A rolling update would run the original's scheduler, which knows no Lease, beside ours.
    assert deleted() & ours == {(APPS, "Deployment", NAMESPACE, SCHEDULER)}


def body(found: Object) -> dict[str, Any]:
    """An object of the original, with as much in it as the API server asks for."""
    version, kind, namespace, name = found
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    document: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": metadata}
    owner = next(
        (each for each in (SCHEDULER, PLANNER) if name.startswith(each)), "planner-controller-manager"
    )
    labels = {"app": owner}
    if kind.endswith("Binding"):
        role = kind.removesuffix("Binding")
        document["roleRef"] = {"apiGroup": RBAC.partition("/")[0], "kind": role, "name": name}
        document["subjects"] = [{"kind": "ServiceAccount", "name": owner, "namespace": NAMESPACE}]
    elif kind == "Service":
        document["spec"] = {"selector": labels, "ports": [{"name": "grpc", "port": 7309, "targetPort": 7777}]}
    elif kind == "Deployment":
        if name == SCHEDULER:
            labels = find(rendered("default"), kind, name)["spec"]["selector"]["matchLabels"]
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": name}]}}
        document["spec"] = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return document


@pytest.mark.e2e
def test_after_migrate_and_deploy_nothing_of_the_original_is_left(tmp_path: Path) -> None:
    original = tmp_path / "original.yaml"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    original.write_text(yaml.safe_dump_all([namespace, *map(body, ORIGINAL)]))
    with ControlPlane() as control_plane:
        control_plane.kubectl("apply", "-f", str(original))
        assert all(exists(control_plane, found) for found in ORIGINAL)
        migrate(control_plane)
        control_plane.kubectl("apply", "-k", str(ROOT / "config" / "default"))
        left = {found for found in ORIGINAL if exists(control_plane, found)}
        assert left == {identity(each) for each in rendered("default")} & set(ORIGINAL)
        assert bound(control_plane) == {
            ("podset-planner-scheduler-leader-election", SCHEDULER),
            ("podset-planner-scheduler-rolebinding", SCHEDULER),
        }
        service = f"/api/v1/namespaces/{NAMESPACE}/services/{PLANNER}"
        assert control_plane.client.request("GET", service)["spec"]["selector"] == {"app": SCHEDULER}
        migrate(control_plane)  # where there is nothing more to do


def migrate(control_plane: ControlPlane) -> None:
    """Run `make migrate` on the control plane."""
    kubectl = f"KUBECTL={binaries.find('kubectl')} --kubeconfig={control_plane.kubeconfig}"
    subprocess.run(["make", "--silent", "migrate", kubectl], cwd=ROOT, check=True)  # noqa: S607 - of this machine


def bound(control_plane: ControlPlane) -> set[tuple[str, str]]:
    """Which ServiceAccounts of the namespace are given rights, and by which bindings."""
    bindings = control_plane.kubectl("get", "clusterrolebindings,rolebindings", "-A", "-o", "yaml")
    return {
        (each["metadata"]["name"], subject["name"])
        for each in yaml.safe_load(bindings)["items"]
        for subject in each.get("subjects", ())
        if subject.get("namespace") == NAMESPACE
    }


def exists(control_plane: ControlPlane, found: Object) -> bool:
    _, kind, namespace, name = found
    where = ["-n", namespace] if namespace else []
    return bool(control_plane.kubectl("get", kind, name, *where, "--ignore-not-found", "-o", "name"))
