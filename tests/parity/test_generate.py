import json
from collections import Counter
from pathlib import Path

import pytest

from pallet.config.load import parse
from tools.parity.generate import SUBJECTS, scenario
from tools.parity.reference import configuration
from tools.parity.scenario import Scenario, key_of
from tools.parity.subjects.affinity import REQUIRED


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


def test_what_a_subject_needs_is_drawn_with_it() -> None:
    drawn = scenario(3, 5, ["terminating"])
    assert set(drawn.subjects) == {"terminating", "priority", "nominated"}


def test_a_pod_changes_only_while_it_waits_behind_its_gate() -> None:
    drawn = scenario(3, 50, ["nominated"])
    steps = {key_of(pod): number for number, pod in enumerate(drawn.pods)}
    changed = [(key_of(each["object"]), each["before"]) for each in drawn.changes]
    assert changed
    assert all(before <= steps[pod] for pod, before in changed)


def test_namespace_selectors_have_every_form() -> None:
    terms = [
        term
        for pod in scenario(3, 200, ["namespaces"]).pods
        for kind in pod["spec"].get("affinity", {}).values()
        for term in kind.get(REQUIRED, ())
    ]
    selectors = [term.get("namespaceSelector") for term in terms]
    forms = {None if each is None else frozenset(each) for each in selectors}
    both = {frozenset(("matchLabels", "matchExpressions"))}
    assert forms == {None, frozenset(), frozenset(("matchLabels",)), frozenset(("matchExpressions",))} | both
    assert {("namespaces" in term, "namespaceSelector" in term) for term in terms} == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }


@pytest.mark.parametrize("subject", ["profiles", "weights", "arguments", "extenders"])
def test_configurations_are_valid(subject: str) -> None:
    """Both schedulers would refuse to start with another one."""
    for seed in range(60):
        drawn = scenario(seed, 1, [subject, "profiles"])
        extenders = [{**each["config"], "urlPrefix": "http://x"} for each in drawn.extenders]
        parsed = parse(json.dumps(configuration(drawn.profiles, extenders)), "parity")
        assert len(parsed.profiles) == len(drawn.profiles) > 1
        assert len(parsed.extenders) == len(extenders)


def test_pods_name_every_profile() -> None:
    drawn = scenario(3, 80, ["profiles"])
    named = {pod["spec"].get("schedulerName", "default-scheduler") for pod in drawn.pods}
    assert named == {profile["schedulerName"] for profile in drawn.profiles}


def test_resizes_concern_all_containers_and_whole_pods() -> None:
    drawn = scenario(5, 1, ["resizing"])
    pods = [each for each in drawn.objects if each["kind"] == "Pod"]
    statuses = [each["status"] for each in pods]
    resized = [each for each in (*statuses, *(change["patch"]["status"] for change in drawn.changes)) if each]
    assert max(len(each.get("containerStatuses", ())) for each in resized) > 1
    assert any(each.get("initContainerStatuses") for each in resized)
    assert any("allocatedResources" in each and "resources" in each for each in resized)
    assert any("resources" not in pod["spec"] for pod in pods if "allocatedResources" in pod["status"])
