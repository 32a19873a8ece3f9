"""Asking real services whether they agree to a preemption."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from pallet.api.pod import Pod
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.config.schema import Extender as Configuration
from pallet.config.schema import ManagedResource
from pallet.extenders.extender import extenders_of
from pallet.extenders.extenders import Extenders
from pallet.framework.extender_result import Victims
from pallet.framework.status import Code, Status
from tests.builders import make_node, make_pod
from tests.extenders.service import Api, serving

if TYPE_CHECKING:
    from pallet.client.client import Client

pytestmark = pytest.mark.anyio

PREEMPTOR = make_pod("web", pod_set="", priority=5)

PODS = {name: PodInfo(make_pod(name, pod_set="", node=name[0])) for name in ("A1", "A2", "b1", "b2")}

CANDIDATES = {"A": Victims((PODS["A1"],), 1), "b": Victims((PODS["b1"], PODS["b2"]))}

BOTH = {"A": "A1", "b": "b1 b2"}


def _agreed(violations: int = 0, **named: str) -> dict[str, Any]:
    """An answer that names victims by node."""
    return {
        "NodeNameToMetaVictims": {
            node: {"Pods": [{"UID": f"uid-{name}"} for name in pods.split()], "NumPDBViolations": violations}
            for node, pods in named.items()
        }
    }


async def _left(*configurations: Configuration) -> Mapping[str, Victims] | Status:
    snapshot = LiveSnapshot()
    for node in "Ab":
        snapshot.put_node(make_node(node))
    for name, info in PODS.items():
        snapshot.place(info, name[0])
    async with extenders_of(configurations) as extenders:
        asking = Extenders(extenders, cast("Client", Api()), lambda _: None, snapshot)
        return await asking.preempt(PREEMPTOR, CANDIDATES)


def _named(left: Mapping[str, Victims] | Status) -> dict[str, str]:
    """The victims by node, in words."""
    assert not isinstance(left, Status), left.message
    return {node: " ".join(each.pod.metadata.name for each in victims.pods) for node, victims in left.items()}


async def test_one_that_knows_pods_is_told_their_uids() -> None:
    async with serving({"preempt": _agreed(2, A="A1")}) as service:
        left = await _left(service.configured())
    assert left == {"A": Victims((PODS["A1"],), 2)}
    given = {
        "A": {"Pods": [{"UID": "uid-A1"}], "NumPDBViolations": 1},
        "b": {"Pods": [{"UID": "uid-b1"}, {"UID": "uid-b2"}], "NumPDBViolations": 0},
    }
    pod = {"metadata": {"name": "web"}}
    assert service.asked == [
        ("preempt", {"Pod": pod, "NodeNameToMetaVictims": given, "NodeNameToVictims": None})
    ]


async def test_another_is_sent_them_whole() -> None:
    async with serving({"preempt": _agreed(b="b1")}) as service:
        left = await _left(service.configured(node_cache_capable=False))
    assert _named(left) == {"b": "b1"}
    [(_, asked)] = service.asked
    assert asked["NodeNameToMetaVictims"] is None
    assert asked["NodeNameToVictims"] == {
        "A": {"Pods": [{"metadata": {"name": "A1"}}], "NumPDBViolations": 1},
        "b": {"Pods": [{"metadata": {"name": "b1"}}, {"metadata": {"name": "b2"}}], "NumPDBViolations": 0},
    }


async def test_each_is_asked_about_what_the_one_before_left() -> None:
    async with (
        serving({"preempt": _agreed(b="b2")}) as first,
        serving({"preempt": _agreed(b="b2")}) as second,
    ):
        await _left(first.configured(), second.configured())
    [(_, asked)] = second.asked
    assert asked["NodeNameToMetaVictims"] == {"b": {"Pods": [{"UID": "uid-b2"}], "NumPDBViolations": 0}}


async def test_nobody_is_asked_about_nothing() -> None:
    async with serving({"preempt": {}}) as first, serving({"preempt": _agreed(A="A1")}) as second:
        assert not await _left(first.configured(), second.configured())
    assert not second.asked


async def test_one_may_name_other_pods_of_a_node_and_other_nodes() -> None:
    async with (
        serving({"preempt": _agreed(A="A2")}) as first,
        serving({"preempt": _agreed(b="b1")}) as second,
    ):
        assert _named(await _left(first.configured())) == {"A": "A2"}
        assert _named(await _left(first.configured(), second.configured())) == {"b": "b1"}


@pytest.mark.parametrize(
    ("answer", "words", "when_ignorable"),
    [
        (500, "failed preempt with extender at URL {url}/preempt, code 500", BOTH),
        (b"<html>", "the extender at URL {url}/preempt gave no answer of extender/v1: JSON is", BOTH),
        (
            _agreed(A="b1"),
            "extender: {url} claims to preempt pod (UID: &{{uid-b1}}) on node: A, but the pod is not found",
            BOTH,
        ),
        (_agreed(z="A1"), 'nodeinfo not found for node name "z"', BOTH),
        (_agreed(A="", b="b1"), 'expected at least one victim pod on node "A"', {"b": "b1"}),
    ],
    ids=["a status", "no JSON", "a pod of another node", "an unknown node", "a node without victims"],
)
async def test_a_failure_ends_the_attempt_unless_it_is_ignorable(
    answer: Any, words: str, when_ignorable: dict[str, str]
) -> None:
    async with serving({"preempt": answer}) as service:
        failure = await _left(service.configured())
        left = await _left(service.configured(ignorable=True))
    assert isinstance(failure, Status)
    assert failure.code is Code.ERROR
    assert failure.message.startswith(words.format(url=service.url))
    assert _named(left) == when_ignorable


async def test_victims_that_are_gone_meanwhile_are_still_known() -> None:
    async with (
        serving({"preempt": _agreed(A="A1")}) as service,
        extenders_of([service.configured()]) as extenders,
    ):
        asking = Extenders(extenders, cast("Client", Api()), lambda _: None, LiveSnapshot())
        assert _named(await asking.preempt(PREEMPTOR, CANDIDATES)) == {"A": "A1"}


@pytest.mark.parametrize(
    ("pod", "verb", "asked"),
    [
        (PREEMPTOR, "preempt", False),
        (make_pod("web", requests={"example.com/gpu": "1"}), "preempt", True),
        (make_pod("web", requests={"example.com/gpu": "1"}), "filter", False),
    ],
    ids=["it asks for other things", "it asks for what is managed", "it has no such verb"],
)
async def test_who_is_asked(pod: Pod, verb: str, *, asked: bool) -> None:
    async with serving({verb: {}}) as service:
        configuration = service.configured(managed_resources=(ManagedResource("example.com/gpu"),))
        async with extenders_of([configuration]) as extenders:
            asking = Extenders(extenders, cast("Client", Api()), lambda _: None, LiveSnapshot())
            assert asking.are_asked_to_preempt(pod) is asked
