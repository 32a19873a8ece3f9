"""A timeline depends on its seed alone, and can be kept."""

from collections import Counter
from pathlib import Path

import pytest

from tools.chaos.load import MOST_PODS, NAMESPACES, node_names
from tools.chaos.network import ANSWERS, EDITS, TARGETS
from tools.chaos.timeline import ASKED, GARBLES, LEADS_SHARE, PER_HOUR, UNSEEN, Timeline, counts, draw


def test_a_seed_gives_the_same_timeline_again() -> None:
    assert draw(7, 5, 50) == draw(7, 5, 50)
    assert draw(7, 5, 50).faults != draw(8, 5, 50).faults
    assert draw(7, 5, 50).load != draw(8, 5, 50).load


def test_a_timeline_can_be_kept(tmp_path: Path) -> None:
    timeline = draw(1, 2, 50)
    timeline.write(tmp_path / "timeline.json")
    assert Timeline.read(tmp_path / "timeline.json") == timeline


def test_an_hour_has_enough_of_every_kind() -> None:
    found = Counter[str]()
    for seed in range(1, 4):
        found.update(counts(draw(seed, 20, 50).faults))
    assert found.keys() == PER_HOUR.keys()
    assert min(found.values()) >= 20
    assert found.total() >= 1000


@pytest.mark.parametrize("kind", PER_HOUR)
def test_the_faults_of_a_kind_are_spread_evenly(kind: str) -> None:
    faults = [fault for fault in draw(1, 60, 50).faults if fault.kind == kind]
    for part in range(4):
        inside = [fault for fault in faults if part * 900 <= fault.at < (part + 1) * 900]
        assert abs(len(inside) - PER_HOUR[kind] / 4) <= 1.5


def test_everything_drawn_is_known() -> None:
    assert set(ASKED) == TARGETS.keys()
    assert set(GARBLES) == EDITS.keys()
    assert {kind for kind in PER_HOUR if kind.startswith("answers")} == ANSWERS.keys()


def test_the_load_ends_with_every_node_there_and_taking_pods() -> None:
    absent: set[str] = set()
    changed: set[str] = set()
    for act in draw(3, 20, 50).load:
        name = act.path.rpartition("/")[2]
        if act.method == "DELETE" and act.path.startswith("/api/v1/nodes/"):
            absent.add(name)
        elif act.method == "POST" and act.path == "/api/v1/nodes" and act.body:
            absent.remove(act.body["metadata"]["name"])
        elif act.method == "PATCH" and act.path.startswith("/api/v1/nodes/"):
            changed ^= {name}
    assert not absent
    assert not changed
    assert {act.path.split("/")[-1] for act in draw(3, 20, 50).load if "/nodes/" in act.path} <= {
        name for names in node_names(50) for name in names
    }


def test_pods_are_to_be_bound_while_a_standby_that_has_taken_over_does_not_see_others() -> None:
    timeline = draw(3, 20, 50)
    faults = [fault for fault in timeline.faults if fault.kind == UNSEEN]
    for index, fault in enumerate(faults[1:-1], 1):
        name = f"contest-{index}"
        begun = {"waits": 0.0, "comes": 0.0}
        switched = [
            act.at for act in timeline.load if act.method == "PATCH" and act.path.endswith(f"/{name}")
        ]
        for act in timeline.load:
            made = act.body["metadata"]["name"] if act.method == "POST" and act.body else ""
            if made.startswith(f"{name}-"):
                begun[made.split("-")[2]] = act.at
        leads_until = fault.at + fault.seconds * LEADS_SHARE
        assert begun["waits"] < fault.at < begun["comes"] < leads_until
        assert [leads_until < at < fault.at + fault.seconds for at in switched] == [True]


def test_the_load_stays_within_its_bound() -> None:
    pods: set[str] = set()
    for act in draw(2, 30, 50).load:
        if act.method == "POST" and act.path.endswith("/pods") and act.body:
            pods.add(f"{act.path}/{act.body['metadata']['name']}")
        if act.method == "DELETE":
            pods.discard(act.path)
        assert len(pods) <= MOST_PODS
    assert all(any(f"/{namespace}/" in path for namespace in NAMESPACES) for path in pods)
