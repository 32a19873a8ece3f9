import re

import pytest

from tools.conformance import suite


@pytest.mark.parametrize(
    ("focus", "matched"),
    [("", ["spreads", "preempts"]), ("spread", ["spreads"]), ("spread|preempt", ["spreads", "preempts"])],
)
def test_a_focus_stays_within_scheduling(focus: str, matched: list[str]) -> None:
    names = ["[sig-scheduling] spreads", "[sig-scheduling] preempts", "[sig-apps] preempts"]
    found = [name.split()[1] for name in names if re.search(suite.pattern(focus), name)]
    assert found == matched
