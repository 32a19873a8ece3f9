"""The custom resources are those of ciena/pallet, and nothing that was valid there is refused."""

import json

import pytest

from pallet.api.podset import ScheduleTriggerStatus
from tests.manifests.documents import Document, find, rendered
from tools.controlplane.cluster import KubectlError
from tools.controlplane.controlplane import ControlPlane


def crd(plural: str) -> Document:
    return find(rendered("crd"), "CustomResourceDefinition", f"{plural}.planner.ciena.io")


def version(plural: str) -> Document:
    [only] = crd(plural)["spec"]["versions"]
    served: Document = only
    return served


@pytest.mark.parametrize(
    ("plural", "kind", "short_name"),
    [("scheduletriggers", "ScheduleTrigger", "st"), ("scheduleplans", "SchedulePlan", "sp")],
)
def test_names_and_version(plural: str, kind: str, short_name: str) -> None:
    spec = crd(plural)["spec"]
    assert spec["scope"] == "Namespaced"
    assert spec["names"]["kind"] == kind
    assert spec["names"]["shortNames"] == [short_name]
    only = version(plural)
    assert (only["name"], only["served"], only["storage"]) == ("v1alpha1", True, True)
    assert only["subresources"] == {"status": {}}


@pytest.mark.parametrize(
    ("plural", "columns"),
    [
        ("scheduletriggers", [("State", False), ("PodSet", False), ("QuietTime", True), ("Age", False)]),
        ("scheduleplans", [("PodSet", False), ("Age", False), ("Plan", True)]),
    ],
)
def test_columns_and_which_are_wide(plural: str, columns: list[tuple[str, bool]]) -> None:
    shown = version(plural)["additionalPrinterColumns"]
    assert [(column["name"], column.get("priority", 0) > 0) for column in shown] == columns


def test_every_field_that_the_scheduler_writes_is_in_the_schema() -> None:
    schema = version("scheduletriggers")["schema"]["openAPIV3Schema"]
    assert set(schema["properties"]["status"]["properties"]) == set(
        ScheduleTriggerStatus.__struct_encode_fields__
    )


def manifest(kind: str, **fields: object) -> Document:
    return {"apiVersion": "planner.ciena.io/v1alpha1", "kind": kind, "metadata": {"name": "one"}, **fields}


ACCEPTED = [
    manifest("ScheduleTrigger", spec={"state": "Planning"}),
    manifest("ScheduleTrigger", spec={"state": "Schedule"}, status={}),
    manifest("SchedulePlan", spec={"plan": []}),
    manifest("SchedulePlan", spec={"plan": [{"pod": "web", "node": "kind-worker"}]}, status={}),
]
REFUSED = [
    manifest("ScheduleTrigger"),
    manifest("ScheduleTrigger", spec={}),
    manifest("ScheduleTrigger", spec={"state": "Paused"}),
    manifest("SchedulePlan"),
    manifest("SchedulePlan", spec={}),
    manifest("SchedulePlan", spec={"plan": [{"pod": "web"}]}),
    manifest("SchedulePlan", spec={"plan": [{"node": "kind-worker"}]}),
]


@pytest.mark.e2e
@pytest.mark.parametrize("document", ACCEPTED)
def test_accepts_what_the_original_accepts(
    installed: ControlPlane, namespace: str, document: Document
) -> None:
    dry_run(installed, namespace, document)


@pytest.mark.e2e
@pytest.mark.parametrize("document", REFUSED)
def test_refuses_what_the_original_refuses(
    installed: ControlPlane, namespace: str, document: Document
) -> None:
    with pytest.raises(KubectlError, match=r"Required value|Unsupported value"):
        dry_run(installed, namespace, document)


def dry_run(control_plane: ControlPlane, namespace: str, document: Document) -> None:
    control_plane.kubectl(
        "create", "--dry-run=server", f"--namespace={namespace}", "-f", "-", input=json.dumps(document)
    )
