from pathlib import Path

from tools.conformance.comparison import compare
from tools.conformance.junit import Outcome, Result
from tools.conformance.page import keep, table

PASSED = Result(Outcome.PASSED, 12.4)
FAILED = Result(Outcome.FAILED, 300.0, "no a|b")
SKIPPED = Result(Outcome.SKIPPED, 0.1, "no zones")


def test_a_line_for_each_test_and_the_totals() -> None:
    rows = compare(
        {"fits": PASSED, "spreads": SKIPPED, "taints": PASSED},
        {"fits": PASSED, "spreads": SKIPPED, "taints": FAILED},
    )
    assert table(rows).splitlines() == [
        "| test | kube-scheduler | pallet | why not |",
        "|---|---|---|---|",
        "| fits | passed, 12 s | passed, 12 s |  |",
        "| spreads | skipped | skipped | no zones |",
        r"| taints | passed, 12 s | failed, 300 s | no a\|b |",
        "",
        "kube-scheduler: 2 passed, 1 skipped; pallet: 1 passed, 1 failed, 1 skipped",
    ]


def test_the_page_keeps_its_words_and_the_last_table_only(tmp_path: Path) -> None:
    page = tmp_path / "conformance.md"
    page.write_text("# Title\n\nWords.\n")
    keep(page, "| new |\n")
    keep(page, "| newer |\n")
    assert page.read_text() == "# Title\n\nWords.\n\n## The last result\n\n| newer |\n"
