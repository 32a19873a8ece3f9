import pytest

from pallet.framework.instruments import Instruments
from pallet.framework.metrics import Metrics
from pallet.runtime.checked import WrongDeclaration
from pallet.scheduler.wrong_declarations import WrongDeclarations

WRONG = WrongDeclaration(
    "Mine", "filter_reads", "mine.py:7", "write filter_reads = Reads.LOAD", "on a 1, not 0"
)


def test_each_wrong_answer_is_counted_and_the_first_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(Instruments())
    declarations = WrongDeclarations(metrics)
    for wrong in (WRONG, WRONG, WRONG._replace(declaration="filter_signature")):
        declarations.report(wrong)
    counts = metrics.wrong_declarations_total
    assert (counts["Mine", "filter_reads"].value, counts["Mine", "filter_signature"].value) == (2, 1)
    assert len(caplog.messages) == 2
    line = "Mine: filter_reads (mine.py:7) does not hold: on a 1, not 0; write filter_reads = Reads.LOAD"
    assert line in caplog.messages[0]
