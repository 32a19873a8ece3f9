"""What a reader of the sums by domain is told of changes; the sums themselves are test_model's."""

import numpy as np

from pallet.cache.columns import LabelColumns
from pallet.cache.cursor import Cursor
from pallet.cache.tally import DomainCounts, Tally
from tests.builders import ZONE

ROWS = 4


def zones() -> LabelColumns:
    """Rows 0 and 1 in one zone, row 2 in another, row 3 in none."""
    labels = LabelColumns(ROWS)
    for row, zone in enumerate("aab"):
        labels.put(row, {}, {ZONE: zone})
    return labels


def test_a_change_is_told_by_its_row_and_a_flip_only_when_a_domain_gets_or_loses_its_pods() -> None:
    tally, labels = Tally(np.zeros(ROWS, np.int64)), zones()
    counts = tally.by_domain(labels, ZONE)
    changes, flips = Cursor(counts.changes), Cursor(counts.flips)
    for row, by in ((0, 1), (1, 1), (3, 1)):
        tally.bump(row, by)
    assert tally.by_domain(labels, ZONE) is counts
    assert changes.read(counts.changes) == [0, 1]
    assert flips.read(counts.flips) == [0]
    assert counts.occupied == 1
    tally.bump(0, -1)
    assert not flips.is_behind(counts.flips)
    tally.bump(1, -1)
    assert flips.read(counts.flips) == [1]
    assert counts.occupied == 0


def test_every_change_of_a_row_is_told_whatever_its_labels() -> None:
    tally = Tally(np.zeros(ROWS, np.int64))
    cursor = Cursor(tally.changes)
    tally.bump(3, 1)
    tally.bump(1, -1)
    assert cursor.read(tally.changes) == [3, 1]


def test_a_reader_looks_at_everything_when_a_node_is_in_another_domain() -> None:
    tally, labels = Tally(np.zeros(ROWS, np.int64)), zones()
    counts = tally.by_domain(labels, ZONE)
    cursor = Cursor(counts.changes)
    labels.put(3, {}, {"other": "label"})
    assert not cursor.is_behind(tally.by_domain(labels, ZONE).changes)
    labels.put(3, {}, {ZONE: "b"})
    tally.bump(3, 1)
    assert cursor.read(tally.by_domain(labels, ZONE).changes) is None
    assert counts.sums.tolist() == [0, 0, 1]


def test_a_label_that_no_node_had_is_counted_once_one_has() -> None:
    tally, labels = Tally(np.zeros(ROWS, np.int64)), LabelColumns(ROWS)
    tally.bump(0, 2)
    assert tally.by_domain(labels, ZONE).sums.tolist() == [0]
    labels.put(0, {}, {ZONE: "a"})
    assert tally.by_domain(labels, ZONE).sums.tolist() == [0, 2]


def test_domains_that_were_never_counted_ignore_what_happens() -> None:
    counts = DomainCounts()
    cursor = Cursor(counts.changes)
    counts.bump(0, 1)
    assert not cursor.is_behind(counts.changes)
