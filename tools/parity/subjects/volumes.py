"""Bound and unbound claims, local and provisioned volumes, limits of drivers, disks in the pod's spec."""

from tools.parity.draft import HOSTNAME, ZONE, Draft, Subject, is_bound
from tools.parity.scenario import Manifest
from tools.parity.subjects.arguments import SHAPES
from tools.parity.subjects.basics import ZONES

DRIVER = "csi.example.com"
PROVISIONER = "disk.example.com"
"""The harness is this provisioner."""

LOCAL, LATE, TRACKED, NOW = "local", "late", "tracked", "now"
SIZES = ("1Gi", "2Gi", "5Gi")
EBS = "ebs.csi.aws.com"


def _prepare(draft: Draft) -> None:
    needed = draft.pick((DRIVER, PROVISIONER, EBS, None))  # one only: which of two is told is drawn
    draft.objects += _classes(draft)
    draft.objects += [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": name},
            "spec": {
                "attachRequired": True,
                "storageCapacity": name == PROVISIONER and draft.chance(0.5),
                "preventPodSchedulingIfMissing": name == needed,
            },
        }
        for name in (DRIVER, PROVISIONER, EBS)
    ]
    for node in draft.nodes:
        name = node["metadata"]["name"]
        if draft.chance(0.85):
            draft.objects.append(_csi_node(draft, name))
        draft.objects += [_local_volume(draft, name, number) for number in range(draft.pick((0, 0, 1, 2)))]
    # Of two that a node reaches, kube-scheduler scores by either.
    places = draft.some([(made_by, zone) for made_by in (LATE, TRACKED) for zone in ZONES], 6)
    draft.objects += [_capacity(draft, number, *place) for number, place in enumerate(places)]
    for profile in draft.profiles:
        if draft.chance(0.5):
            args = {"shape": draft.pick(SHAPES)}
            profile["pluginConfig"].append({"name": "VolumeBinding", "args": args})


def _classes(draft: Draft) -> list[Manifest]:
    topologies = [{"matchLabelExpressions": [{"key": ZONE, "values": draft.some(ZONES, 3)}]}]
    classes: list[tuple[str, str, str, Manifest]] = [
        (LOCAL, "kubernetes.io/no-provisioner", "WaitForFirstConsumer", {}),
        (LATE, PROVISIONER, "WaitForFirstConsumer", {}),
        (TRACKED, PROVISIONER, "WaitForFirstConsumer", {"allowedTopologies": topologies}),
        (NOW, "nobody.example.com", "Immediate", {}),
    ]
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": provisioner,
            "volumeBindingMode": mode,
            **more,
        }
        for name, provisioner, mode, more in classes
    ]


def _csi_node(draft: Draft, name: str) -> Manifest:
    drivers: list[Manifest] = []
    for driver in (DRIVER, PROVISIONER, EBS):
        if draft.chance(0.8):
            limit = {"allocatable": {"count": draft.pick((1, 2, 3))}} if draft.chance(0.7) else {}
            drivers.append({"name": driver, "nodeID": name, "topologyKeys": [ZONE], **limit})
    migrated = {"storage.alpha.kubernetes.io/migrated-plugins": "kubernetes.io/aws-ebs"}
    annotations = migrated if draft.chance(0.7) else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"drivers": drivers},
    }


def _capacity(draft: Draft, number: int, made_by: str, zone: str) -> Manifest:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIStorageCapacity",
        "metadata": {"name": f"capacity-{number}", "namespace": draft.namespaces[0]["metadata"]["name"]},
        "storageClassName": made_by,
        "nodeTopology": {"matchLabels": {ZONE: zone}},
        "capacity": draft.pick(("1Gi", "3Gi", "100Gi")),
        **({"maximumVolumeSize": "2Gi"} if draft.chance(0.2) else {}),
    }


def _local_volume(draft: Draft, node: str, number: int) -> Manifest:
    volume = _volume(f"{draft.prefix}-local-{node}-{number}", draft.pick(SIZES), LOCAL)
    volume["spec"]["local"] = {"path": f"/mnt/{number}"}
    volume["spec"]["nodeAffinity"] = _reachable_from(HOSTNAME, [node])
    return volume


def _volume(name: str, size: str, storage_class: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
        },
    }


def _reachable_from(key: str, values: list[str]) -> Manifest:
    expression = {"key": key, "operator": "In", "values": values}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def _claim(draft: Draft, pod: Manifest, number: int, storage_class: str) -> Manifest:
    meta = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"claim-{meta['name']}-{number}", "namespace": meta["namespace"]},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": draft.pick(SIZES)}},
        },
    }


def _dress(draft: Draft, pod: Manifest) -> None:
    volumes: list[Manifest] = []
    for number in range(draft.pick((1, 1, 2))):
        kind = draft.rng.choices((_bound_claim, _unbound_claim, _disk), (5, 0 if is_bound(pod) else 2, 2))[0]
        volumes.append({"name": f"volume-{number}", **kind(draft, pod, number)})
    pod["spec"]["volumes"] = volumes


def _bound_claim(draft: Draft, pod: Manifest, number: int) -> Manifest:
    """A claim with its volume; now and then somebody else's, which is in use already."""
    namespace = pod["metadata"]["namespace"]
    others = [
        each["metadata"]["name"]
        for each in draft.objects
        if each["kind"] == "PersistentVolumeClaim"
        and each["metadata"]["namespace"] == namespace
        and "volumeName" in each["spec"]
    ]
    if others and draft.chance(0.3):
        return _mounted(draft.pick(others))
    claim = _claim(draft, pod, number, "")
    modes = [draft.pick(("ReadWriteOnce", "ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"))]
    name = f"{draft.prefix}-{claim['metadata']['name']}-{namespace}"
    volume = _volume(name, "5Gi", "")
    volume["spec"].update(_source(draft, name), accessModes=modes)
    volume["spec"]["claimRef"] = {"namespace": namespace, "name": claim["metadata"]["name"]}
    if draft.chance(0.4):
        volume["metadata"]["labels"][ZONE] = draft.pick((*ZONES, "zone-a__zone-b"))
    if draft.chance(0.3):
        volume["spec"]["nodeAffinity"] = _reachable_from(ZONE, draft.some(ZONES, 3))
    claim["spec"].update(volumeName=name, accessModes=modes)
    draft.objects += [claim, volume]
    return _mounted(claim["metadata"]["name"])


def _source(draft: Draft, name: str) -> Manifest:
    if draft.chance(0.2):
        return {"awsElasticBlockStore": {"volumeID": name}}
    return {"csi": {"driver": draft.pick((DRIVER, PROVISIONER)), "volumeHandle": name}}


def _unbound_claim(draft: Draft, pod: Manifest, number: int) -> Manifest:
    if draft.chance(0.05):
        return _mounted("missing")
    if draft.chance(0.05):
        claim = _claim(draft, pod, number, LATE)
        return {"ephemeral": {"volumeClaimTemplate": {"spec": claim["spec"]}}}
    storage_class = draft.rng.choices((LOCAL, LATE, TRACKED, NOW), (6, 4, 3, 1))[0]
    claim = _claim(draft, pod, number, storage_class)
    draft.objects.append(claim)
    return _mounted(claim["metadata"]["name"])


def _mounted(claim: str) -> Manifest:
    return {"persistentVolumeClaim": {"claimName": claim}}


def _disk(draft: Draft, _: Manifest, __: int) -> Manifest:
    name, read_only = draft.pick(("disk-1", "disk-2")), draft.chance(0.3)
    kind = draft.rng.randrange(5)
    if kind == 0:
        return {"gcePersistentDisk": {"pdName": name, "readOnly": read_only}}
    if kind == 1:
        return {"awsElasticBlockStore": {"volumeID": name}}
    if kind == 2:
        source = {"targetPortal": "10.0.0.9", "iqn": f"iqn.2026-01.example:{name}", "lun": 0}
        return {"iscsi": {**source, "readOnly": read_only}}
    if kind == 3:
        monitors = draft.some(("10.0.0.1", "10.0.0.2"), 2)
        return {"rbd": {"monitors": monitors, "image": name, "readOnly": read_only}}
    return {"csi": {"driver": DRIVER}}


SUBJECT = Subject("volumes", _prepare, _dress)
