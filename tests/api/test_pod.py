"""What is kept of a pod when it is decoded, and what the pods of a template share."""

from collections.abc import Mapping
from typing import Any

import pytest

from pallet.api.codec import decoder, encode, event_decoder
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Pod

DEFAULT_TOLERATIONS = [
    {
        "key": f"node.kubernetes.io/{why}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    for why in ("not-ready", "unreachable")
]


def decoded(
    number: int = 0, spec: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None
) -> Pod:
    """A pod of a Deployment as the API server gives it."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u", "controller": True}
    requests = {"cpu": "100m"}
    pod: Pod = decoder(Pod)(
        encode(
            {
                "metadata": {
                    "name": f"web-{number}",
                    "namespace": "default",
                    "annotations": {"cni/podIP": f"10.0.0.{number}"},
                    "finalizers": ["example.com/finalizer"],
                    "ownerReferences": [{"name": "bystander", "uid": "b"}, owner],
                },
                "spec": {
                    "nodeName": "node-1",
                    "schedulerName": "default-scheduler",
                    "containers": [{"name": "main", "image": "web:1", "resources": {"requests": requests}}],
                    "tolerations": DEFAULT_TOLERATIONS,
                    **(spec or {}),
                },
                "status": {"phase": "Running", **(status or {})},
            }
        )
    )
    return pod


def test_the_pods_of_a_template_share_what_they_have_in_common() -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
    spread = {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **term}
    spec = {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
        "topologySpreadConstraints": [spread],
        "initContainers": [{"name": "init", "image": "init:1"}],
    }
    one, other = decoded(1, spec), decoded(2, spec)
    fields = (
        *("containers", "init_containers", "tolerations", "affinity", "topology_spread_constraints"),
        *("node_name", "scheduler_name", "preemption_policy"),
    )
    for field in fields:
        assert getattr(one.spec, field)
        assert getattr(one.spec, field) is getattr(other.spec, field), field
    assert one.metadata.namespace is other.metadata.namespace
    assert one.metadata.owner_references is other.metadata.owner_references
    assert one.status.phase is other.status.phase


def test_all_owners_are_kept() -> None:
    assert [owner.name for owner in decoded().metadata.owner_references] == ["bystander", "web-1"]


def test_what_plugins_may_read_of_the_spec_is_there() -> None:
    spec = {
        "priorityClassName": "high",
        "serviceAccountName": "web",
        "runtimeClassName": "gvisor",
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
    }
    found = decoded(spec=spec).spec
    assert (found.priority_class_name, found.service_account_name) == ("high", "web")
    assert (found.runtime_class_name, found.restart_policy) == ("gvisor", "Never")
    assert found.termination_grace_period_seconds == 5


def test_a_bookmark_keeps_its_annotations() -> None:
    done = {"k8s.io/initial-events-end": "true"}
    text = encode({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7", "annotations": done}}})
    assert event_decoder(Pod)(text).object.metadata == ObjectMeta(
        resource_version="7", annotations=Labels(done)
    )


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ({"projected": {"sources": []}}, False),
        ({"configMap": {"name": "web"}}, False),
        ({"emptyDir": {}}, False),
        ({"persistentVolumeClaim": {"claimName": "data"}}, True),
        ({"ephemeral": {"volumeClaimTemplate": {}}}, True),
        ({"csi": {"driver": "example.com"}}, True),
        ({"image": {"reference": "web:1"}}, True),
        ({"awsElasticBlockStore": {"volumeID": "v"}}, True),
    ],
)
def test_volumes_are_kept_if_their_kind_matters(kind: Mapping[str, Any], kept: bool) -> None:  # noqa: FBT001 - a table's column
    volumes = [{"name": "first", "emptyDir": {}}, {"name": "second", **kind}]
    names = [volume.name for volume in decoded(spec={"volumes": volumes}).spec.volumes]
    assert names == (["second"] if kept else [])


@pytest.mark.parametrize(
    ("kind", "status", "kept"),
    [
        ("Ready", "True", False),
        ("Initialized", "False", False),
        ("PodScheduled", "True", False),
        ("PodScheduled", "False", True),
        ("DisruptionTarget", "True", True),
        ("PodResizePending", "True", True),
    ],
)
def test_conditions_are_kept_if_they_are_read(kind: str, status: str, kept: bool) -> None:  # noqa: FBT001 - a table's column
    pod = decoded(status={"conditions": [{"type": kind, "status": status}]})
    assert [condition.type for condition in pod.status.conditions] == ([kind] if kept else [])
