"""examples/planner_verify.py: pods against plans."""

import importlib.util
import json
import os
import subprocess
import sys
from types import ModuleType

import pytest

from pallet.api.podset import POD_SET_LABEL
from tests.manifests.documents import ROOT, Document
from tools.controlplane import binaries
from tools.controlplane.controlplane import ControlPlane

SCRIPT = ROOT / "examples" / "planner_verify.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planner_verify", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planner_verify = load_script()


def pod(name: str, node: str = "", **changes: Document) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {POD_SET_LABEL: "web"}, **changes.get("metadata", {})},
        "spec": {
            "schedulerName": "podset-planner-scheduler",
            "containers": [{"name": "main", "image": "nginx"}],
            **({"nodeName": node} if node else {}),
            **changes.get("spec", {}),
        },
        "status": changes.get("status", {}),
    }


def plan(name: str, **nodes: str) -> Document:
    return {
        "apiVersion": "planner.ciena.io/v1alpha1",
        "kind": "SchedulePlan",
        "metadata": {"name": name, "labels": {POD_SET_LABEL: "web"}},
        "spec": {"plan": [{"pod": pod_name, "node": node} for pod_name, node in nodes.items()]},
    }


@pytest.mark.parametrize(
    ("pods", "plans", "results"),
    [
        pytest.param([], [], [], id="nothing there"),
        pytest.param([pod("a", "n1")], [plan("p", a="n1")], ["ok"], id="as planned"),
        pytest.param([pod("a", "n2")], [plan("p", a="n1")], ["on another node"], id="elsewhere"),
        pytest.param([pod("a")], [plan("p", a="n1")], ["not bound"], id="unbound"),
        pytest.param([], [plan("p", a="n1")], ["no such pod"], id="entry without pod"),
        pytest.param([pod("a", "n1")], [], ["not in a plan"], id="pod without entry"),
        pytest.param([pod("a")], [], [], id="still waiting"),
        pytest.param(
            [pod("a", "n1"), pod("b", "n2")],
            [plan("p", a="n1"), plan("q", b="n1")],
            ["ok", "on another node"],
            id="the second of two plans is wrong",
        ),
        pytest.param([pod("a", "n1")], [{**plan("p"), "spec": {"plan": None}}], ["not in a plan"], id="null"),
        pytest.param([pod("a", "n1", metadata={"labels": {}})], [], [], id="no member"),
        pytest.param([pod("a", "n1", metadata={"deletionTimestamp": "now"})], [], [], id="ending"),
        pytest.param([pod("a", "n1", status={"phase": "Succeeded"})], [], [], id="finished"),
        pytest.param([pod("a", "n1", spec={"schedulerName": "default-scheduler"})], [], [], id="not ours"),
    ],
)
def test_each_pod_is_judged(pods: list[Document], plans: list[Document], results: list[str]) -> None:
    assert [row.result for row in planner_verify.verify(pods, plans)] == results


def run(control_plane: ControlPlane, namespace: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": f"{binaries.find('kubectl').parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(control_plane.kubeconfig),
        "KUBECACHEDIR": str(control_plane.directory / "kubectl-cache"),
        "KUBERC": "off",
    }
    command = [sys.executable, str(SCRIPT), "-n", namespace]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.e2e
def test_success_and_failure_on_a_cluster(installed: ControlPlane, namespace: str) -> None:
    assert run(installed, namespace).stdout.splitlines()[-1] == "Planner assignment verification success"
    documents = [pod("a", "n1"), pod("b"), plan("p", a="n1")]
    create = ("create", f"--namespace={namespace}", "-f", "-")
    for document in documents:
        installed.kubectl(*create, input=json.dumps(document))
    good = run(installed, namespace)
    assert good.returncode == 0
    assert good.stdout.splitlines() == [
        "POD   NODE   PLANNED   PLAN   RESULT",
        "a     n1     n1        p      ok",
        "Planner assignment verification success",
    ]
    installed.kubectl(*create, input=json.dumps(plan("q", b="n1")))
    bad = run(installed, namespace)
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[-2:] == [
        "b     <none>   n1        q      not bound",
        "Planner assignment verification failed: 1 of 2 pods",
    ]


@pytest.mark.e2e
def test_a_cluster_that_cannot_be_asked_is_no_success(installed: ControlPlane) -> None:
    answer = run(installed, "../elsewhere")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("Cannot ask the cluster: ")
