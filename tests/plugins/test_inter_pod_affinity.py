from collections.abc import Mapping
from typing import Any

import pytest

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Affinity, Pod
from pallet.api.selectors import LabelRequirement, LabelSelector
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    Hint,
    node_update,
    pod_update,
)
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS
from pallet.plugins.inter_pod_affinity import MOST_KEYS, InterPodAffinity
from tests.builders import ZONE, make_node, make_pod, pod_affinity, pod_term
from tests.plugins.asking import Asked

NODES = [
    make_node("a", labels={ZONE: "z1"}),
    make_node("b", labels={ZONE: "z1"}),
    make_node("c", labels={ZONE: "z2"}),
    make_node("bare"),
]
NOT_NEAR = "!node(s) didn't match pod affinity rules"
TOO_NEAR = "node(s) didn't match pod anti-affinity rules"
KEPT_AWAY = "node(s) didn't satisfy existing pods anti-affinity rules"
TEAM = LabelSelector(Labels({"team": "x"}))
ANYWHERE = LabelSelector()


def pod(
    app: str = "",
    on: str = "",
    affinity: Affinity | None = None,
    *,
    namespace: str = "default",
    name: str = "",
) -> Pod:
    labels = {"app": app} if app else {}
    name = name or f"{app}-{on}-{namespace}"
    return make_pod(name, pod_set="", node=on, labels=labels, affinity=affinity, namespace=namespace)


def verdicts(a: str = "", b: str = "", c: str = "", bare: str = "") -> Mapping[str, str]:
    return {"a": a, "b": b, "c": c, "bare": bare}


@pytest.mark.parametrize(
    ("wanted", "placed", "expected"),
    [
        pytest.param(pod("web"), [pod("db", "a")], verdicts(), id="no terms anywhere"),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)])),
            [pod("db", "a")],
            verdicts(c=NOT_NEAR, bare=NOT_NEAR),
            id="near to a pod, by zone",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db")])),
            [pod("db", "a")],
            verdicts(b=NOT_NEAR, c=NOT_NEAR, bare=NOT_NEAR),
            id="by host",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)])),
            [pod("db", "a", namespace="other")],
            verdicts(NOT_NEAR, NOT_NEAR, NOT_NEAR, NOT_NEAR),
            id="in the own namespace only",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE, namespaces=("other",))])),
            [pod("db", "a", namespace="other"), pod("db", "c")],
            verdicts(c=NOT_NEAR, bare=NOT_NEAR),
            id="or in those named",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE, namespace_selector=TEAM)])),
            [pod("db", "a", namespace="teamed"), pod("db", "c")],
            verdicts(c=NOT_NEAR, bare=NOT_NEAR),
            id="or in those selected",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE, namespace_selector=ANYWHERE)])),
            [pod("db", "c", namespace="other")],
            verdicts(NOT_NEAR, NOT_NEAR, "", NOT_NEAR),
            id="or in all",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE), pod_term("db")])),
            [pod("db", "a")],
            verdicts(b=NOT_NEAR, c=NOT_NEAR, bare=NOT_NEAR),
            id="near by all terms",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE), pod_term("cache", ZONE)])),
            [pod("db", "a"), pod("cache", "b")],
            verdicts(NOT_NEAR, NOT_NEAR, NOT_NEAR, NOT_NEAR),
            id="to a pod that meets all terms, not to one for each",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("web", ZONE)])),
            [],
            verdicts(bare=NOT_NEAR),
            id="the first of a group goes to any node that has the label",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("web", ZONE), pod_term("db", ZONE)])),
            [],
            verdicts(NOT_NEAR, NOT_NEAR, NOT_NEAR, NOT_NEAR),
            id="but only if it meets its own terms itself",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("web", ZONE)])),
            [pod("web", "c")],
            verdicts(NOT_NEAR, NOT_NEAR, "", NOT_NEAR),
            id="and the second follows it",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("web", ZONE)])),
            [pod("web", "bare")],
            verdicts(bare=NOT_NEAR),
            id="a first one where no domain is does not count",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(away=[pod_term("db", ZONE)])),
            [pod("db", "a")],
            verdicts(a=TOO_NEAR, b=TOO_NEAR),
            id="away from a pod, by zone; a node without zone is fine",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(away=[pod_term("db")])),
            [pod("db", "a")],
            verdicts(a=TOO_NEAR),
            id="by host",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(away=[pod_term("db", ZONE), pod_term("cache")])),
            [pod("db", "a"), pod("cache", "bare")],
            verdicts(a=TOO_NEAR, b=TOO_NEAR, bare=TOO_NEAR),
            id="away from each term's pods",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(away=[pod_term("web")])),
            [],
            verdicts(),
            id="a pod does not keep away from itself",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "a", pod_affinity(away=[pod_term("web", ZONE)]))],
            verdicts(a=KEPT_AWAY, b=KEPT_AWAY),
            id="kept away by a placed pod",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "a", pod_affinity(away=[pod_term("cache", ZONE)]))],
            verdicts(),
            id="which means another one",
        ),
        pytest.param(
            pod("web", namespace="teamed"),
            [pod("db", "a", pod_affinity(away=[pod_term("web", ZONE, namespace_selector=TEAM)]))],
            verdicts(a=KEPT_AWAY, b=KEPT_AWAY),
            id="which selects this namespace",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "bare", pod_affinity(away=[pod_term("web", ZONE)]))],
            verdicts(),
            id="whose node is in no domain",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)], away=[pod_term("db")])),
            [pod("db", "a", pod_affinity(away=[pod_term("web")])), pod("db", "c", name="second")],
            verdicts(a=TOO_NEAR, c=TOO_NEAR, bare=NOT_NEAR),
            id="of several reasons affinity goes first, then anti-affinity",
        ),
        pytest.param(
            pod(
                "web", affinity=pod_affinity(rather_near={pod_term("db"): 1}, rather_away={pod_term("db"): 1})
            ),
            [pod("db", "a", pod_affinity(rather_away={pod_term("web"): 1}))],
            verdicts(),
            id="wishes refuse nothing",
        ),
    ],
)
def test_required_terms(wanted: Pod, placed: list[Pod], expected: Mapping[str, str]) -> None:
    asked = Asked(InterPodAffinity, NODES, placed, namespaces={"teamed": {"team": "x"}})
    assert asked.messages(wanted) == expected


@pytest.mark.parametrize("operator", ["NotIn", "DoesNotExist"])
def test_change_4_a_selector_of_namespaces_without_a_label_selects_only_those(operator: str) -> None:
    values = ("x",) if operator == "NotIn" else ()
    others = LabelSelector(Labels(), (LabelRequirement("team", operator, values),))
    asked = Asked(
        InterPodAffinity,
        NODES,
        [pod("db", "a", namespace="teamed"), pod("db", "c", namespace="plain")],
        namespaces={"teamed": {"team": "x"}, "plain": {}},
    )
    wanted = pod("web", affinity=pod_affinity(near=[pod_term("db", namespace_selector=others)]))
    assert asked.messages(wanted) == verdicts(NOT_NEAR, NOT_NEAR, "", NOT_NEAR)


def test_pods_on_nodes_that_are_gone_neither_attract_nor_repel() -> None:
    asked = Asked(InterPodAffinity, NODES, [pod("db", "gone", pod_affinity(away=[pod_term("web", ZONE)]))])
    assert asked.messages(pod("web")) == verdicts()
    near = pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)]))
    assert set(asked.messages(near).values()) == {NOT_NEAR}


def test_a_node_that_changes_its_zone_takes_its_pods_along() -> None:
    asked = Asked(InterPodAffinity, NODES, [pod("db", "a")])
    near = pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)]))
    assert asked.messages(near) == verdicts(c=NOT_NEAR, bare=NOT_NEAR)
    asked.cache.put_node(make_node("a", labels={ZONE: "z2"}))
    assert asked.messages(near) == verdicts(b=NOT_NEAR, bare=NOT_NEAR)


@pytest.mark.parametrize(
    ("wanted", "placed", "args", "expected"),
    [
        pytest.param(pod("web"), [pod("db", "a")], {}, (), id="no terms anywhere"),
        pytest.param(
            pod("web", affinity=pod_affinity(rather_near={pod_term("db", ZONE): 5})),
            [pod("db", "a")],
            {},
            (100, 100, 0, 0),
            id="rather near",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(rather_away={pod_term("db", ZONE): 5})),
            [pod("db", "a")],
            {},
            (0, 0, 100, 100),
            id="rather away",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(rather_near={pod_term("db", ZONE): 5})),
            [pod("db", "bare")],
            {},
            (0, 0, 0, 0),
            id="nodes without a zone are near to nothing, not even to themselves",
        ),
        pytest.param(
            pod(
                "web",
                affinity=pod_affinity(rather_near={pod_term("db", ZONE): 4}, rather_away={pod_term("db"): 2}),
            ),
            [pod("db", "a"), pod("db", "c", name="second"), pod("db", "c", name="third")],
            {},
            (50, 100, 100, 0),
            id="each pod counts, each term with its weight",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(rather_near={pod_term("none"): 5})),
            [pod("db", "a")],
            {},
            (0, 0, 0, 0),
            id="all alike",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "a", pod_affinity(rather_near={pod_term("web", ZONE): 5}))],
            {},
            (100, 100, 0, 0),
            id="a placed pod's wish counts as well",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "a", pod_affinity(rather_away={pod_term("web"): 5}))],
            {},
            (0, 100, 100, 100),
            id="and its dislike",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "c", pod_affinity(near=[pod_term("web", ZONE)]))],
            {},
            (0, 0, 100, 0),
            id="a placed pod's need is a wish of weight 1",
        ),
        pytest.param(
            pod("web"),
            [
                pod("db", "c", pod_affinity(near=[pod_term("web")])),
                pod("x", "a", pod_affinity(rather_near={pod_term("web"): 4})),
            ],
            {"hardPodAffinityWeight": 2},
            (100, 0, 50, 0),
            id="or of the configured one",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "c", pod_affinity(near=[pod_term("web", ZONE)]))],
            {"hardPodAffinityWeight": 0},
            (),
            id="or none",
        ),
        pytest.param(
            pod("web"),
            [pod("db", "a", pod_affinity(rather_near={pod_term("web", ZONE): 5}))],
            {"ignorePreferredTermsOfExistingPods": True},
            (),
            id="unless that is switched off",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(rather_near={pod_term("x"): 5})),
            [pod("db", "c", pod_affinity(rather_near={pod_term("web", ZONE): 5}))],
            {"ignorePreferredTermsOfExistingPods": True},
            (0, 0, 100, 0),
            id="for pods without wishes of their own",
        ),
        pytest.param(
            pod("web", affinity=pod_affinity(rather_near={pod_term("db", ZONE, namespace_selector=TEAM): 5})),
            [pod("db", "a"), pod("db", "c", namespace="teamed")],
            {},
            (0, 0, 100, 0),
            id="in selected namespaces",
        ),
    ],
)
def test_wishes_rank_nodes(
    wanted: Pod, placed: list[Pod], args: Mapping[str, Any], expected: tuple[int, ...]
) -> None:
    asked = Asked(InterPodAffinity, NODES, placed, args=args, namespaces={"teamed": {"team": "x"}})
    assert tuple(asked.scores(wanted).values()) == expected


NEAR_DB = pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)]), name="p")
AWAY_DB = pod("web", affinity=pod_affinity(away=[pod_term("db", ZONE)]), name="p")
PLAIN = pod("web", name="p")


@pytest.mark.parametrize(
    ("waiting", "old", "new", "hint"),
    [
        pytest.param(NEAR_DB, None, pod("db", "a"), Hint.QUEUE, id="the wanted neighbour comes"),
        pytest.param(NEAR_DB, None, pod("cache", "a"), Hint.SKIP, id="another one comes"),
        pytest.param(NEAR_DB, None, pod("db", "a", namespace="other"), Hint.SKIP, id="in another namespace"),
        pytest.param(NEAR_DB, pod("db", "a"), None, Hint.SKIP, id="the wanted neighbour goes"),
        pytest.param(
            NEAR_DB, pod("x", "a", name="n"), pod("db", "a", name="n"), Hint.QUEUE, id="one becomes it"
        ),
        pytest.param(
            NEAR_DB, pod("db", "a", name="n"), pod("x", "a", name="n"), Hint.SKIP, id="one ceases to be it"
        ),
        pytest.param(AWAY_DB, pod("db", "a"), None, Hint.QUEUE, id="the unwanted neighbour goes"),
        pytest.param(AWAY_DB, None, pod("db", "a"), Hint.SKIP, id="the unwanted neighbour comes"),
        pytest.param(AWAY_DB, pod("x", "a"), None, Hint.SKIP, id="another one goes"),
        pytest.param(
            AWAY_DB, pod("db", "a", name="n"), pod("x", "a", name="n"), Hint.QUEUE, id="it becomes another"
        ),
        pytest.param(
            AWAY_DB, pod("x", "a", name="n"), pod("db", "a", name="n"), Hint.SKIP, id="another becomes it"
        ),
        pytest.param(
            PLAIN,
            pod("db", "a", pod_affinity(away=[pod_term("web", ZONE)])),
            None,
            Hint.QUEUE,
            id="who kept it away goes",
        ),
        pytest.param(
            PLAIN,
            pod("db", "a", pod_affinity(away=[pod_term("x", ZONE)])),
            None,
            Hint.SKIP,
            id="who kept others away",
        ),
        pytest.param(PLAIN, pod("db", "a"), None, Hint.SKIP, id="who kept nobody away"),
    ],
)
def test_which_pods_help(waiting: Pod, old: Pod | None, new: Pod | None, hint: Hint) -> None:
    event = ASSIGNED_POD_ADD if old is None else ASSIGNED_POD_DELETE if new is None else pod_update(old, new)
    assert Asked(InterPodAffinity).hint(event, waiting, old, new) is hint


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        pytest.param("db", None, Hint.QUEUE, id="one that any term keeps away goes"),
        pytest.param("x", None, Hint.SKIP, id="one that none keeps away goes"),
        pytest.param("db", "x", Hint.QUEUE, id="no term keeps it away any more"),
        pytest.param("db", "cache", Hint.SKIP, id="another term keeps it away now"),
    ],
)
def test_change_17_of_several_terms_any_counts(old: str, new: str | None, hint: Hint) -> None:
    waiting = pod(
        "web", affinity=pod_affinity(away=[pod_term("db", ZONE), pod_term("cache", ZONE)]), name="p"
    )
    before, after = pod(old, "a", name="n"), None if new is None else pod(new, "a", name="n")
    event = ASSIGNED_POD_DELETE if after is None else pod_update(before, after)
    assert Asked(InterPodAffinity).hint(event, waiting, before, after) is hint


def test_new_labels_of_the_pod_itself_help() -> None:
    old, new = pod("web", name="p"), pod("db", name="p")
    assert Asked(InterPodAffinity).hint(pod_update(old, new), old, old, new) is Hint.QUEUE


NEAR_IN_TWO_DOMAINS = pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE), pod_term("db", "rack")]))
NEAR_AND_AWAY = pod("web", affinity=pod_affinity(near=[pod_term("db", ZONE)], away=[pod_term("x")]))
Z1, Z2, BARE = make_node("n", labels={ZONE: "z1"}), make_node("n", labels={ZONE: "z2"}), make_node("n")


@pytest.mark.parametrize(
    ("waiting", "old", "new", "hint"),
    [
        pytest.param(NEAR_DB, None, Z1, Hint.QUEUE, id="a new node in a zone"),
        pytest.param(NEAR_DB, None, BARE, Hint.SKIP, id="a new node in none"),
        pytest.param(NEAR_IN_TWO_DOMAINS, None, Z1, Hint.QUEUE, id="a new node in one of two domains"),
        pytest.param(NEAR_AND_AWAY, None, BARE, Hint.QUEUE, id="near and away: a new node in none"),
        pytest.param(NEAR_DB, BARE, Z1, Hint.QUEUE, id="a node gets a zone"),
        pytest.param(NEAR_DB, Z1, Z2, Hint.QUEUE, id="a node changes its zone"),
        pytest.param(
            NEAR_DB, Z1, make_node("n", labels={ZONE: "z1", "x": "y"}), Hint.SKIP, id="or something else"
        ),
        pytest.param(AWAY_DB, None, Z1, Hint.QUEUE, id="away: a new node"),
        pytest.param(AWAY_DB, None, BARE, Hint.QUEUE, id="away: a new node without a zone takes any pod"),
        pytest.param(AWAY_DB, Z1, BARE, Hint.QUEUE, id="away: a node loses its zone"),
        pytest.param(AWAY_DB, Z1, Z2, Hint.QUEUE, id="away: a node changes its zone"),
        pytest.param(
            AWAY_DB, Z1, make_node("n", labels={ZONE: "z1", "x": "y"}), Hint.SKIP, id="away: something else"
        ),
        pytest.param(AWAY_DB, BARE, Z1, Hint.SKIP, id="away: a node without a zone took any pod before"),
        pytest.param(NEAR_DB, Z1, BARE, Hint.SKIP, id="a node without a zone takes no pod"),
        pytest.param(PLAIN, None, BARE, Hint.QUEUE, id="kept away by others: a new node"),
        pytest.param(PLAIN, Z1, Z2, Hint.QUEUE, id="kept away by others: a node changes any label"),
    ],
)
def test_which_nodes_help(waiting: Pod, old: Node | None, new: Node, hint: Hint) -> None:
    event = NODE_ADD if old is None else node_update(old, new)
    assert event is not None
    assert Asked(InterPodAffinity).hint(event, waiting, old, new) is hint


def test_thousands_of_terms_by_one_topology_key_are_one_count() -> None:
    asked = Asked(InterPodAffinity, NODES, [pod("db", "a"), pod("x", "c")])
    many = [*(pod_term(f"none-{number}") for number in range(3000)), pod_term("db"), pod_term("db", ZONE)]
    assert asked.messages(pod("web", affinity=pod_affinity(away=many))) == verdicts(a=TOO_NEAR, b=TOO_NEAR)
    liked = {pod_term(f"none-{number}"): 7 for number in range(3000)} | {pod_term("db"): 5, pod_term("x"): 1}
    scores = asked.scores(pod("web", affinity=pod_affinity(rather_near=liked)))
    assert scores == {"a": 100, "b": 0, "c": 20, "bare": 0}
    assert len(asked.cache._live.counters._tallies) < 10


def test_terms_by_topology_keys_that_no_node_has_are_not_counted() -> None:
    asked = Asked(InterPodAffinity, NODES, [pod("db", "a")])
    away = [pod_term("db", f"key-{number}") for number in range(MOST_KEYS + 1)]
    liked = {pod_term("db", f"key-{number}"): 5 for number in range(MOST_KEYS + 1)}
    wanted, snapshot = pod("web", affinity=pod_affinity(away=away, rather_near=liked)), asked.cache.snapshot
    assert asked.plugin.pre_filter(CycleState(), PodInfo(wanted), snapshot) == (None, SUCCESS)
    assert not list(asked.plugin.counted(PodInfo(wanted), snapshot))
    assert asked.messages(wanted) == verdicts()
    assert not set(asked.scores(pod("web", affinity=pod_affinity(rather_near=liked))).values()) - {0}
    assert not len(asked.cache._live.counters._tallies)


@pytest.mark.parametrize(("keys", "refused"), [(MOST_KEYS, False), (MOST_KEYS + 1, True)])
def test_a_pod_whose_terms_are_by_too_many_topology_keys_is_refused(keys: int, *, refused: bool) -> None:
    nodes = [make_node("n", labels={f"key-{number}": "v" for number in range(keys)})]
    cache = Asked(InterPodAffinity, nodes).cache
    away = [pod_term("db", f"key-{number}") for number in range(keys - 1)]
    wanted = pod("web", affinity=pod_affinity(away=away, rather_near={pod_term("x", f"key-{keys - 1}"): 5}))
    plugin = Asked(InterPodAffinity, nodes).plugin
    _, status = plugin.pre_filter(CycleState(), PodInfo(wanted), cache.snapshot)
    assert status.rejected is refused
    assert bool(list(plugin.counted(PodInfo(wanted), cache.snapshot))) is not refused
    if refused:
        assert status.message == (
            "the pod's affinity terms are by more than 250 topology keys that nodes have, and no more are "
            "supported"
        )


@pytest.mark.parametrize(("terms", "hint"), [(64, Hint.SKIP), (65, Hint.QUEUE)])
def test_where_there_is_much_to_compare_any_pod_that_goes_helps(terms: int, hint: Hint) -> None:
    asked = Asked(InterPodAffinity, NODES)
    waiting = pod("web", affinity=pod_affinity(away=[pod_term(f"none-{number}") for number in range(terms)]))
    gone = pod("other", "a")
    assert asked.hint(ASSIGNED_POD_DELETE, waiting, gone, None) is hint
    assert asked.hint(ASSIGNED_POD_DELETE, gone, waiting, None) is hint
