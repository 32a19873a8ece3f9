import pytest

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Container, ContainerPort, Pod, PodAffinityTerm, PodSpec
from pallet.api.selectors import LabelSelector
from pallet.cache.pod_info import NO_TERMS, AffinityTerm, HostPort, PodInfo, PreferredTerm, host_ports
from pallet.cache.selection import PodSelector, all_of, weighted
from tests.builders import HOSTNAME, ZONE, make_pod, pod_affinity, pod_term

WEB, TEAM = LabelSelector(Labels({"app": "web"})), LabelSelector(Labels({"team": "x"}))
ANYWHERE = "0.0.0.0"  # noqa: S104 - the API's wildcard


def container(*ports: ContainerPort, restart_policy: str = "") -> Container:
    return Container("c", "image", ports=ports, restart_policy=restart_policy)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(PodSpec(containers=(container(ContainerPort(0)),)), [], id="a port without host port"),
        pytest.param(
            PodSpec(
                containers=(container(ContainerPort(80)), container(ContainerPort(81, "UDP", "10.0.0.1")))
            ),
            [("TCP", 80, ANYWHERE), ("UDP", 81, "10.0.0.1")],
            id="all containers",
        ),
        pytest.param(
            PodSpec(containers=(container(ContainerPort(80, "")),)),
            [("TCP", 80, ANYWHERE)],
            id="TCP is the default",
        ),
        pytest.param(
            PodSpec(
                init_containers=(
                    container(ContainerPort(80)),
                    container(ContainerPort(81), restart_policy="Always"),
                )
            ),
            [("TCP", 81, ANYWHERE)],
            id="sidecars, but not init containers, which hold theirs for a while only",
        ),
    ],
)
def test_host_ports(spec: PodSpec, expected: list[tuple[str, int, str]]) -> None:
    assert host_ports(Pod(spec=spec)) == tuple(HostPort(*each) for each in expected)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        pytest.param(
            PodAffinityTerm(ZONE, WEB), PodSelector(WEB, frozenset({"shop"})), id="own namespace by default"
        ),
        pytest.param(
            PodAffinityTerm(ZONE, WEB, namespaces=("b", "a")),
            PodSelector(WEB, frozenset({"a", "b"})),
            id="named namespaces instead, in one order",
        ),
        pytest.param(
            PodAffinityTerm(ZONE, WEB, namespace_selector=TEAM),
            PodSelector(WEB, frozenset(), TEAM),
            id="selected namespaces instead",
        ),
        pytest.param(
            PodAffinityTerm(ZONE, WEB, ("a",), TEAM),
            PodSelector(WEB, frozenset({"a"}), TEAM),
            id="or both of them",
        ),
    ],
)
def test_which_pods_a_term_speaks_of(term: PodAffinityTerm, expected: PodSelector) -> None:
    info = PodInfo(make_pod("p", namespace="shop", affinity=pod_affinity(near=[term])))
    assert info.terms.required == (AffinityTerm(expected, ZONE),)


def test_terms_by_sort_with_signed_weights() -> None:
    near, away, rather_near, rather_away = (pod_term(app) for app in ("a", "b", "c", "d"))
    affinity = pod_affinity(
        near=[near], away=[away], rather_near={rather_near: 3, near: 0}, rather_away={rather_away: 4}
    )
    terms = PodInfo(make_pod("p", affinity=affinity)).terms

    def resolved(term: PodAffinityTerm) -> AffinityTerm:
        return AffinityTerm(PodSelector(term.label_selector, frozenset({"default"})), HOSTNAME)

    assert terms.required == (resolved(near),)
    assert terms.required_anti == (resolved(away),)
    assert terms.preferred == ((resolved(rather_near), 3), (resolved(rather_away), -4))


def selector(app: str) -> PodSelector:
    return PodSelector(LabelSelector(Labels({"app": app})), frozenset({"default"}))


def test_terms_are_put_together_by_topology_key() -> None:
    """However many terms a pod has, its decision counts by no more than three selections for each key."""
    affinity = pod_affinity(
        near=[pod_term("a"), pod_term("b"), pod_term("a", ZONE)],
        away=[pod_term("c"), pod_term("d"), pod_term("c"), pod_term("c", ZONE)],
        rather_near={pod_term("e"): 3, pod_term("e", ZONE): 5},
        rather_away={pod_term("f"): 4},
    )
    terms = PodInfo(make_pod("p", affinity=affinity)).terms
    assert terms.near_keys == (HOSTNAME, ZONE)
    assert terms.near == all_of(selector("a"), selector("b"))
    assert dict(terms.away) == {
        HOSTNAME: weighted([((selector("c"),), 1), ((selector("d"),), 1)]),
        ZONE: all_of(selector("c")),
    }
    assert set(terms.preferred_by_key) == {
        PreferredTerm(HOSTNAME, weighted([((selector("e"),), 3), ((selector("f"),), -4)]), 1),
        PreferredTerm(ZONE, all_of(selector("e")), 5),
    }


def test_terms_that_never_count_are_left_out_of_a_decision() -> None:
    """Those without a selector, and wishes that outweigh each other."""
    nobody = PodAffinityTerm(HOSTNAME, None)
    affinity = pod_affinity(
        near=[nobody],
        away=[nobody],
        rather_near={nobody: 3, pod_term("a"): 5},
        rather_away={pod_term("a"): 5},
    )
    terms = PodInfo(make_pod("p", affinity=affinity)).terms
    assert (terms.away, terms.preferred_by_key) == ((), ())
    assert terms.near == all_of(PodSelector(None, frozenset({"default"})))


def test_a_selection_costs_what_its_selectors_hold() -> None:
    long = PodSelector(LabelSelector(Labels({f"k{n}": "v" for n in range(80)})), frozenset({"default"}))
    assert all_of(selector("a")).cost == 1
    assert all_of(long).cost == 11
    assert weighted([((selector("a"), long), 1), ((selector("b"),), 2)]).cost == 13


@pytest.mark.parametrize(
    ("selector", "namespace", "namespace_labels", "labels", "expected"),
    [
        (PodSelector(WEB, frozenset({"a"})), "a", {}, {"app": "web"}, True),
        (PodSelector(WEB, frozenset({"a"})), "b", {}, {"app": "web"}, False),
        (PodSelector(WEB, frozenset({"a"})), "a", {}, {"app": "db"}, False),
        (PodSelector(None, frozenset({"a"})), "a", {}, {"app": "web"}, False),
        (PodSelector(LabelSelector(), frozenset({"a"})), "a", {}, {}, True),
        (PodSelector(WEB, frozenset(), TEAM), "b", {"team": "x"}, {"app": "web"}, True),
        (PodSelector(WEB, frozenset(), TEAM), "b", {"team": "y"}, {"app": "web"}, False),
        (PodSelector(WEB, frozenset(), LabelSelector()), "b", {}, {"app": "web"}, True),
        (PodSelector(WEB, frozenset({"a"}), TEAM), "a", {}, {"app": "web"}, True),
    ],
)
def test_matching_a_selector_of_pods(
    selector: PodSelector,
    namespace: str,
    namespace_labels: dict[str, str],
    labels: dict[str, str],
    expected: bool,  # noqa: FBT001 - a table
) -> None:
    assert selector.matches(namespace, Labels(namespace_labels), labels) is expected


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (make_pod("p", version=2, conditions=(), priority=9), True),
        (make_pod("p", cpu="2"), False),
        (make_pod("p", labels={"app": "x"}), False),
        (make_pod("p", deleted=5), False),
        (make_pod("p", ports=[ContainerPort(80)]), False),
        (make_pod("p", affinity=pod_affinity(away=[pod_term("x")])), False),
    ],
)
def test_what_weighs_on_a_node(other: Pod, same: bool) -> None:  # noqa: FBT001 - a table
    assert PodInfo(make_pod("p")).same_footprint(PodInfo(other)) is same


def test_pods_without_affinity_have_no_terms() -> None:
    info = PodInfo(make_pod("p", pod_set=""))
    assert info.terms == NO_TERMS
    assert info.pod.metadata.labels is NO_LABELS
    assert repr(info) == "PodInfo(default/p)"
