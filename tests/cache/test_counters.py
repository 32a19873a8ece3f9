"""What the comparison with a plain walk (test_model) does not reach."""

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.selectors import LabelSelector
from pallet.cache import counters as module
from pallet.cache.counters import HeldTerms, PodCounters, Selectors, TermHolders
from pallet.cache.pod_info import PodInfo, PodSelector
from tests.builders import ZONE, make_pod, pod_affinity, pod_term

ROWS = 3


def selecting(app: str) -> Selectors:
    return (PodSelector(LabelSelector(Labels({"app": app})), ("default",)),)


def test_selectors_long_unused_are_forgotten_and_counted_anew() -> None:
    counters = PodCounters(ROWS)
    counters.add(make_pod("p", labels={"app": "kept"}), 1)
    kept = counters.count(selecting("kept"))
    for number in range(module._MAX_SELECTORS - 1):
        counters.count(selecting(f"app-{number}"))
    assert counters.count(selecting("kept")) is kept
    counters.count(selecting("one more"))
    assert counters.count(selecting("kept")) is kept
    for number in range(module._MAX_SELECTORS):
        counters.count(selecting(f"other-{number}"))
    counters.add(make_pod("q", labels={"app": "kept"}), 2)
    assert counters.count(selecting("kept")).tolist() == [0, 1, 1]
    assert kept.tolist() == [0, 1, 0]


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
    everywhere = (PodSelector(LabelSelector(), (), LabelSelector(Labels({"team": "x"}))),)
    counters.add(make_pod("p"), 0)
    counted = counters.count(everywhere)
    counters.set_namespace("default", Labels({"team": "x"}))
    assert counters.count(everywhere) is counted
    counters.set_namespace("default", Labels({"team": "y"}))
    assert counters.count(everywhere).tolist() == [0, 0, 0]


def test_a_namespace_that_is_gone_is_forgotten() -> None:
    counters = PodCounters(ROWS)
    counters.set_namespace("default", Labels({"team": "x"}))
    everywhere = (PodSelector(LabelSelector(), (), LabelSelector(Labels({"team": "x"}))),)
    counters.add(make_pod("p"), 0)
    assert counters.count(everywhere).tolist() == [1, 0, 0]
    counters.set_namespace("default", NO_LABELS)
    assert counters.count(everywhere).tolist() == [0, 0, 0]
    assert not counters._namespaces


def test_weights_that_cancel_out_leave_no_term() -> None:
    term = pod_term("web", ZONE)
    like = PodInfo(make_pod("p", affinity=pod_affinity(rather_near={term: 5}))).terms
    dislike = PodInfo(make_pod("q", affinity=pod_affinity(rather_away={term: 5}))).terms
    holders, counters = TermHolders(ROWS), PodCounters(ROWS)
    web = make_pod("newcomer", labels={"app": "web"})
    holders.add(like, 1)
    holders.add(dislike, 1)
    assert holders.preferred.matching(web, counters) == ()
    holders.remove(like, 1)
    (held,) = holders.preferred.matching(web, counters)
    assert holders.preferred.tally(held).by_row.tolist() == [0, -5, 0]


def test_many_sorts_of_newcomers_are_matched_within_bounds() -> None:
    held, counters = HeldTerms(ROWS), PodCounters(ROWS)
    ((term, _),) = PodInfo(
        make_pod("p", affinity=pod_affinity(rather_near={pod_term("web"): 1}))
    ).terms.preferred
    held.bump(term, 0, 1)
    for number in range(module._MAX_SELECTORS + 2):
        assert held.matching(make_pod("p", labels={"n": str(number)}), counters) == ()
    assert len(held._matching) <= module._MAX_SELECTORS + 1
    assert len(held.matching(make_pod("p", labels={"app": "web"}), counters)) == 1
