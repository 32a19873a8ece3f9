"""What the extender of the parity says, and that it says so over HTTP."""

from typing import Any

import aiohttp
import pytest

from tools.parity.extender import VerbFailedError, answer, extending, hides_pods
from tools.parity.scenario import Manifest

NAMES = [f"node-{number}" for number in range(40)]
POD = {"metadata": {"name": "web"}}
KEEPS_HALF = {"seed": 1, "keeps": 0.5, "fails": 0, "empties": 0}


def asked(*, whole: bool = False) -> Manifest:
    nodes = {"items": [{"metadata": {"name": name}} for name in NAMES]}
    return {"Pod": POD, "Nodes": nodes if whole else None, "NodeNames": None if whole else NAMES}


def test_the_same_nodes_are_kept_however_they_are_given() -> None:
    by_name = answer(KEEPS_HALF, "filter", asked())
    whole = answer(KEEPS_HALF, "filter", asked(whole=True))
    assert by_name["NodeNames"] == [node["metadata"]["name"] for node in whole["Nodes"]["items"]]
    assert 10 < len(by_name["NodeNames"]) < 30
    assert by_name["FailedNodes"] == whole["FailedNodes"]


def test_nodes_are_refused_for_now_for_good_for_both_and_in_silence() -> None:
    said = answer(KEEPS_HALF | {"keeps": 0}, "filter", asked())
    ways = {(name in said["FailedNodes"], name in said["FailedAndUnresolvableNodes"]) for name in NAMES}
    assert ways == {(True, False), (False, True), (True, True), (False, False)}


def test_scores_are_within_their_bounds_and_some_are_missing() -> None:
    scores = {each["Host"]: each["Score"] for each in answer(KEEPS_HALF, "prioritize", asked())}
    assert (min(scores.values()), max(scores.values())) == (0, 10)
    assert 25 < len(scores) < len(NAMES)


def test_an_extender_fails_for_some_pods() -> None:
    failing = KEEPS_HALF | {"fails": 1}
    with pytest.raises(VerbFailedError):
        answer(failing, "prioritize", asked())
    said = [attempt(failing | {"seed": seed}) for seed in range(10)]
    assert {"no opinion on web", "500"} == set(said)


def attempt(manner: Manifest) -> str:
    try:
        return str(answer(manner, "filter", asked())["Error"])
    except VerbFailedError:
        return "500"


@pytest.mark.parametrize("whole", [False, True])
def test_victims_are_those_that_were_given_or_none(*, whole: bool) -> None:
    pods: list[Any] = [{"UID": "a"}, {"UID": "b"}]
    if whole:
        pods = [{"metadata": {"uid": each["UID"]}} for each in pods]
    given = {name: {"Pods": pods, "NumPDBViolations": 1} for name in NAMES}
    name, other = ("NodeNameToVictims", "NodeNameToMetaVictims")[:: 1 if whole else -1]
    said = answer(KEEPS_HALF, "preempt", {"Pod": POD, name: given, other: None})["NodeNameToMetaVictims"]
    named = {tuple(pod["UID"] for pod in each["Pods"]) for each in said.values()}
    assert (10 < len(said) < 30, named) == (True, {("a", "b")})
    emptied = answer(KEEPS_HALF | {"empties": 1}, "preempt", {"Pod": POD, name: given, other: None})
    assert [each["Pods"] for each in emptied["NodeNameToMetaVictims"].values()].count([]) == 1


@pytest.mark.anyio
async def test_it_is_asked_over_http() -> None:
    bound: list[Manifest] = []
    extenders = [
        {"config": {"filterVerb": "filter"}, "manner": KEEPS_HALF | {"fails": fails}} for fails in (0, 1)
    ]
    async with extending(extenders, bound.append) as configured, aiohttp.ClientSession() as session:

        async def ask(number: int, verb: str, body: Manifest) -> tuple[int, Any]:
            async with session.post(f"{configured[number]['urlPrefix']}/{verb}", json=body) as response:
                return response.status, await response.json() if response.status == 200 else None

        assert await ask(0, "filter", asked()) == (200, answer(KEEPS_HALF, "filter", asked()))
        assert await ask(1, "prioritize", asked()) == (500, None)
        assert await ask(0, "bind", {"PodName": "web"}) == (200, {})
    assert bound == [{"PodName": "web"}]
    assert configured[0]["filterVerb"] == "filter"


@pytest.mark.parametrize(
    ("config", "hides"),
    [
        ({"filterVerb": "filter", "nodeCacheCapable": False}, True),
        ({"filterVerb": "filter", "nodeCacheCapable": True}, False),
        ({"prioritizeVerb": "prioritize", "nodeCacheCapable": False}, False),
        ({"filterVerb": "f", "nodeCacheCapable": False, "managedResources": [{"name": "a.com/b"}]}, False),
        ({"filterVerb": "f", "nodeCacheCapable": False, "managedResources": [{"name": "a.com/c"}]}, True),
    ],
    ids=[
        "sent whole nodes",
        "sent names",
        "does not filter",
        "not asked",
        "asked as the pod wants what it manages",
    ],
)
def test_pods_are_hidden_by_filters_that_are_sent_whole_nodes(config: Manifest, *, hides: bool) -> None:
    containers = [{"name": "main", "resources": {"requests": {"a.com/c": "1"}}}]
    pod = {"spec": {"containers": containers}}
    assert hides_pods([{"config": config}], pod) is hides
