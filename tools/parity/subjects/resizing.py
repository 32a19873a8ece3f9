"""Pods that are resized in place, by container or as a whole, and whose kubelets have not followed."""

from tools.parity.draft import Draft, Subject, is_bound, nothing, pod_patch
from tools.parity.scenario import Manifest

STEPS = 80


def _dress(draft: Draft, pod: Manifest) -> None:
    """Say what kubelets have given; later on they may have given something else."""
    if not is_bound(pod):
        return
    if draft.chance(0.3):
        another = {"name": "another", "image": "pause", "resources": {"requests": {"cpu": "400m"}}}
        pod["spec"]["containers"].append(another)
    pod["status"] |= _status(draft, pod)
    if draft.chance(0.2):
        reason = draft.pick(("Infeasible", "Infeasible", "Deferred"))
        condition = {"type": "PodResizePending", "status": "True", "reason": reason}
        pod["status"].setdefault("conditions", []).append(condition)
    if pod["status"]["phase"] == "Running" and draft.chance(0.2):
        step = draft.rng.randrange(1, STEPS)
        change = pod_patch(pod, {"status": _status(draft, pod)}, "status")
        draft.changes.append({**change, "before": step})


def _status(draft: Draft, pod: Manifest) -> Manifest:
    """What the kubelet says of all containers, or of all but one, and of the pod as a whole."""
    spec = pod["spec"]
    status: Manifest = {
        "containerStatuses": [_of_container(draft, each) for each in spec["containers"] if draft.chance(0.9)],
        "initContainerStatuses": [
            _of_container(draft, each) for each in spec.get("initContainers", ()) if draft.chance(0.9)
        ],
    }
    if draft.chance(0.8 if "resources" in spec else 0.2):
        status |= _given(draft, ("500m", "3", "6"), ("1Gi", "5Gi"))
    return status


def _of_container(draft: Draft, container: Manifest) -> Manifest:
    status = {
        "name": container["name"],
        "image": "pause",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
    }
    return status | _given(draft, ("20m", "400m", "900m"), ("32Mi", "700Mi"))


def _given(draft: Draft, cpus: tuple[str, ...], memory: tuple[str, ...]) -> Manifest:
    """Draw what was admitted and what has been given; either may be unknown, or lack a resource."""
    admitted = {"cpu": draft.pick(cpus), "memory": draft.pick(memory)}
    actuated = {**admitted, "cpu": draft.pick(cpus)}
    if draft.chance(0.1):
        del actuated[draft.pick(("cpu", "memory"))]
    given: Manifest = {}
    if draft.chance(0.9):
        given["allocatedResources"] = admitted
    if draft.chance(0.9):
        given["resources"] = {"requests": actuated}
    return given


SUBJECT = Subject("resizing", nothing, _dress, needs=("resources",))
