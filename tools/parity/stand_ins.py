"""What kubelets and provisioners would do, as far as decisions depend on it."""

from tools.parity.scenario import Manifest
from tools.parity.subjects.basics import start_time
from tools.parity.subjects.volumes import PROVISIONER
from tools.parity.world import World

SELECTED_NODE = "volume.kubernetes.io/selected-node"

STARTED_BEFORE = 36_000
"""More pods than are there from the beginning: those that come start later."""


def start(world: World, pod: Manifest, number: int) -> None:
    """Say that the pod that was placed as the `number`th runs, and since when."""
    world.set_status(pod, {"phase": "Running", "startTime": start_time(STARTED_BEFORE + number)})


def has_claims(pod: Manifest) -> bool:
    """Whether a pod has claims, which may have to be provisioned for."""
    return any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes", ()))


def provision(world: World) -> None:
    """Make volumes for the claims that kube-scheduler has chosen a node for."""
    for claim in world.items("PersistentVolumeClaim"):
        chosen = SELECTED_NODE in claim["metadata"].get("annotations", {})
        if chosen and not claim["spec"].get("volumeName"):
            world.create(_volume_for(claim))


def _volume_for(claim: Manifest) -> Manifest:
    meta, spec = claim["metadata"], claim["spec"]
    name = f"provisioned-{meta['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "claimRef": {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
            "csi": {"driver": PROVISIONER, "volumeHandle": name},
        },
    }
