"""The manifests: the write-up's names, twice, under the scheduler that one line names."""

import subprocess
from functools import cache

import pytest
import yaml

from tests.examples.load_experiment.serving import EXPERIMENT
from tests.manifests.documents import Document, find
from tools.controlplane import ControlPlane, binaries

FOLDERS = {"kube-scheduler": "default-scheduler", "pallet": "podset-planner-scheduler"}
SETUPS = [("wl-deployment", "wl-service", "wl-hpa"), ("wl-setup2", "wl-service2", "wl-hpa2")]


@cache
def rendered(folder: str) -> tuple[Document, ...]:
    command = [str(binaries.find("kubectl")), "kustomize", str(EXPERIMENT / "manifests" / folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(yaml.safe_load_all(built.stdout))


@pytest.mark.parametrize(("folder", "scheduler"), FOLDERS.items())
@pytest.mark.parametrize(("deployment", "service", "hpa"), SETUPS)
def test_each_setup_is_whole(folder: str, scheduler: str, deployment: str, service: str, hpa: str) -> None:
    documents = rendered(folder)
    assert len(documents) == 6
    workload = find(documents, "Deployment", deployment)["spec"]
    assert workload["template"]["spec"]["schedulerName"] == scheduler
    [container] = workload["template"]["spec"]["containers"]
    assert container["name"] == "wl-container"
    assert container["resources"]["requests"]["cpu"], "without it, the HPA has nothing to compare with"
    assert "replicas" not in workload, "it would take back what the HPA has set, with each apply"
    labels = workload["template"]["metadata"]["labels"]
    exposed = find(documents, "Service", service)["spec"]
    for selector in (workload["selector"]["matchLabels"], exposed["selector"]):
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/name"] == deployment
    scaled = find(documents, "HorizontalPodAutoscaler", hpa)["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", deployment)


def test_the_second_setup_is_the_first_under_other_names() -> None:
    base = EXPERIMENT / "manifests" / "base"
    text = (base / "setup1.yaml").read_text()
    for first, second in (*zip(*SETUPS, strict=True), ("30080", "30081")):
        text = text.replace(f" {first}\n", f" {second}\n")
    assert (base / "setup2.yaml").read_text() == text


def test_nothing_but_the_scheduler_differs() -> None:
    ours, theirs = (yaml.safe_dump_all(rendered(folder)) for folder in FOLDERS)
    assert ours != theirs
    assert ours.replace(FOLDERS["kube-scheduler"], "it") == theirs.replace(FOLDERS["pallet"], "it")


@pytest.mark.e2e
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_api_server_takes_them(control_plane: ControlPlane, namespace: str, folder: str) -> None:
    path = str(EXPERIMENT / "manifests" / folder)
    control_plane.kubectl("-n", namespace, "create", "--dry-run=server", "--validate=strict", "-k", path)
