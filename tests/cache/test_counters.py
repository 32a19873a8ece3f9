"""What the comparison with a plain walk (test_model) does not reach."""

from typing import Any

import pytest

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.selectors import LabelSelector
from pallet.cache import counters as module
from pallet.cache.counters import PodCounters
from pallet.cache.selection import PodSelection, PodSelector, all_of
from tests.builders import make_pod

ROWS = 3


def selecting(app: str) -> PodSelection:
    return all_of(PodSelector(LabelSelector(Labels({"app": app})), ("default",)))


def test_selectors_long_unused_are_forgotten_and_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TALLIES_BYTES", 100_000)
    counters = PodCounters(ROWS)
    counters.add(make_pod("p", labels={"app": "kept"}), 1)
    kept = counters.count(selecting("kept"))
    for number in range(100):
        counters.count(selecting(f"app-{number}"))
        assert counters.count(selecting("kept")) is kept
        assert counters._tallies.bytes <= 100_000
    assert 2 < len(counters._tallies) < 50
    for number in range(100):
        counters.count(selecting(f"other-{number}"))
    counters.add(make_pod("q", labels={"app": "kept"}), 2)
    assert counters.count(selecting("kept")).tolist() == [0, 1, 1]
    assert kept.tolist() == [0, 1, 0]


def test_selectors_that_nobody_asks_about_are_counted_no_more() -> None:
    counters = PodCounters(ROWS)
    counters.add(make_pod("p", labels={"app": "web"}), 1)
    counters.count(selecting("web"))
    [group] = counters._groups.values()
    assert group.counted_by
    counters._tallies.age()
    assert group.counted_by
    counters._tallies.age()
    assert not group.counted_by
    assert counters.count(selecting("web")).tolist() == [0, 1, 0]


def test_a_terminating_pod_still_counts() -> None:
    counters = PodCounters(ROWS)
    leaving = make_pod("p", labels={"app": "web"}, deleted=1)
    counters.add(leaving, 0)
    assert counters.count(selecting("web")).tolist() == [1, 0, 0]
    counters.remove(leaving, 0)
    assert counters.count(selecting("web")).tolist() == [0, 0, 0]


def test_a_namespace_that_keeps_its_labels_keeps_its_counts() -> None:
    counters = PodCounters(ROWS)
    counters.set_namespace("default", Labels({"team": "x"}))
    everywhere = all_of(PodSelector(LabelSelector(), (), LabelSelector(Labels({"team": "x"}))))
    counters.add(make_pod("p"), 0)
    counted = counters.count(everywhere)
    counters.set_namespace("default", Labels({"team": "x"}))
    assert counters.count(everywhere) is counted
    counters.set_namespace("default", Labels({"team": "y"}))
    assert counters.count(everywhere).tolist() == [0, 0, 0]


def test_a_namespace_that_is_gone_is_forgotten() -> None:
    counters = PodCounters(ROWS)
    counters.set_namespace("default", Labels({"team": "x"}))
    everywhere = all_of(PodSelector(LabelSelector(), (), LabelSelector(Labels({"team": "x"}))))
    counters.add(make_pod("p"), 0)
    assert counters.count(everywhere).tolist() == [1, 0, 0]
    counters.set_namespace("default", NO_LABELS)
    assert counters.count(everywhere).tolist() == [0, 0, 0]
    assert not counters._namespaces


def test_selectors_are_counted_in_steps_while_pods_come_and_go() -> None:
    counters = PodCounters(ROWS)
    for number in range(10):
        counters.add(make_pod(f"p{number}", labels={"app": "web", "pod": str(number)}), number % ROWS)
    assert counters.uncounted(selecting("web")) == 10
    assert not counters.count_some(selecting("web"), 4)
    assert counters.uncounted(selecting("web")) == 6
    counters.remove(make_pod("p0", labels={"app": "web", "pod": "0"}), 0)  # not looked at yet
    counters.remove(make_pod("p9", labels={"app": "web", "pod": "9"}), 0)  # counted already
    counters.add(make_pod("p9", labels={"app": "web", "pod": "9"}), 1)
    counters.add(make_pod("late", labels={"app": "web", "pod": "late"}), 2)
    counters.add(make_pod("p1", labels={"app": "web", "pod": "1"}), 2)
    steps = 1
    while not counters.count_some(selecting("web"), 4):
        steps += 1
    assert steps == 2
    assert counters.uncounted(selecting("web")) == 0
    counted = counters.count(selecting("web")).tolist()
    fresh = PodCounters(ROWS)
    for key, group in counters._groups.items():
        fresh._groups[key] = group
    assert counted == fresh.count(selecting("web")).tolist() == [2, 4, 5]


def test_whoever_cannot_wait_gets_the_whole_count() -> None:
    counters = PodCounters(ROWS)
    for number in range(10):
        counters.add(make_pod(f"p{number}", labels={"app": "web", "pod": str(number)}), 0)
    counters.count_some(selecting("web"), 3)
    for number in range(8):
        counters.remove(make_pod(f"p{number}", labels={"app": "web", "pod": str(number)}), 0)
    assert counters.count(selecting("web")).tolist() == [2, 0, 0]
    assert counters.uncounted(selecting("web")) == 0


def test_namespaces_are_matched_before_labels_and_values() -> None:
    """A term that is about other namespaces costs a look at their names."""
    selector = PodSelector(LabelSelector(Labels({"app": "web"})), ("elsewhere",))
    assert not selector.matches("default", NO_LABELS, Unreadable())


class Unreadable(dict[str, str]):
    def items(self) -> Any:
        raise AssertionError("the labels were looked at")
