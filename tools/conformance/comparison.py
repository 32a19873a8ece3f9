"""The two runs beside each other."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.conformance.junit import Outcome, Result

CANNOT_PASS = {"[Feature:OffByDefault]": "needs a feature that is off by default"}
"""Why no scheduler passes a test here, by a part of its name."""

NOT_RUN = Result(Outcome.SKIPPED, 0.0, "not in the report")


@dataclass(frozen=True, slots=True)
class Row:
    """One test under both schedulers."""

    name: str
    theirs: Result
    ours: Result

    @property
    def lost(self) -> bool:
        """Whether kube-scheduler passes it and pallet does not."""
        return self.theirs.outcome is Outcome.PASSED and self.ours.outcome is not Outcome.PASSED

    @property
    def remark(self) -> str:
        """Why it did not pass."""
        if self.theirs.outcome is not Outcome.PASSED:
            for part, reason in CANNOT_PASS.items():
                if part in self.name:
                    return reason
        return self.ours.message or self.theirs.message


def compare(theirs: Mapping[str, Result], ours: Mapping[str, Result], focus: str = "") -> Sequence[Row]:
    """A row for each test that `focus` matches, by name; one that a report lacks counts as skipped."""
    return [
        Row(name, theirs.get(name, NOT_RUN), ours.get(name, NOT_RUN))
        for name in sorted({*theirs, *ours})
        if re.search(focus, name)
    ]
