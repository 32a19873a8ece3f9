"""The claims of a workload's pods, and the volumes that they get.

Claims wait for their first consumer: the scheduler writes on the claim which node it has chosen, a
provisioner makes a volume that only this node reaches, and kube-controller-manager binds the two. (Volumes
that are there before would need no provisioner. But kube-scheduler tries every volume with every node: with
400 of each that was 4 pods/s already, so that with thousands there would be nothing to compare.)
"""

from collections.abc import Iterable

from tools.bench.manifests import HOSTNAME, Manifest

CORE, STORAGE = "/api/v1", "/apis/storage.k8s.io/v1"
SIZE = "1Gi"
PROVISIONER = "bench.example.com/local"
SELECTED_NODE = "volume.kubernetes.io/selected-node"


def claimed(pod: Manifest) -> str:
    """The name of the claim that a pod has; empty where it has none."""
    for volume in pod["spec"].get("volumes", ()):
        if "persistentVolumeClaim" in volume:
            name: str = volume["persistentVolumeClaim"]["claimName"]
            return name
    return ""


def claims(pods: Iterable[Manifest], storage_class: str) -> list[Manifest]:
    """A claim for each pod that names one."""
    return [
        {
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": SIZE}},
                "storageClassName": storage_class,
            },
        }
        for name in map(claimed, pods)
        if name
    ]


def local_class(name: str) -> Manifest:
    """A storage class whose volumes are made where the pod goes."""
    return {
        "metadata": {"name": name},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(namespace: str, claim: str, uid: str, node: str, storage_class: str) -> Manifest:
    """The volume for a claim, on the node that was chosen."""
    here = {"key": HOSTNAME, "operator": "In", "values": [node]}
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace}
    return {
        "metadata": {
            "name": f"pvc-{uid}",
            "labels": {"bench": storage_class},
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
            "local": {"path": "/mnt"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            "claimRef": {**reference, "name": claim, "uid": uid},
        },
    }
