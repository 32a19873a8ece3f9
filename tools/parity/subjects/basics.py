"""Nodes of some sizes in some zones, namespaces, and pods with labels and requests: in every cluster."""

from tools.controlplane import nodes
from tools.parity.draft import APPS, HOSTNAME, TEAMS, VERSIONS, ZONE, Draft
from tools.parity.scenario import Manifest

ZONES = ("zone-a", "zone-b", "zone-c", "zone-d")
CPUS = ("1", "2", "4", "7500m")
MEMORY = ("1Gi", "2Gi", "4Gi", "8000M")
REQUESTED_CPUS = ("50m", "100m", "250m", "500m", "1", "1500m")
REQUESTED_MEMORY = ("16Mi", "64Mi", "200Mi", "512Mi", "1Gi", "1500M")
DELETED = "2030-01-01T00:00:00Z"
"""Any time: it says that the pod is to be deleted once it is there."""
HUGE = {"cpu": "64", "memory": "256Gi"}


def add_namespaces(draft: Draft) -> None:
    """Add three namespaces of two teams."""
    for number, team in enumerate((*TEAMS, TEAMS[0])):
        name = f"{draft.prefix}-{number}"
        labels = {"team": team, "stage": draft.pick(("prod", "test"))}
        draft.namespaces.append(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        )


def add_nodes(draft: Draft, count: int) -> None:
    """Add nodes; some have no zone, some are full soon."""
    zones = ZONES[: draft.rng.randint(2, 4)]
    for number in range(count):
        labels = {"tier": str(draft.rng.randint(1, 4))}
        if draft.chance(0.9):
            labels[ZONE] = draft.pick(zones)
        if draft.chance(0.7):
            labels["disk"] = draft.pick(("ssd", "hdd"))
        if draft.chance(0.1):
            labels[HOSTNAME] = f"other-{number}"
        capacity = {"cpu": draft.pick(CPUS), "memory": draft.pick(MEMORY)}
        if draft.chance(0.2):
            capacity["pods"] = str(draft.rng.randint(1, 6))
        draft.nodes.append(
            nodes.manifest(f"node-{number}", labels=labels, taints=(), capacity=capacity, ready=True)
        )


def pod(draft: Draft, node: str | None) -> Manifest:
    """Make a plain pod, on a node if one is named."""
    draft.pods += 1
    labels = {"app": draft.pick(APPS)}
    if draft.chance(0.7):
        labels["version"] = draft.pick(VERSIONS)
    spec: Manifest = {
        "containers": [{"name": "main", "image": "pause", "resources": {"requests": _requests(draft)}}],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
    }
    name = f"{'pod' if node is None else 'bound'}-{draft.pods}"
    metadata = {"name": name, "namespace": draft.namespace(), "labels": labels}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    if node is not None:
        _bind(draft, made, node)
    return made


def _bind(draft: Draft, pod: Manifest, node: str) -> None:
    """Draw a pod onto a node; a few have run to their end there, or are about to go."""
    pod["spec"]["nodeName"] = node
    pod["status"] = {"phase": "Running", "startTime": start_time(draft.pods)}
    if draft.chance(0.04):
        pod["status"]["phase"] = draft.pick(("Succeeded", "Failed"))
    elif draft.chance(0.06):
        pod["spec"]["terminationGracePeriodSeconds"] = 600
        pod["metadata"]["deletionTimestamp"] = DELETED


def start_time(number: int) -> str:
    """A time that differs for each number below 86,400: preemption looks at who started first."""
    return f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"


def _requests(draft: Draft) -> dict[str, str]:
    requests = {}
    if draft.chance(0.85):
        requests["cpu"] = draft.pick(REQUESTED_CPUS)
    if draft.chance(0.75):
        requests["memory"] = draft.pick(REQUESTED_MEMORY)
    if draft.chance(0.03):
        requests.update(HUGE)
    return requests
