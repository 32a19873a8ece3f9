"""What is left out beside an older kube-scheduler."""

import pytest

from tools.parity.decision import Decision
from tools.parity.generate import SUBJECTS
from tools.parity.older import SUBJECTS as LEFT_OUT
from tools.parity.older import is_older, without_new_words


@pytest.mark.parametrize(
    ("version", "older"), [("v1.36.3", True), ("v1.37.2", False), ("v1.38.0-beta.0", False)]
)
def test_versions(version: str, *, older: bool) -> None:
    assert is_older(version) is older


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0/1. no new claims to deallocate", "0/1."),
        ("0/1. no new claims to deallocate, preemption: no.", "0/1. preemption: no."),
        ("0/1.", "0/1. preemption: found a potential placement for pod on node a, preempting 2 victims"),
    ],
)
def test_words(old: str, new: str) -> None:
    assert without_new_words(Decision(message=old)) == without_new_words(Decision(message=new))


def test_the_subjects_exist() -> None:
    assert set(LEFT_OUT) <= set(SUBJECTS)
