"""With the roles of ciena/pallet, which give no right to patch."""

import json
from typing import Any

import pytest

from pallet.api.codec import encode
from pallet.api.podset import SCHEDULE_PLANS, SCHEDULE_TRIGGERS
from pallet.podset.api import merge
from tests.builders import make_pod, make_trigger
from tests.podset.world import World, settle

pytestmark = pytest.mark.anyio

TRIGGERS, PLANS = SCHEDULE_TRIGGERS.plural, SCHEDULE_PLANS.plural


@pytest.fixture
def world(world: World) -> World:
    world.api.forbidden = {("patch", TRIGGERS), ("patch", PLANS)}
    return world


async def test_a_quiet_time_switches_and_late_pods_are_planned(world: World) -> None:
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    async with world.running():
        await settle(12)
        assert world.trigger().spec.state == "Schedule"
        world.bind_all()
        world.add(make_pod("late"))
        await settle(2)
        assert world.plan() == {"web-0": "n1", "late": "n1"}
        assert world.open(["late"]) == ["late"]
        assert world.trigger().status.planned == 2
    assert len(world.api.written("patch", PLANS)) == 1, "it is not tried again and again"


async def test_what_others_wrote_into_an_object_stays(world: World) -> None:
    world.add(make_trigger(quiet="10s"))
    document = json.loads(encode(world.trigger()))
    document["metadata"] |= {"finalizers": ["example.com/mine"], "annotations": {"theirs": "stays"}}
    document["spec"]["unknown"] = {"to": "us"}
    world.api.put_document(TRIGGERS, document)
    world.add(make_pod("web-0"))
    async with world.running():
        await settle(12)
    after = world.api.document(TRIGGERS, "trigger")
    assert after["spec"] == {"state": "Schedule", "unknown": {"to": "us"}}
    assert after["metadata"]["finalizers"] == ["example.com/mine"]
    assert after["metadata"]["annotations"]["theirs"] == "stays"


async def test_an_update_does_not_hit_another_state_of_the_object(world: World) -> None:
    """Of what was decided before a change that is not seen yet, nothing is written."""
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    async with world.running():
        await settle(9)
        tell, world.api.told = world.api.told, lambda *_: None
        world.add(make_trigger(quiet="1h"))
        world.api.told = tell
        await settle(60)
        assert world.trigger().spec.state == "Planning"


async def test_where_an_update_is_forbidden_too_patches_are_tried_again(world: World) -> None:
    world.api.forbidden |= {("update", TRIGGERS), ("update", PLANS)}
    world.add(make_trigger(quiet="10s"), make_pod("web-0"))
    async with world.running():
        await settle(60)
        assert world.trigger().spec.state == "Planning"
        world.api.forbidden = set()
        await settle(60)
        assert world.trigger().spec.state == "Schedule"


@pytest.mark.parametrize(
    ("document", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"a": "b"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ],
)
def test_merge_patches_as_in_the_appendix_of_rfc_7386(
    document: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge(document, patch) == merged
