"""The JUnit report that the suite writes."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SIG = "[sig-scheduling] "
TEST = "[It] "
"""Before the name of a test; other parts of the suite, such as its set-up, have other words there."""

FAILED = "[FAILED] "
MAX_MESSAGE = 200


class Outcome(StrEnum):
    """What became of a test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One test of a run; `message` says on one line why it failed or was skipped."""

    outcome: Outcome
    seconds: float
    message: str = ""


class ReportError(Exception):
    """The suite as a whole did not run; the message says why."""


def parse(text: str) -> Mapping[str, Result]:
    """The tests of [sig-scheduling] in a report, by name without that. Raises `ReportError`.

    The report also lists all tests that the suite was not to run: as skipped, without a message of their own.
    """
    try:
        cases = list(ET.fromstring(text).iter("testcase"))  # noqa: S314 - written by a program of ours
    except ET.ParseError as error:
        raise ReportError(f"the suite's report cannot be read: {error}") from error
    for case in cases:
        if not case.get("name", "").startswith(TEST) and _result(case).outcome is Outcome.FAILED:
            raise ReportError(f"{case.get('name')}: {_result(case).message}")
    names = (case.get("name", "").removeprefix(TEST) for case in cases)
    return {
        name.removeprefix(SIG): _result(case)
        for name, case in zip(names, cases, strict=True)
        if name.startswith(SIG)
    }


def _result(case: ET.Element) -> Result:
    seconds = float(case.get("time", "0"))
    skipped = case.find("skipped")
    if skipped is not None:
        return Result(Outcome.SKIPPED, seconds, skipped.get("message", ""))
    failed = case.find("failure")
    if failed is None:
        failed = case.find("error")  # it panicked, or was interrupted
    if failed is not None:
        return Result(Outcome.FAILED, seconds, _on_one_line(failed.text or ""))
    return Result(Outcome.PASSED, seconds)


def _on_one_line(text: str) -> str:
    """What is said before the places in the source: as much as a table can hold."""
    words = " ".join(text.partition("\nIn [")[0].split()).removeprefix(FAILED)
    return words if len(words) <= MAX_MESSAGE else f"{words[:MAX_MESSAGE]}..."
