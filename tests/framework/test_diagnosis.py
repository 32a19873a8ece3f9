import numpy as np
import pytest

from pallet.framework.diagnosis import NodesToStatus, fit_message, rejection_message
from pallet.framework.status import unresolvable, unschedulable


def refused(count: int, *reasons: str) -> NodesToStatus:
    return NodesToStatus(unschedulable(*reasons).by("plugin"), np.arange(count))


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        pytest.param([], "0/5 nodes are available:", id="no reason at all"),
        pytest.param(
            [refused(3, "Insufficient cpu"), refused(2, "node(s) were unschedulable")],
            "0/5 nodes are available: 2 node(s) were unschedulable, 3 Insufficient cpu.",
            id="reasons sorted as text, the count included",
        ),
        pytest.param(
            [refused(2, "Insufficient cpu", "Too many pods"), refused(1, "Insufficient cpu")],
            "0/5 nodes are available: 2 Too many pods, 3 Insufficient cpu.",
            id="every reason of a node counts",
        ),
        pytest.param(
            [refused(10, "b"), refused(9, "a")], "0/5 nodes are available: 10 b, 9 a.", id="not by number"
        ),
    ],
)
def test_fit_message(refusals: list[NodesToStatus], expected: str) -> None:
    assert fit_message(5, refusals) == expected


def test_a_plugin_named_without_rows_is_not_counted() -> None:
    assert fit_message(5, [refused(5, "x"), refused(0, "x")]) == "0/5 nodes are available: 5 x."


def test_rejection_message() -> None:
    assert rejection_message(3, unresolvable("a", "b")) == "0/3 nodes are available: a, b."
