"""What the health endpoints answer."""

import pytest

from pallet.server.health import Checks, report


def fine() -> None:
    """Find nothing wrong."""


def late() -> str:
    return "waiting for pods"


@pytest.mark.parametrize(
    ("checks", "verbose", "healthy", "text"),
    [
        ({}, False, True, "ok"),
        ({"leaderElection": fine}, False, True, "ok"),
        ({"leaderElection": fine}, True, True, "[+]ping ok\n[+]leaderElection ok\nreadyz check passed\n"),
        (
            {"leaderElection": fine, "sync": late},
            False,
            False,
            "[+]ping ok\n[+]leaderElection ok\n[-]sync failed: waiting for pods\nreadyz check failed\n",
        ),
    ],
    ids=["none", "all pass", "verbose", "one fails"],
)
def test_report(checks: Checks, verbose: bool, healthy: bool, text: str) -> None:  # noqa: FBT001 - a table
    assert report("readyz", checks, verbose=verbose) == (healthy, text)
