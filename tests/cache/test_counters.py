"""What the comparison with a plain walk (test_model) does not reach."""

from typing import Any

import pytest

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.selectors import LabelSelector
from pallet.cache import counters as module
from pallet.cache.counters import PodCounters
from pallet.cache.cursor import Cursor
from pallet.cache.selection import PodSelection, PodSelector, all_of, weighted
from tests.builders import make_pod

ROWS = 3


def selecting(app: str) -> PodSelection:
    return all_of(PodSelector(LabelSelector(Labels({"app": app})), frozenset({"default"})))


def recounted(counters: PodCounters) -> PodCounters:
    """Counters over the same pods, which have counted nothing yet."""
    twin = PodCounters(ROWS)
    for (namespace, labels, terminating), rows in counters.groups():
        pod = make_pod("p", namespace=namespace, labels=dict(labels), deleted=1 if terminating else None)
        for row, count in rows.items():
            for _ in range(count):
                twin.add(pod, row)
    return twin


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
    everywhere = all_of(PodSelector(LabelSelector(), frozenset(), LabelSelector(Labels({"team": "x"}))))
    counters.add(make_pod("p"), 0)
    counted = counters.count(everywhere)
    counters.set_namespace("default", Labels({"team": "x"}))
    assert counters.count(everywhere) is counted
    counters.set_namespace("default", Labels({"team": "y"}))
    assert counters.count(everywhere).tolist() == [0, 0, 0]


def test_a_namespace_that_is_gone_is_forgotten() -> None:
    counters = PodCounters(ROWS)
    counters.set_namespace("default", Labels({"team": "x"}))
    everywhere = all_of(PodSelector(LabelSelector(), frozenset(), LabelSelector(Labels({"team": "x"}))))
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
    assert counted == recounted(counters).count(selecting("web")).tolist() == [2, 4, 5]


def test_a_selection_that_is_too_large_to_be_kept_is_counted_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TALLIES_BYTES", 1000)
    counters = PodCounters(ROWS)
    for name in ("app-1", "app-2"):
        counters.add(make_pod(name, labels={"app": name}), 1)
        assert counters.count(LONG).tolist() == recounted(counters).count(LONG).tolist()
        assert counters.count_some(LONG, 1)
    assert counters.count(LONG).tolist() == [0, 3, 0]
    assert not counters._tallies.seen
    assert not counters._tallies.weights


def test_groups_that_went_again_leave_nothing_behind() -> None:
    counters = PodCounters(ROWS)
    counters.count(LONG)
    for number in range(5000):
        pod = make_pod("p", labels={"app": f"app-{number}"})
        counters.add(pod, 1)
        counters.remove(pod, 1)
    assert len(counters._log) <= module._LOG_SLACK + 2
    counters.add(make_pod("p", labels={"app": "app-5"}), 1)
    assert counters.count(LONG).tolist() == [0, 5, 0]


def test_whoever_cannot_wait_gets_the_whole_count() -> None:
    counters = PodCounters(ROWS)
    for number in range(10):
        counters.add(make_pod(f"p{number}", labels={"app": "web", "pod": str(number)}), 0)
    counters.count_some(selecting("web"), 3)
    for number in range(8):
        counters.remove(make_pod(f"p{number}", labels={"app": "web", "pod": str(number)}), 0)
    assert counters.count(selecting("web")).tolist() == [2, 0, 0]
    assert counters.uncounted(selecting("web")) == 0


LONG = weighted(
    ((PodSelector(LabelSelector(Labels({"app": f"app-{n}"})), frozenset({"default"})),), n)
    for n in range(300)
)


class Comparisons:
    """How often a pod was compared with a costly selection."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        weight = PodSelection.weight

        def counted(selection: PodSelection, *args: Any) -> int:
            self.made += 1
            return weight(selection, *args)

        monkeypatch.setattr(PodSelection, "weight", counted)


def test_groups_are_compared_with_a_costly_selection_when_it_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counters, comparisons = PodCounters(ROWS), Comparisons(monkeypatch)
    assert counters.count(LONG).tolist() == [0, 0, 0]
    cursor = Cursor(counters.tally(LONG).changes)
    counters.add(make_pod("a", labels={"app": "app-7"}), 1)
    counters.add(make_pod("b", labels={"app": "app-7"}), 1)
    assert (comparisons.made, counters.uncounted(LONG)) == (0, 1)
    assert counters.count(LONG).tolist() == [0, 14, 0]
    assert cursor.read(counters.tally(LONG).changes) == [1]
    counters.add(make_pod("c", labels={"app": "app-7"}), 2)
    assert (comparisons.made, counters.uncounted(LONG)) == (1, 0)
    assert counters.count(LONG).tolist() == [0, 14, 7]


def test_a_group_that_is_back_is_not_compared_with_a_costly_selection_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A search for victims takes pods away and puts them back, hundreds in a cycle."""
    counters, comparisons = PodCounters(ROWS), Comparisons(monkeypatch)
    pods = [make_pod(name, labels={"app": name}) for name in ("app-3", "other")]
    for pod in pods:
        counters.add(pod, 1)
    assert counters.count(LONG).tolist() == [0, 3, 0]
    assert comparisons.made == 2
    for _ in range(10):
        for pod in pods:
            counters.remove(pod, 1)
        assert counters.count(LONG).tolist() == [0, 0, 0]
        for pod in pods:
            counters.add(pod, 1)
        assert counters.count(LONG).tolist() == [0, 3, 0]
    assert comparisons.made == 2


def test_of_a_group_that_was_never_compared_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, pod = PodCounters(ROWS), make_pod("a", labels={"app": "app-7"})
    counters.count(LONG)
    counters.add(pod, 1)
    counters.remove(pod, 1)
    counters.add(pod, 2)
    assert counters.count(LONG).tolist() == [0, 0, 7]


def test_whether_a_pod_counts_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WEIGHTS", 10)
    counters, comparisons = PodCounters(ROWS), Comparisons(monkeypatch)
    counters.count(LONG)
    for _ in range(3):
        assert counters.weight(LONG, make_pod("a", labels={"app": "app-7"})) == 7
    assert comparisons.made == 1
    for number in range(20):
        counters.weight(LONG, make_pod("b", labels={"app": f"b-{number}"}))
    assert len(counters._tallies.weights[LONG]) <= 10
    assert counters.weight(LONG, make_pod("a", labels={"app": "app-7"})) == 7


def test_namespaces_are_matched_before_labels_and_values() -> None:
    """A term that is about other namespaces costs a look at their names."""
    selector = PodSelector(LabelSelector(Labels({"app": "web"})), frozenset({"elsewhere"}))
    assert not selector.matches("default", NO_LABELS, Unreadable())


class Unreadable(dict[str, str]):
    def items(self) -> Any:
        raise AssertionError("the labels were looked at")
