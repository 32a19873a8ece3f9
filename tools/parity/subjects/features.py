"""Features that a pod needs of the kubelet, and that nodes declare."""

from tools.parity.draft import Draft, Subject
from tools.parity.scenario import Manifest

RESTART_ALL = "RestartAllContainersOnContainerExits"


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:
        if draft.chance(0.6):
            node["status"]["declaredFeatures"] = [RESTART_ALL]


def _dress(draft: Draft, pod: Manifest) -> None:
    if draft.chance(0.6):
        rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
        pod["spec"]["containers"][0].update(restartPolicy="Never", restartPolicyRules=[rule])


SUBJECT = Subject("features", _prepare, _dress)
