"""More resources than bits in a word, resources that no node offers, huge amounts, pods on no node."""

from tools.parity.draft import Draft, Subject, is_bound
from tools.parity.scenario import Manifest

MANY = tuple(f"example.com/r{number:02}" for number in range(36))
NOWHERE = ("nowhere-1", "nowhere-2", "late-0", "late-1", "late-2", "late-3", "late-4")
"""Names that no node has; one of the later ones may come with the subject `changes`."""


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:
        if draft.chance(0.7):
            status = node["status"]
            most = draft.pick((2, 2, 9))
            more = {name: str(draft.rng.randint(most // 2, most)) for name in MANY if draft.chance(0.99)}
            if draft.chance(0.2):
                more["memory"] = "7Pi"
            status["capacity"] = {**status["capacity"], **more}
            status["allocatable"] = {**status["allocatable"], **more}


def _dress(draft: Draft, pod: Manifest) -> None:
    resources = pod["spec"]["containers"][0]["resources"]
    requests, extended = resources["requests"], dict[str, str]()
    if draft.chance(0.5):
        extended = dict.fromkeys(draft.rng.sample(MANY, draft.rng.randint(1, len(MANY))), "1")
    if draft.chance(0.1):
        extended |= {f"parity.example.com/none-{draft.rng.randint(0, 99)}": "1" for _ in range(3)}
    resources["limits"] = resources.get("limits", {}) | extended
    requests.update(extended)
    if "resources" not in pod["spec"]:  # which must be no less than what the containers ask for
        _enlarge(draft, pod, requests)
    if is_bound(pod) and draft.chance(0.1):
        pod["spec"]["nodeName"] = draft.pick(NOWHERE)


def _enlarge(draft: Draft, pod: Manifest, requests: Manifest) -> None:
    if draft.chance(0.06):
        requests["memory"] = draft.pick(("2Pi", "7Pi"))
    if draft.chance(0.03):
        requests["cpu"] = "8T"
    if is_bound(pod) and draft.chance(0.02):
        requests["memory"] = "1Ei"  # more than pallet counts; kube-scheduler wraps beyond eight of them


SUBJECT = Subject("quantities", _prepare, _dress)
