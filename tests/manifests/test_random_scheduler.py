"""The lab's Deployment is the one that the lab's files are about."""

from pathlib import PurePath

from pallet.cli.arguments import parse_run
from tests.manifests.documents import ROOT, example, find, kustomized

FOLDER = "examples/random-scheduler"


def test_the_deployment_runs_its_own_image_with_the_configuration_that_is_beside_it() -> None:
    documents = kustomized(FOLDER)
    pod = find(documents, "Deployment", "random-scheduler")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == "random-scheduler:0.1.0"
    file = PurePath(parse_run(container["args"]).config)
    [mount] = container["volumeMounts"]
    assert str(file.parent) == mount["mountPath"]
    [volume] = pod["volumes"]
    config = find(documents, "ConfigMap", volume["configMap"]["name"])["data"]
    assert config == {file.name: (ROOT / FOLDER / "config.yaml").read_text()}


def test_there_is_never_a_second_one_since_it_elects_no_leader() -> None:
    spec = find(kustomized(FOLDER), "Deployment", "random-scheduler")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_rights_are_apart_and_for_its_service_account() -> None:
    documents = kustomized(FOLDER)
    deployment = find(documents, "Deployment", "random-scheduler")
    account = {
        "kind": "ServiceAccount",
        "name": deployment["spec"]["template"]["spec"]["serviceAccountName"],
        "namespace": deployment["metadata"]["namespace"],
    }
    assert {each["kind"] for each in documents} == {"ServiceAccount", "ConfigMap", "Deployment"}
    bindings = example("random-scheduler/rbac.yaml")
    assert [each["subjects"] for each in bindings] == [[account], [account]]
