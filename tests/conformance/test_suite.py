import re

import pytest

from tools.conformance import suite
from tools.controlplane import build


def test_the_suite_is_of_the_control_plane_s_version() -> None:
    module = (suite.MODULE / "go.mod").read_text()
    assert f"tool {suite.PROGRAM.package}\n" in module
    assert f"k8s.io/kubernetes {build.KUBERNETES_VERSION} " in module


@pytest.mark.parametrize(
    ("focus", "matched"),
    [("", ["spreads", "preempts"]), ("spread", ["spreads"]), ("spread|preempt", ["spreads", "preempts"])],
)
def test_a_focus_stays_within_scheduling(focus: str, matched: list[str]) -> None:
    names = ["[sig-scheduling] spreads", "[sig-scheduling] preempts", "[sig-apps] preempts"]
    found = [name.split()[1] for name in names if re.search(suite.pattern(focus), name)]
    assert found == matched
