import pytest

from tools.conformance.junit import MAX_MESSAGE, Outcome, ReportError, Result, parse

HEAD = '<testsuites><testsuite name="Kubernetes e2e suite">'
REPORT = f"""<?xml version="1.0" encoding="UTF-8"?>
{HEAD}
<testcase name="[SynchronizedBeforeSuite]" status="passed" time="0.5"></testcase>
<testcase name="[It] [sig-scheduling] Predicates [Serial] fits" status="passed" time="12.25"></testcase>
<testcase name="[It] [sig-scheduling] Predicates [Serial] taints" status="failed" time="120">
  <failure type="failed">
[FAILED] Unexpected error:
    &lt;*errors.StatusError | 0xc0&gt;
    not found
In [It] at: predicates.go:1018 @ 11/30/26
  </failure>
  <system-err>I1130 log</system-err>
</testcase>
<testcase name="[It] [sig-scheduling] Multi-AZ spreads" status="skipped" time="0.1">
  <skipped message="skipped - Schedulable zone count is 1"></skipped>
</testcase>
<testcase name="[It] [sig-scheduling] Preemption panics" status="panicked" time="1">
  <error type="panicked" message="index out of range">[PANICKED] Test Panicked
at preemption.go:5</error>
</testcase>
<testcase name="[It] [sig-node] Pods start" status="skipped" time="0">
  <skipped message="skipped"></skipped>
</testcase>
<testcase name="[ReportAfterSuite] Kubernetes e2e suite report" status="passed" time="0"></testcase>
</testsuite></testsuites>
"""


def test_the_tests_of_scheduling_are_read_with_why_they_did_not_pass() -> None:
    assert parse(REPORT) == {
        "Predicates [Serial] fits": Result(Outcome.PASSED, 12.25),
        "Predicates [Serial] taints": Result(
            Outcome.FAILED, 120.0, "Unexpected error: <*errors.StatusError | 0xc0> not found"
        ),
        "Multi-AZ spreads": Result(Outcome.SKIPPED, 0.1, "skipped - Schedulable zone count is 1"),
        "Preemption panics": Result(Outcome.FAILED, 1.0, "[PANICKED] Test Panicked at preemption.go:5"),
    }


def test_a_suite_whose_set_up_failed_has_no_results() -> None:
    report = REPORT.replace(
        'name="[SynchronizedBeforeSuite]" status="passed" time="0.5">',
        'name="[SynchronizedBeforeSuite]" status="failed" time="0.5"><failure>[FAILED] no nodes</failure>',
    )
    with pytest.raises(ReportError, match=r"SynchronizedBeforeSuite.*no nodes"):
        parse(report)


def test_a_long_message_is_cut() -> None:
    message = parse(REPORT.replace("not found", "x" * 1000))["Predicates [Serial] taints"].message
    assert message.startswith("Unexpected error: <*errors.StatusError")
    assert message.endswith("xx...")
    assert len(message) == MAX_MESSAGE + len("...")


def test_half_a_report_is_refused() -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        parse(REPORT[: len(REPORT) // 2])
