import json
from collections import Counter
from pathlib import Path

import pytest

from tools.parity.generate import SUBJECTS, scenario
from tools.parity.scenario import Scenario, key_of


def test_a_seed_always_gives_the_same_scenario() -> None:
    assert scenario(7, 20) == scenario(7, 20)
    assert scenario(7, 20) != scenario(8, 20)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_pods_and_what_they_speak_of_have_names_of_their_own(subject: str) -> None:
    drawn = scenario(3, 50, [subject])
    everything = [*drawn.objects, *drawn.pods]
    names = Counter(
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in everything
    )
    assert max(names.values()) == 1
    assert len(drawn.pods) == 50


def test_containers_have_names_of_their_own_whatever_the_subjects() -> None:
    drawn = scenario(3, 50, list(SUBJECTS))
    for pod in drawn.pods:
        containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
        names = [container["name"] for container in containers]
        assert len(set(names)) == len(names)


def test_without_a_wish_the_subjects_are_drawn() -> None:
    drawn = {name for seed in range(40) for name in scenario(seed, 1).subjects}
    assert drawn == set(SUBJECTS)


def test_a_written_scenario_can_be_read(tmp_path: Path) -> None:
    drawn = scenario(5, 10)
    file = tmp_path / "folder" / "scenario.json"
    drawn.write(file, differences=["something"])
    assert Scenario.read(file) == drawn
    assert json.loads(file.read_text())["differences"] == ["something"]


def test_keys_are_those_of_kubernetes() -> None:
    assert key_of({"metadata": {"namespace": "a", "name": "b"}}) == "a/b"
    assert key_of({"metadata": {"name": "b"}}) == "b"


def test_whole_pods_ask_for_no_less_than_their_containers() -> None:
    """The API server would not take them, so that the comparison would end."""
    for seed in range(30):
        for pod in scenario(seed, 20, ["resources", "quantities"]).pods:
            containers = [each["resources"]["requests"] for each in pod["spec"]["containers"]]
            if "resources" in pod["spec"]:
                assert not any(
                    "P" in each.get("memory", "") or "T" in each.get("cpu", "") for each in containers
                )
