"""The examples carry the names that the quickstart and people's scripts know."""

import pytest
import yaml

from pallet.api.podset import POD_SET_LABEL, QUIET_TIME_LABEL
from tests.manifests.documents import ROOT, Document, example, find
from tools.controlplane.controlplane import ControlPlane

EXAMPLES = ROOT / "examples"
OTHERS = {"KubeSchedulerConfiguration", "Kustomization", None}
"""What files that are not for the API server say they are; those of Prometheus say nothing."""

FILES = sorted(
    str(path.relative_to(EXAMPLES))
    for path in EXAMPLES.rglob("*.yaml")
    if not any(document.get("kind") in OTHERS for document in yaml.safe_load_all(path.read_text()))
)


def test_the_trigger() -> None:
    [trigger] = example("wt-scheduletrigger.yaml")
    assert (trigger["kind"], trigger["spec"]) == ("ScheduleTrigger", {"state": "Planning"})
    metadata = trigger["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("default", "customtrigger")
    assert metadata["labels"] == {POD_SET_LABEL: "planner-podset", QUIET_TIME_LABEL: "2m0s"}


@pytest.mark.parametrize(
    ("file", "name", "image"),
    [
        ("wt-deploy.yaml", "hello-server", "ciena/grpc-hello-server:0.1.0"),
        ("wt-deploy.yaml", "hello-client", "ciena/grpc-hello-client:0.1.0"),
        ("antiaffinity_deployment.yaml", "app-1", "nginx"),
        ("antiaffinity_deployment.yaml", "app-2", "nginx"),
        ("antiaffinity_deployment_weighted.yaml", "weighted-app-1", "nginx"),
        ("antiaffinity_deployment_weighted.yaml", "weighted-app-2", "nginx"),
    ],
)
def test_the_deployments(file: str, name: str, image: str) -> None:
    spec = find(example(file), "Deployment", name)["spec"]
    assert spec["replicas"] == 1
    assert spec["template"]["metadata"]["labels"] == {"app": name, POD_SET_LABEL: "planner-podset"}
    assert spec["template"]["spec"]["schedulerName"] == "podset-planner-scheduler"
    assert [container["image"] for container in spec["template"]["spec"]["containers"]] == [image]


def test_the_quickstart_pods_end_at_once_and_their_service_is_headless() -> None:
    documents = example("wt-deploy.yaml")
    for name in ("hello-server", "hello-client"):
        template = find(documents, "Deployment", name)["spec"]["template"]
        assert template["spec"]["terminationGracePeriodSeconds"] == 0
    service = find(documents, "Service", "hello-server")["spec"]
    assert (service["clusterIP"], service["ports"][0]["port"]) == ("None", 8080)


def anti_affinity(file: str, name: str) -> Document:
    spec = find(example(file), "Deployment", name)["spec"]["template"]["spec"]
    terms: Document = spec["affinity"]["podAntiAffinity"]
    return terms


def term(other: str) -> Document:
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": [other]}]}
    return {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}


@pytest.mark.parametrize(("name", "other"), [("app-1", "app-2"), ("app-2", "app-1")])
def test_the_apps_must_not_or_would_rather_not_meet(name: str, other: str) -> None:
    assert anti_affinity("antiaffinity_deployment.yaml", name) == {
        "requiredDuringSchedulingIgnoredDuringExecution": [term(other)]
    }
    assert anti_affinity("antiaffinity_deployment_weighted.yaml", f"weighted-{name}") == {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "podAffinityTerm": term(f"weighted-{other}")}
        ]
    }


@pytest.mark.e2e
@pytest.mark.parametrize("file", FILES)
def test_the_api_server_takes_it(installed: ControlPlane, file: str) -> None:
    installed.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(EXAMPLES / file))
