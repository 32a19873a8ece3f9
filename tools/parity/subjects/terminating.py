"""Pods that are terminating where others want their room, preempted or deleted for another reason."""

from tools.parity.draft import Draft, Subject, is_bound, nothing
from tools.parity.scenario import Manifest
from tools.parity.subjects.basics import DELETED

PREEMPTED = ("True", "PreemptionByScheduler")
OTHER_CAUSES = (("True", "EvictionByEvictionAPI"), ("False", "PreemptionByScheduler"))


def _dress(draft: Draft, pod: Manifest) -> None:
    if not is_bound(pod) or pod["status"]["phase"] != "Running" or draft.chance(0.4):
        return
    pod["spec"]["terminationGracePeriodSeconds"] = 600
    pod["metadata"]["deletionTimestamp"] = DELETED
    if draft.chance(0.8):
        status, reason = draft.pick((PREEMPTED, PREEMPTED, PREEMPTED, *OTHER_CAUSES))
        condition = {"type": "DisruptionTarget", "status": status, "reason": reason}
        pod["status"].setdefault("conditions", []).append(condition)


SUBJECT = Subject("terminating", nothing, _dress, needs=("priority", "nominated"))
