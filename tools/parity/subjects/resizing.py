"""Pods that were resized in place, and whose kubelets have not followed, or cannot."""

from tools.parity.draft import Draft, Subject, is_bound, nothing
from tools.parity.scenario import Manifest


def _dress(draft: Draft, pod: Manifest) -> None:
    if is_bound(pod):
        _resize(draft, pod)


def _resize(draft: Draft, pod: Manifest) -> None:
    """Say that the kubelet has given the first container other resources than it asks for now."""
    given = {"cpu": draft.pick(("20m", "900m")), "memory": draft.pick(("32Mi", "700Mi"))}
    status = {
        "name": "main",
        "image": "pause",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "allocatedResources": given,
        "resources": {"requests": {**given, "cpu": draft.pick((given["cpu"], "400m"))}},
    }
    pod["status"]["containerStatuses"] = [status]
    if draft.chance(0.2):
        condition = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
        pod["status"].setdefault("conditions", []).append(condition)


SUBJECT = Subject("resizing", nothing, _dress)
