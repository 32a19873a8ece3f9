"""The states that are written to be replayed."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.builders import at, make_pod
from tools.parity.decision import Decision
from tools.parity.draft import default_profile
from tools.parity.match import Step
from tools.parity.report import Report
from tools.parity.scenario import Manifest, Scenario
from tools.parity.subjects.nominated import touch


def manifest(name: str, **spec: object) -> Manifest:
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def write_at(step: int, folder: Path, scenario: Scenario) -> Scenario:
    """The state that a step of a scenario is written with."""
    placed = make_pod("first", node="a")
    placed = replace(placed, status=replace(placed.status, start_time=at(5)))
    there = [
        make_pod("bound", node="a"),
        placed,
        make_pod("waits", nominated="b"),
        make_pod("later", nominated="a"),
    ]
    ours, theirs = Decision("a"), Decision(message="no")
    report = Report(folder)
    report.take(Step(scenario, step, scenario.pods[step], ours, theirs, there, ["verdict"], comparable=True))
    [file] = folder.glob("*.json")
    assert json.loads(file.read_text())["differences"] == ["verdict"]
    return Scenario.read(file)


def test_what_is_written_is_the_state_at_the_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bound = manifest("bound", nodeName="a") | {"status": {"phase": "Running"}}
    resized = {"containerStatuses": [{"name": "main"}]}
    waits, first, here, later = (manifest(name) for name in ("waits", "first", "here", "later"))
    label = {"action": "patch", "object": {"kind": "Node", "metadata": {"name": "a"}}, "subresource": ""}
    scenario = Scenario(
        name="parity-1",
        seed=1,
        subjects=(),
        objects=[{"kind": "Node", "metadata": {"name": "a"}}, bound],
        pods=[waits, first, here, later],
        profiles=[default_profile()],
        extenders=[],
        changes=[
            {**label, "before": 1, "patch": {"metadata": {"labels": {"disk": "ssd"}}}},
            {**label, "before": 3, "patch": {"metadata": {"labels": {"disk": "hdd"}}}},
            {**touch(bound), "before": 2, "patch": {"status": resized}},
            {**touch(later), "before": 2},
            {**touch(here), "before": 3},
        ],
    )
    state = write_at(2, tmp_path, scenario)
    assert "parity-1-2.json" in capsys.readouterr().out
    pods = {each["metadata"]["name"]: each for each in state.objects if each["kind"] == "Pod"}
    assert pods.keys() == {"bound", "first"}
    assert pods["bound"]["status"] == {"phase": "Running", "conditions": [], **resized}
    assert (pods["first"]["spec"], pods["first"]["status"]["phase"]) == ({"nodeName": "a"}, "Running")
    assert [(each["metadata"]["name"], each["status"]) for each in state.pods] == [
        ("here", {}),
        ("waits", {"nominatedNodeName": "b"}),
        ("later", {"nominatedNodeName": "a"}),
    ]
    assert state.changes == [
        {**label, "before": 0, "patch": {"metadata": {"labels": {"disk": "ssd"}}}},
    ]
