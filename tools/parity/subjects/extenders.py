"""HTTP extenders, which both schedulers ask; what they say is decided in `tools.parity.extender`."""

from tools.parity.draft import Draft, Subject, is_bound
from tools.parity.scenario import Manifest

MANAGED = tuple(f"parity.example.com/managed-{number}" for number in range(2))
"""Resources that extenders manage, one each; some nodes say that they have them."""

VERBS = ("filter", "prioritize", "preempt")


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:
        if draft.chance(0.5):
            for part in ("capacity", "allocatable"):
                node["status"][part] = {**node["status"][part], **dict.fromkeys(MANAGED, "3")}
    for resource in MANAGED[: draft.rng.randint(1, 2)]:
        draft.extenders.append(_extender(draft, resource))
    if draft.chance(0.3):  # one of them may bind
        draft.pick(draft.extenders)["config"]["bindVerb"] = "bind"


def _extender(draft: Draft, resource: str) -> Manifest:
    config: Manifest = {
        **{f"{verb}Verb": verb for verb in draft.some(VERBS, 3)},
        "weight": draft.pick((1, 2, 7)),
        "nodeCacheCapable": draft.chance(0.7),
        "ignorable": draft.chance(0.5),
        "httpTimeout": "10s",
    }
    if draft.chance(0.4):
        config["managedResources"] = [{"name": resource, "ignoredByScheduler": draft.chance(0.5)}]
    manner = {
        "seed": draft.rng.randrange(1000),
        "keeps": draft.pick((0.1, 0.6, 0.9)),
        "fails": draft.pick((0, 0, 0.2)),
        "empties": draft.pick((0, 0.2)),
    }
    return {"config": config, "manner": manner}


def _dress(draft: Draft, pod: Manifest) -> None:
    """Have some pods want what an extender manages."""
    if not is_bound(pod) and draft.chance(0.5):
        resources = pod["spec"]["containers"][0]["resources"]
        wanted = dict.fromkeys(draft.some(MANAGED, 2), "1")
        for part in ("requests", "limits"):
            resources[part] = {**resources.get(part, {}), **wanted}


SUBJECT = Subject("extenders", _prepare, _dress, needs=("priority",))
