import pytest

from tools.conformance.comparison import compare
from tools.conformance.junit import Outcome, Result

PASSED, FAILED, SKIPPED = (Result(outcome, 1.0, f"said {outcome}") for outcome in Outcome)


@pytest.mark.parametrize(
    ("theirs", "ours", "lost"),
    [
        (PASSED, PASSED, False),
        (PASSED, FAILED, True),
        (PASSED, SKIPPED, True),
        (PASSED, None, True),
        (FAILED, FAILED, False),
        (FAILED, PASSED, False),
        (SKIPPED, FAILED, False),
        (None, FAILED, False),
    ],
)
def test_lost_is_what_only_kube_scheduler_passes(
    theirs: Result | None, ours: Result | None, *, lost: bool
) -> None:
    [row] = compare({"a": theirs} if theirs else {}, {"a": ours} if ours else {})
    assert row.lost is lost


def test_the_rows_are_by_name_and_only_those_asked_for() -> None:
    theirs = {"web": PASSED, "db": PASSED, "other": SKIPPED}
    assert [row.name for row in compare(theirs, {"late": PASSED})] == ["db", "late", "other", "web"]
    assert [row.name for row in compare(theirs, {}, "^w|b$")] == ["db", "web"]


def test_the_remark_is_pallet_s_where_both_have_one() -> None:
    rows = compare(
        {"a": FAILED, "b": FAILED, "c": Result(Outcome.PASSED, 1.0)},
        {"a": SKIPPED, "b": Result(Outcome.PASSED, 1.0), "c": Result(Outcome.PASSED, 1.0)},
    )
    assert [row.remark for row in rows] == ["said skipped", "said failed", ""]


@pytest.mark.parametrize(("theirs", "remark"), [(FAILED, "needs a feature"), (PASSED, "said skipped")])
def test_a_reason_that_is_known_stands_where_neither_passes(theirs: Result, remark: str) -> None:
    [row] = compare({"Workload [Feature:OffByDefault]": theirs}, {"Workload [Feature:OffByDefault]": SKIPPED})
    assert row.remark.startswith(remark)
