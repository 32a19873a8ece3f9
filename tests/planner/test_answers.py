"""Which of several answers counts."""

import pytest

from pallet.planner.answers import Answers

POD, OTHER = "pod", "other"


@pytest.mark.parametrize(
    ("calls", "node"),
    [
        pytest.param([([POD], {POD: "n1"})], "n1", id="its own call"),
        pytest.param([([OTHER, POD], {POD: "n1"})], "n1", id="the call for its list"),
        pytest.param([([OTHER], {POD: "n2"}), ([POD], {POD: "n1"})], "n1", id="its own before another's"),
        pytest.param([([POD], {}), ([OTHER], {POD: "n2"})], "n2", id="another's, where its own names none"),
        pytest.param([([OTHER], {POD: "n2"})], "n2", id="another's, where it has no call"),
        pytest.param([([OTHER], {POD: "n2"}), (["third"], {POD: "n3"})], "n2", id="the first of others'"),
        pytest.param([([POD], {OTHER: "n1"})], None, id="none"),
    ],
)
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
def test_the_node_of_a_pod(
    calls: list[tuple[list[str], dict[str, str]]], node: str | None, order: int
) -> None:
    """In whatever order the answers come."""
    answers = Answers([POD, OTHER, "third"])
    for number, (own, assignments) in list(enumerate(calls))[::order]:
        answers.take(number, own, assignments, {})
    assert answers.assignments().get(POD) == node
    assert (POD in answers) == (node is not None)


def test_pods_of_other_sets_are_passed_over() -> None:
    answers = Answers([POD])
    answers.take(0, [POD], {"stranger": "n1"}, {"stranger": "no"})
    assert answers.assignments() == answers.reasons() == {}


def test_a_failure_that_lasts_is_the_reason_for_all_that_were_not_asked_about() -> None:
    answers = Answers([POD, OTHER, "third"])
    answers.fail(POD, "no licence", gone=False)
    assert answers.reasons() == {POD: "no licence"}
    answers.fail(OTHER, "down", gone=True)
    assert answers.reasons() == {POD: "no licence", OTHER: "down", "third": "down"}
    assert (answers.count, answers.failure, answers.gone) == (0, "no licence", "down")
