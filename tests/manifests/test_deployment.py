"""What runs in the cluster: one guarded Deployment that takes the place of the original's three."""

import copy
import http.client
import json
import ssl
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from pallet.cli.arguments import parse_run
from pallet.config.load import load
from pallet.podset.plugin import args_of
from tests.manifests.documents import ROOT, Document, find, rendered
from tools.controlplane.controlplane import ControlPlane

NAME = "podset-planner-scheduler"

ORIGINAL_LABELS = {
    "app": NAME,
    "app.kubernetes.io/name": NAME,
    "app.kubernetes.io/component": "scheduler",
    "app.kubernetes.io/part-of": "podset-planner",
}
ORIGINAL_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": NAME, "namespace": "planner-system", "labels": ORIGINAL_LABELS},
    "spec": {
        "selector": {"matchLabels": ORIGINAL_LABELS},
        "template": {
            "metadata": {"labels": ORIGINAL_LABELS},
            "spec": {"containers": [{"name": NAME, "image": "original", "args": ["--leader-elect=false"]}]},
        },
    },
}


def deployment(overlay: str = "default") -> Document:
    return find(rendered(overlay), "Deployment", NAME)


def container(overlay: str = "default") -> Document:
    [only] = deployment(overlay)["spec"]["template"]["spec"]["containers"]
    the_container: Document = only
    return the_container


def test_of_two_replicas_the_holder_of_the_lease_schedules(tmp_path: Path) -> None:
    assert deployment()["spec"]["replicas"] == 2
    assert not any("leader-elect" in argument for argument in container()["args"])
    election = load(written_config(tmp_path)).leader_election
    assert election.leader_elect
    assert (election.resource_namespace, election.resource_name) == ("planner-system", NAME)


def test_a_rollout_and_a_drain_leave_one_to_schedule_its_replacement() -> None:
    assert deployment()["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    budget = find(rendered("default"), "PodDisruptionBudget", NAME)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= ORIGINAL_LABELS.items()


def test_without_leader_election_two_never_run_side_by_side() -> None:
    spec = deployment("one-replica")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert parse_run(container("one-replica")["args"]).leader_elect is False
    differing = [each for each in rendered("one-replica") if each not in rendered("default")]
    assert differing == [deployment("one-replica")]


def test_the_config_map_gives_the_profile_its_plugin(tmp_path: Path) -> None:
    [profile] = load(written_config(tmp_path)).profiles
    assert profile.scheduler_name == NAME
    assert [plugin.name for plugin in profile.plugins.multi_point.enabled] == ["PodSetPlanner"]


def test_bindings_and_refusals_are_logged() -> None:
    assert parse_run(container()["args"]).v == 2


def written_config(directory: Path) -> Path:
    """The configuration file as the container finds it, by the path in its arguments."""
    [argument] = [each for each in container()["args"] if each.startswith("--config")]
    [mount] = [each for each in container()["volumeMounts"] if each["name"] == "scheduler-config"]
    path = Path(argument.removeprefix("--config="))
    assert str(path.parent) == mount["mountPath"]
    config_map = find(rendered("default"), "ConfigMap", "scheduler-config")
    file = directory / path.name
    file.write_text(config_map["data"][path.name])
    return file


def test_the_service_leads_to_the_planner() -> None:
    service = find(rendered("default"), "Service", "podset-planner")
    assert service["metadata"]["labels"]["planner.ciena.io/default"] == "enabled"
    [port] = service["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (7309, 7777)
    assert service["spec"]["selector"].items() <= ORIGINAL_LABELS.items()


def test_probes_ask_the_secure_port() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        asked = container()[probe]["httpGet"]
        assert (asked["path"], asked["scheme"], ports[asked["port"]]) == (path, "HTTPS", 10259)


def test_the_root_file_system_is_read_only() -> None:
    assert container()["securityContext"]["readOnlyRootFilesystem"]
    assert deployment()["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 65532


def test_everything_that_has_a_namespace_is_in_planner_system() -> None:
    elsewhere = {
        each["kind"] for each in rendered("default") if each["metadata"].get("namespace") != "planner-system"
    }
    assert elsewhere == {
        "Namespace",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "FlowSchema",
    }


def test_the_demo_differs_in_the_replicas_and_in_what_the_service_selects() -> None:
    demo = copy.deepcopy(rendered("demo"))
    assert find(demo, "Deployment", NAME)["spec"]["replicas"] == 0
    find(demo, "Deployment", NAME)["spec"]["replicas"] = deployment()["spec"]["replicas"]
    service = find(rendered("default"), "Service", "podset-planner")
    assert "selector" not in find(demo, "Service", "podset-planner")["spec"]
    find(demo, "Service", "podset-planner")["spec"]["selector"] = service["spec"]["selector"]
    assert demo == rendered("default")


@pytest.mark.e2e
def test_takes_the_place_of_the_original_deployment(installed: ControlPlane) -> None:
    installed.kubectl("apply", "-f", "-", input=json.dumps(ORIGINAL_DEPLOYMENT))
    installed.kubectl("apply", "-k", str(ROOT / "config" / "demo"))
    live = json.loads(
        installed.kubectl("get", "deployment", NAME, "--namespace=planner-system", "--output=json")
    )
    assert live["spec"]["strategy"] == deployment()["spec"]["strategy"]
    assert live["spec"]["template"]["spec"]["containers"][0]["args"] == container()["args"]


@pytest.mark.e2e
def test_the_pod_keeps_to_the_restricted_standard(installed: ControlPlane) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", **deployment()["spec"]["template"]}
    pod["metadata"] = {"name": "trial", "namespace": "planner-system"}
    installed.kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod))


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("schema", "request_path"),
    [
        ("podset-planner-scheduler", "/api/v1/nodes"),
        (
            "podset-planner-scheduler-leader-election",
            "/apis/coordination.k8s.io/v1/namespaces/planner-system/leases/podset-planner-scheduler",
        ),
    ],
)
def test_the_api_server_gives_its_requests_their_own_flow(
    installed: ControlPlane, schema: str, request_path: str
) -> None:
    uid = installed.kubectl("get", "flowschema", schema, "--output=jsonpath={.metadata.uid}")
    kubeconfig = yaml.safe_load(installed.kubeconfig_for_service_account("planner-system", NAME).read_text())
    token = kubeconfig["users"][0]["user"]["token"]
    connection = http.client.HTTPSConnection(
        "127.0.0.1", installed.port, context=ssl.create_default_context(cafile=installed.ca_file)
    )
    with closing(connection):
        # The API server learns of a new schema a moment later, so it may have to be asked again.
        while True:
            connection.request("GET", request_path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            if answer.headers["X-Kubernetes-Pf-Flowschema-Uid"] == uid:
                break


def test_other_planners_have_a_namespace_of_their_own(tmp_path: Path) -> None:
    """planner-system stays restricted, which many a planner's Deployment is not."""
    documents = rendered("default")
    level = "pod-security.kubernetes.io/enforce"
    assert find(documents, "Namespace", "planner-system")["metadata"]["labels"][level] == "restricted"
    assert find(documents, "Namespace", "podset-planners")["metadata"]["labels"][level] == "baseline"
    args = args_of(load(written_config(tmp_path)).profiles)
    assert args is not None
    assert args.planner.namespaces == ("planner-system", "podset-planners")
