"""Storage classes, volumes and claims of an end-to-end test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.builders import HOSTNAME
from tests.e2e.workload import Workload, eventually

CLASSES, VOLUMES = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/persistentvolumes"
SELECTED = "volume.kubernetes.io/selected-node"


@dataclass(frozen=True)
class Storage:
    """Classes, volumes and claims of a test. The first two have no namespace, so their names are its own."""

    workload: Workload
    name: str

    def add_class(
        self,
        provisioner: str = "kubernetes.io/no-provisioner",
        *,
        mode: str = "WaitForFirstConsumer",
        default: bool = False,
    ) -> None:
        """Create the class, which waits for the first consumer unless `mode` says otherwise.

        With `default` it is that of claims which name none.
        """
        annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
        body = {
            "metadata": {"name": self.name, "labels": {"test": self.name}, "annotations": annotations},
            "provisioner": provisioner,
            "volumeBindingMode": mode,
        }
        self.workload.request("POST", CLASSES, body)

    def add_volume(self, name: str, node: str, size: str = "1Gi", **spec: Any) -> str:
        """Create a volume that one node reaches; returns its whole name."""
        here = {"key": HOSTNAME, "operator": "In", "values": [node]}
        body = {
            "metadata": {"name": f"{self.name}-{name}", "labels": {"test": self.name}},
            "spec": {
                "capacity": {"storage": size},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": self.name,
                "local": {"path": "/mnt"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                **spec,
            },
        }
        self.workload.request("POST", VOLUMES, body)
        return f"{self.name}-{name}"

    def add_claim(self, name: str, size: str = "1Gi", **spec: Any) -> None:
        """Create a claim of the class."""
        body = {
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
                "storageClassName": self.name,
                **spec,
            },
        }
        self.workload.request("POST", self.claims_path, body)

    @property
    def claims_path(self) -> str:
        """Where the claims are."""
        return f"/api/v1/namespaces/{self.workload.namespace}/persistentvolumeclaims"

    def claim(self, name: str) -> Any:
        """A claim as it is."""
        return self.workload.request("GET", f"{self.claims_path}/{name}")

    def annotations(self, name: str) -> Mapping[str, str]:
        """What is noted on a claim."""
        found: Mapping[str, str] = self.claim(name)["metadata"].get("annotations", {})
        return found

    def selected_node(self, name: str) -> str:
        """The node for which a claim's volume is asked for; empty where it is not."""
        return self.annotations(name).get(SELECTED, "")

    def await_phase(self, phase: str, volume: str) -> None:
        """Wait until a volume is in a phase."""
        eventually(f"{volume} to be {phase}", lambda: self._phase(volume) == phase)

    def _phase(self, volume: str) -> str:
        phase: str = self.workload.request("GET", f"{VOLUMES}/{volume}")["status"].get("phase", "")
        return phase


def using(*claims: str) -> Mapping[str, Any]:
    """The part of a pod's spec with volumes for claims."""
    return {"volumes": [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]}


def provision(storage: Storage, claim: str) -> str:
    """Do what a provisioner does for a claim, which is a stub here: make a volume on the selected node."""
    node = eventually("the node to be selected", lambda: storage.selected_node(claim))
    make_volume(storage, claim, node)
    return node


def make_volume(storage: Storage, claim: str, node: str) -> None:
    """Make the volume that a claim asks for, on a node."""
    document = storage.claim(claim)
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": document["metadata"]["namespace"],
        "name": claim,
        "uid": document["metadata"]["uid"],
    }
    storage.add_volume(f"for-{claim}", node, claimRef=reference)
