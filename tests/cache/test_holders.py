"""What newcomers meet of the terms that placed pods hold: in terms, rows and comparisons, not in time."""

from collections.abc import Iterable

import pytest

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Pod
from pallet.api.selectors import LabelRequirement, LabelSelector
from pallet.cache import holders as module
from pallet.cache.counters import PodCounters
from pallet.cache.holders import HeldSum, HeldTerms, TermHolders
from pallet.cache.pod_info import AffinityTerm, PodInfo, PodTerms
from pallet.cache.selection import PodSelector
from tests.builders import HOSTNAME, ZONE, make_pod, pod_affinity, pod_term

ROWS = 3
WEB = make_pod("newcomer", labels={"app": "web"})


def terms(*apps: str, topology: str = HOSTNAME, namespace: str = "default") -> PodTerms:
    away = [pod_term(app, topology) for app in apps]
    return PodInfo(make_pod("holder", namespace=namespace, affinity=pod_affinity(away=away))).terms


def rows_of(met: HeldSum | None, key: str = HOSTNAME) -> list[int]:
    return [] if met is None else met.tally(key).by_row.tolist()


class CountingCounters(PodCounters):
    """Notes how often a term is compared with a pod."""

    def __init__(self) -> None:
        super().__init__(ROWS)
        self.compared = 0

    def selects(self, selector: PodSelector, pod: Pod) -> bool:
        self.compared += 1
        return super().selects(selector, pod)


@pytest.fixture
def counters() -> CountingCounters:
    return CountingCounters()


def test_what_a_pod_meets_is_one_sum_by_topology_key(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms("web"), 0, 1)
    holders.count(terms("web", topology=ZONE), 1, 1)
    holders.count(terms("db"), 2, 1)
    met = holders.anti.meet(WEB)
    assert met is not None
    assert sorted(met.keys) == [HOSTNAME, ZONE]
    assert rows_of(met) == [1, 0, 0]
    assert rows_of(met, ZONE) == [0, 1, 0]


def test_pods_that_the_same_terms_select_share_the_sum(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms("web", "db"), 0, 1)
    others = [make_pod("p", labels={"app": "web", "pod": str(number)}) for number in range(5)]
    assert len({id(holders.anti.meet(pod)) for pod in (WEB, *others)}) == 1


def test_a_thousand_terms_take_no_column_until_they_are_met(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    many = [f"app-{number}" for number in range(1000)]
    holders.count(terms(*many), 1, 1)
    assert not holders.anti._sums
    assert sum(len(rows) for rows in holders.anti._rows.values()) == 1000
    assert holders.anti.meet(WEB) is None
    assert rows_of(holders.anti.meet(make_pod("p", labels={"app": "app-7"}))) == [0, 1, 0]
    assert len(holders.anti._sums) == 1
    holders.count(terms(*many), 1, -1)
    assert not holders.anti._rows


def test_all_terms_that_select_a_pod_take_one_column(counters: CountingCounters) -> None:
    held = HeldTerms(counters, ROWS)
    for number in range(500):
        either = LabelRequirement("app", "In", ("web", f"app-{number}"))
        selector = PodSelector(LabelSelector(NO_LABELS, (either,)), frozenset({"default"}))
        held.bump(AffinityTerm(selector, HOSTNAME), number % ROWS, 1)
    met = held.meet(WEB)
    assert rows_of(met) == [167, 167, 166]
    assert met is not None
    assert len(met._tallies) == len(held._sums) == 1


def test_terms_that_come_and_go_are_followed(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms("web"), 0, 1)
    met = holders.anti.meet(WEB)
    holders.count(terms("web"), 2, 1)
    assert holders.anti.meet(WEB) is met
    assert rows_of(met) == [1, 0, 1]
    holders.count(terms("web", topology=ZONE), 1, 1)
    both = holders.anti.meet(WEB)
    assert both is not met
    assert rows_of(both) == [1, 0, 1]
    assert rows_of(both, ZONE) == [0, 1, 0]
    holders.count(terms("web"), 0, -1)
    holders.count(terms("web"), 2, -1)
    left = holders.anti.meet(WEB)
    assert left is not None
    assert list(left.keys) == [ZONE]
    holders.count(terms("web"), 1, 1)
    assert rows_of(holders.anti.meet(WEB)) == [0, 1, 0]
    holders.count(terms("web"), 1, -1)
    holders.count(terms("web", topology=ZONE), 1, -1)
    assert holders.anti.meet(WEB) is None


def test_only_terms_that_came_since_are_compared(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms(*(f"app-{number}" for number in range(100))), 0, 1)
    holders.anti.meet(WEB)
    assert counters.compared == 100
    for _ in range(10):
        holders.anti.meet(WEB)
    holders.count(terms("one-more"), 0, 1)
    holders.anti.meet(WEB)
    assert counters.compared == 101
    holders.count(terms("one-more"), 0, -1)
    holders.anti.meet(WEB)
    assert counters.compared == 101


def test_terms_about_other_namespaces_are_not_compared(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms(*(f"app-{number}" for number in range(100)), namespace="elsewhere"), 0, 1)
    holders.count(terms("web"), 0, 1)
    assert holders.anti.unmatched(WEB) == 1
    assert rows_of(holders.anti.meet(WEB)) == [1, 0, 0]
    assert counters.compared == 1


def test_terms_are_compared_in_steps(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms("web", *(f"app-{number}" for number in range(99))), 0, 1)
    assert holders.anti.unmatched(WEB) == 100
    assert not holders.anti.match(WEB, 40)
    assert counters.compared == 40
    assert holders.anti.unmatched(WEB) == 60
    holders.count(terms("late"), 0, 1)
    assert not holders.anti.match(WEB, 40)
    assert holders.anti.match(WEB, 40)
    assert counters.compared == 101
    assert rows_of(holders.anti.meet(WEB)) == [1, 0, 0]


def test_terms_that_went_again_leave_nothing_behind(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms("web"), 0, 1)
    for number in range(5000):
        passing = terms(f"app-{number}")
        holders.count(passing, 0, 1)
        holders.anti.meet(WEB)
        holders.count(passing, 0, -1)
    held = holders.anti
    assert len(held._rows) == 1
    assert sum(len(log.terms) for log in held._logs.values()) <= module._LOG_SLACK + 3
    assert rows_of(held.meet(WEB)) == [1, 0, 0]


def about(namespaces: Iterable[str]) -> AffinityTerm:
    return AffinityTerm(PodSelector(LabelSelector(Labels({"app": "web"})), frozenset(namespaces)), HOSTNAME)


def test_terms_about_ever_new_namespaces_leave_nothing_behind(counters: CountingCounters) -> None:
    held = HeldTerms(counters, ROWS)
    for number in range(5000):
        passing = about((f"a-{number}", f"b-{number}"))
        held.bump(passing, 0, 1)
        held.bump(passing, 0, -1)
    assert len(held._logs) <= module._LOG_SLACK + 2


def test_a_term_about_thousands_of_namespaces_is_found_in_one_place(counters: CountingCounters) -> None:
    held = HeldTerms(counters, ROWS)
    held.bump(about(("default", *(f"other-{number}" for number in range(5000)))), 1, 1)
    assert len(held._logs) == 1
    assert rows_of(held.meet(WEB)) == [0, 1, 0]
    assert held.meet(make_pod("p", labels={"app": "web"}, namespace="elsewhere")) is None


def test_long_terms_are_compared_in_shorter_steps(counters: CountingCounters) -> None:
    held = HeldTerms(counters, ROWS)
    for number in range(10):
        labels = Labels({f"{number}-{key}": "v" for key in range(160)})  # as long as 20 terms
        held.bump(AffinityTerm(PodSelector(LabelSelector(labels), frozenset({"default"})), HOSTNAME), 0, 1)
    assert held.unmatched(WEB) == 210
    assert not held.match(WEB, 50)
    assert (counters.compared, held.unmatched(WEB)) == (2, 168)
    assert not held.match(WEB, 1)
    assert (counters.compared, held.unmatched(WEB)) == (3, 147)


class CountingRows(dict[AffinityTerm, dict[int, int]]):
    """Notes how often a term is looked up."""

    looked_up = 0

    def __contains__(self, term: object) -> bool:
        self.looked_up += 1
        return super().__contains__(term)


def test_what_was_found_in_earlier_steps_is_looked_at_once_more(counters: CountingCounters) -> None:
    held = HeldTerms(counters, ROWS)
    held._rows = rows = CountingRows()
    for number in range(1000):
        either = LabelRequirement("app", "In", ("web", f"app-{number}"))
        selector = PodSelector(LabelSelector(NO_LABELS, (either,)), frozenset({"default"}))
        held.bump(AffinityTerm(selector, HOSTNAME), number % ROWS, 1)
    gone = next(iter(held._rows))
    while not held.match(WEB, 10):
        if counters.compared == 500:
            held.bump(gone, 0, -1)
    assert rows.looked_up <= 2000
    assert rows_of(held.meet(WEB)) == [333, 333, 333]


def test_a_sum_of_terms_by_thousands_of_topology_keys_is_kept(counters: CountingCounters) -> None:
    """Few of these can be labels of nodes, and only these take an array."""
    holders = TermHolders(counters, 5000)
    away = [pod_term("web", f"key-{number}") for number in range(15_000)]
    holders.count(PodInfo(make_pod("holder", affinity=pod_affinity(away=away))).terms, 0, 1)
    met = holders.anti.meet(WEB)
    assert met is not None
    assert met.kept
    assert holders.anti.meet(WEB) is met


def test_sums_are_bounded_in_bytes(counters: CountingCounters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SUMS_BYTES", 10_000)
    holders = TermHolders(counters, ROWS)
    apps = [f"app-{number}" for number in range(50)]
    for app in apps:
        holders.count(terms(app), 0, 1)
    pods = [make_pod("p", labels={"app": app}) for app in apps]
    first = holders.anti.meet(pods[0])
    for pod in pods:
        holders.anti.meet(pod)
    assert 5 < len(holders.anti._sums) < 30
    assert holders.anti._sums.bytes <= 10_000
    assert len(holders.anti._summed) == len(holders.anti._sums)
    assert first is not None
    assert not first.kept
    holders.count(terms(apps[0]), 2, 1)
    assert rows_of(holders.anti.meet(pods[0])) == [1, 0, 1]


def test_a_namespace_that_changes_its_labels_is_matched_again(counters: CountingCounters) -> None:
    holders = TermHolders(counters, ROWS)
    holders.count(terms("web"), 0, 1)
    assert holders.anti.meet(WEB) is not None
    holders.forget_matches()
    counters.set_namespace("default", Labels({"team": "x"}))
    assert rows_of(holders.anti.meet(WEB)) == [1, 0, 0]
    counters.set_namespace("default", NO_LABELS)


def test_weights_that_cancel_out_leave_no_term(counters: CountingCounters) -> None:
    term = pod_term("web", ZONE)
    like = PodInfo(make_pod("p", affinity=pod_affinity(rather_near={term: 5}))).terms
    dislike = PodInfo(make_pod("q", affinity=pod_affinity(rather_away={term: 5}))).terms
    holders = TermHolders(counters, ROWS)
    holders.count(like, 1, 1)
    holders.count(dislike, 1, 1)
    assert holders.preferred.meet(WEB) is None
    holders.count(like, 1, -1)
    assert rows_of(holders.preferred.meet(WEB), ZONE) == [0, -5, 0]


def test_many_sorts_of_newcomers_are_matched_within_bounds(
    counters: CountingCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NEWCOMERS_BYTES", 20_000)
    held = HeldTerms(counters, ROWS)
    (term,) = terms("web").required_anti
    held.bump(term, 0, 1)
    for number in range(100):
        assert held.meet(make_pod("p", labels={"n": str(number)})) is None
        assert held._newcomers.bytes <= 20_000
    assert 5 < len(held._newcomers) < 100
    assert rows_of(held.meet(WEB)) == [1, 0, 0]
