"""The pod that this process runs in, and the replicas beside it."""

import os
import socket
from pathlib import Path

from pallet.api.pod import Pod
from pallet.informers.store import Store

DEFAULT_NAMESPACE = "planner-system"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
REVISION = "pod-template-hash"
"""The label that a Deployment gives its pods: the only one in which they differ, from rollout to rollout."""


class OtherReplicaError(Exception):
    """Another replica runs, and no lease says which of the two schedules."""


def own_namespace() -> str:
    """The namespace that this process runs in; outside of a cluster the one it is installed to."""
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else DEFAULT_NAMESPACE


def own_pod() -> str:
    """The name of the pod that this process runs in: $POD_NAME, or else the host name, which it mostly is."""
    return os.environ.get("POD_NAME") or socket.gethostname()


def require_no_other_replica(pods: Store[Pod], namespace: str, name: str) -> None:
    """Raise `OtherReplicaError` where an older pod of our Deployment has a node and is not ending.

    Of two that start at once, the younger one ends. A process that no Deployment runs has no replicas.
    """
    ours = pods.get(f"{namespace}/{name}")
    if ours is None or REVISION not in ours.metadata.labels:
        return
    for pod in pods.list():
        if pod.metadata.namespace == namespace and _is_older_replica(pod, ours):
            raise OtherReplicaError(
                f"pod {namespace}/{pod.metadata.name} is another replica of this scheduler, and without "
                "leader election both would bind the same pods: elect a leader (leaderElection: leaderElect: "
                "true), or run one replica with the strategy Recreate (config/one-replica)"
            )


def _is_older_replica(pod: Pod, ours: Pod) -> bool:
    return (
        REVISION in pod.metadata.labels
        and _shared_labels(pod) == _shared_labels(ours)
        and _age(pod) < _age(ours)
        and bool(pod.spec.node_name)
        and not (pod.terminating or pod.finished)
    )


def _shared_labels(pod: Pod) -> dict[str, str]:
    return {key: value for key, value in pod.metadata.labels.items() if key != REVISION}


def _age(pod: Pod) -> tuple[float, str]:
    created = pod.metadata.creation_timestamp
    return created.timestamp() if created else 0.0, pod.metadata.name
