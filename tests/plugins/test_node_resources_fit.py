"""Verdicts and hints of NodeResourcesFit."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.labels import Labels
from pallet.api.node import Node
from pallet.api.pod import Container, Pod, ResourceRequirements
from pallet.framework.events import (
    ASSIGNED_POD_ADD,
    ASSIGNED_POD_DELETE,
    NODE_ADD,
    Hint,
    node_update,
    pod_update,
)
from pallet.plugins import node_resources_fit
from pallet.plugins.node_resources_fit import NodeResourcesFit
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked

GPU, NIC = "example.com/gpu", "example.com/nic"


def asking(**requests: str) -> Pod:
    names = {"gpu": GPU, "nic": NIC, "storage": "ephemeral-storage"}
    return make_pod("p", requests={names.get(key, key): each for key, each in requests.items()})


@pytest.mark.parametrize(
    ("used", "wanted", "message"),
    [
        pytest.param({"cpu": "4"}, asking(), "", id="nothing wanted"),
        pytest.param({"cpu": "3"}, asking(cpu="1"), "", id="just enough"),
        pytest.param({"cpu": "3500m"}, asking(cpu="501m"), "Insufficient cpu", id="a little too much"),
        pytest.param({"memory": "16Gi"}, asking(memory="1"), "Insufficient memory", id="memory"),
        pytest.param({}, asking(cpu="5"), "!Insufficient cpu", id="more than the node has"),
        pytest.param(
            {"cpu": "4"}, asking(cpu="1", memory="17Gi"), "!Insufficient cpu, Insufficient memory", id="both"
        ),
        pytest.param({}, asking(storage="1Gi"), "!Insufficient ephemeral-storage", id="storage"),
        pytest.param({GPU: "2"}, asking(gpu="1"), f"Insufficient {GPU}", id="an extended resource"),
        pytest.param({}, asking(gpu="3"), f"!Insufficient {GPU}", id="more of it than there is"),
        pytest.param({}, asking(nic="1"), f"!Insufficient {NIC}", id="one that nobody knows"),
        pytest.param({"cpu": "9"}, asking(memory="1"), "", id="overcommitted, but not asked for"),
        pytest.param({"cpu": "9"}, asking(cpu="0"), "", id="asking for zero is asking for nothing"),
    ],
)
def test_a_node_takes_what_fits_beside_the_pods_on_it(
    used: Mapping[str, str], wanted: Pod, message: str
) -> None:
    holder = make_pod("holder", node="a", requests=used)
    asked = Asked(NodeResourcesFit, [make_node("a", offers={GPU: "2"})], [holder])
    assert asked.messages(wanted) == {"a": message}


@pytest.mark.parametrize(
    ("pods", "wanted", "message"),
    [
        (2, asking(), ""),
        (1, asking(), "Too many pods"),
        (1, asking(cpu="4"), "Too many pods, Insufficient cpu"),
        (0, asking(cpu="5"), "!Too many pods, Insufficient cpu"),
    ],
)
def test_a_node_takes_so_many_pods_and_no_more(pods: int, wanted: Pod, message: str) -> None:
    asked = Asked(NodeResourcesFit, [make_node("a", pods=pods)], [make_pod("holder", node="a", cpu="1")])
    assert asked.messages(wanted) == {"a": message}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, f"!Insufficient {GPU}, Insufficient {NIC}"),
        ({"ignoredResources": [GPU]}, f"!Insufficient {NIC}"),
        ({"ignoredResourceGroups": ["example.com"]}, ""),
        (
            {"ignoredResources": ["cpu"], "ignoredResourceGroups": ["cpu"]},
            f"!Insufficient {GPU}, Insufficient {NIC}",
        ),
    ],
)
def test_extended_resources_may_be_ignored(args: Mapping[str, Any], message: str) -> None:
    assert Asked(NodeResourcesFit, [make_node("a")], args=args).messages(asking(gpu="1", nic="1")) == {
        "a": message
    }


def test_ignoring_does_not_reach_cpu() -> None:
    args = {"ignoredResources": ["cpu"], "ignoredResourceGroups": ["cpu"]}
    assert Asked(NodeResourcesFit, [make_node("a")], args=args).messages(asking(cpu="5")) == {
        "a": "!Insufficient cpu"
    }


@pytest.mark.parametrize(
    ("old", "new", "wanted", "hint"),
    [
        (None, make_node("a"), asking(cpu="4"), Hint.QUEUE),
        (None, make_node("a"), asking(cpu="5"), Hint.SKIP),
        (None, make_node("a", pods=0), asking(), Hint.SKIP),
        (None, make_node("a"), asking(gpu="1"), Hint.SKIP),
        (make_node("a"), make_node("a", cpu="5"), asking(cpu="5"), Hint.QUEUE),
        (make_node("a"), make_node("a", cpu="5"), asking(memory="1"), Hint.SKIP),
        (make_node("a"), make_node("a", cpu="3"), asking(cpu="1"), Hint.SKIP),
        (make_node("a"), make_node("a", pods=111), asking(), Hint.QUEUE),
        (make_node("a"), make_node("a", offers={GPU: "1"}), asking(gpu="1"), Hint.QUEUE),
        (make_node("a"), make_node("a", offers={GPU: "1"}), asking(gpu="2"), Hint.SKIP),
        (make_node("a"), make_node("a", labels={"x": "y"}), asking(cpu="1"), Hint.SKIP),
    ],
)
def test_which_nodes_help(old: Node | None, new: Node, wanted: Pod, hint: Hint) -> None:
    event = NODE_ADD if old is None else node_update(old, new)
    assert event is not None
    assert Asked(NodeResourcesFit).hint(event, wanted, old, new) is hint


def test_an_ignored_resource_keeps_no_node_from_helping() -> None:
    asked = Asked(NodeResourcesFit, args={"ignoredResources": [GPU]})
    assert asked.hint(NODE_ADD, asking(gpu="1"), None, make_node("a")) is Hint.QUEUE


def test_a_pod_that_goes_helps_and_one_that_comes_does_not() -> None:
    asked, other = Asked(NodeResourcesFit), make_pod("q", node="a")
    assert asked.hint(ASSIGNED_POD_DELETE, asking(cpu="1"), other, None) is Hint.QUEUE
    assert asked.hint(ASSIGNED_POD_ADD, asking(cpu="1"), None, other) is Hint.SKIP


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        (make_pod("q", node="a", cpu="2"), make_pod("q", node="a", cpu="1"), Hint.QUEUE),
        (make_pod("q", node="a", cpu="1"), make_pod("q", node="a", cpu="2"), Hint.SKIP),
        (
            make_pod("q", node="a", requests={"cpu": "1", "memory": "2"}),
            make_pod("q", node="a", requests={"cpu": "1", "memory": "1"}),
            Hint.SKIP,
        ),
        (
            make_pod("q", node="a", requests={"cpu": "1", "memory": "1"}),
            make_pod("q", node="a", requests={"memory": "1"}),
            Hint.QUEUE,
        ),
    ],
)
def test_a_pod_that_shrinks_helps_by_what_is_wanted(old: Pod, new: Pod, hint: Hint) -> None:
    assert Asked(NodeResourcesFit).hint(pod_update(old, new), asking(cpu="1"), old, new) is hint


@pytest.mark.parametrize(
    ("offers", "args", "wanted", "hint"),
    [
        ({}, {}, asking(gpu="1"), Hint.SKIP),
        ({GPU: "1"}, {}, asking(gpu="1"), Hint.QUEUE),
        ({}, {"ignoredResources": [GPU]}, asking(gpu="1"), Hint.QUEUE),
        ({}, {}, asking(memory="8Ei"), Hint.SKIP),
        ({}, {}, asking(memory="8Pi"), Hint.QUEUE),
    ],
)
def test_a_pod_that_goes_does_not_help_one_that_asks_for_what_no_node_can_have(
    offers: Mapping[str, str], args: Mapping[str, Any], wanted: Pod, hint: Hint
) -> None:
    asked = Asked(NodeResourcesFit, [make_node("a", offers=offers)], args=args)
    assert asked.hint(ASSIGNED_POD_DELETE, wanted, make_pod("q", node="a"), None) is hint


def test_the_pod_itself_shrinking_helps() -> None:
    old, new = make_pod("p", cpu="2"), make_pod("p", cpu="1")
    assert Asked(NodeResourcesFit).hint(pod_update(old, new), old, old, new) is Hint.QUEUE


FORTY = {f"example.com/r{number:02}": "1" for number in range(40)}


def insufficient(*names: str) -> str:
    return ", ".join(f"Insufficient {name}" for name in names)


@pytest.mark.parametrize("lacking", [0, 28, 29, 30, 31, 38, 39])
def test_however_many_resources_a_pod_asks_for_all_are_checked(lacking: int) -> None:
    name = list(FORTY)[lacking]
    nodes = [
        make_node("free", offers=FORTY),
        make_node("taken", offers=FORTY),
        make_node("without", offers={key: each for key, each in FORTY.items() if key != name}),
    ]
    asked = Asked(NodeResourcesFit, nodes, [make_pod("holder", node="taken", requests={name: "1"})])
    assert asked.messages(make_pod("p", requests=FORTY)) == {
        "free": "",
        "taken": insufficient(name),
        "without": f"!{insufficient(name)}",
    }


@pytest.mark.parametrize("count", [29, 30, 40, 200])
def test_all_resources_that_are_short_are_named_however_many(count: int) -> None:
    wanted = {f"example.com/r{number:03}": "1" for number in range(count)}
    asked = Asked(
        NodeResourcesFit, [make_node("a"), make_node("b", pods=0, offers=dict([*wanted.items()][3:]))]
    )
    assert asked.messages(make_pod("p", requests=wanted)) == {
        "a": f"!{insufficient(*wanted)}",
        "b": f"!Too many pods, {insufficient(*list(wanted)[:3])}",
    }


@given(
    st.lists(
        st.dictionaries(st.sampled_from(list(FORTY)), st.integers(0, 2), max_size=40), min_size=1, max_size=4
    ),
    st.lists(st.sampled_from(list(FORTY)), max_size=20, unique=True),
    st.lists(st.sampled_from(list(FORTY)), min_size=25, unique=True),
)
def test_the_rule_is_that_of_each_resource_by_itself(
    offers: list[dict[str, int]], held: list[str], wanted: list[str]
) -> None:
    nodes = [
        make_node(f"n{number}", offers={key: str(each) for key, each in offer.items()})
        for number, offer in enumerate(offers)
    ]
    holders = [
        make_pod(f"on-{node.metadata.name}", node=node.metadata.name, requests=dict.fromkeys(held, "1"))
        for node in nodes
    ]
    found = Asked(NodeResourcesFit, nodes, holders).messages(
        make_pod("p", requests=dict.fromkeys(wanted, "1"))
    )
    for number, offer in enumerate(offers):
        short = [key for key in sorted(wanted) if offer.get(key, 0) - (key in held) < 1]
        never = any(offer.get(key, 0) < 1 for key in wanted)
        assert found[f"n{number}"] == ("!" if never else "") + insufficient(*short)


def test_a_pod_may_ask_for_thousands_of_made_up_resources() -> None:
    made_up = {f"made-up/{number:04}": "1" for number in range(6000)}
    asked = Asked(NodeResourcesFit, [make_node("a")], [make_pod("bound", node="a", requests=made_up)])
    wanted = make_pod("p", requests={"cpu": "5", **made_up})
    assert asked.messages(wanted) == {"a": f"!{insufficient('cpu', *made_up)}"}
    assert asked.cache.snapshot.table.resources.offered == {"cpu", "memory", "ephemeral-storage", "pods"}
    assert asked.messages(asking(cpu="4")) == {"a": ""}


def test_what_no_node_offers_is_put_into_words_once_for_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    in_words = node_resources_fit._insufficient

    def counted(resource: str) -> str:
        said.append(resource)
        return in_words(resource)

    monkeypatch.setattr(node_resources_fit, "_insufficient", counted)
    made_up = {f"made-up/{number:04}": "1" for number in range(600)}
    nodes = [make_node("a"), make_node("b", cpu="8"), make_node("c", offers={"memory": "64Gi"})]
    wanted = make_pod("p", requests={"cpu": "6", "memory": "40Gi", **made_up})
    asked = Asked(NodeResourcesFit, nodes)
    asked.messages(wanted)  # puts to the test what the plugin declares
    said.clear()
    messages = asked.messages(wanted)
    assert messages["a"] == f"!{insufficient('cpu', *made_up, 'memory')}"
    assert messages["b"] == f"!{insufficient(*made_up, 'memory')}"
    assert messages["c"] == f"!{insufficient('cpu', *made_up)}"
    assert len(said) < 610


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"cpu": "9007199254740992m"}, "!Insufficient cpu"),
        ({"cpu": "9007199254740993m"}, "!node(s) cannot be asked for more than 9007199254740992m of cpu"),
        ({"memory": "8Ei"}, "!node(s) cannot be asked for more than 9007199254740992 of memory"),
        (
            dict.fromkeys(["cpu", "memory", GPU, NIC], "10E"),
            (
                f"!node(s) cannot be asked for more than 9007199254740992m of cpu, "
                f"9007199254740992 of {GPU}, 9007199254740992 of {NIC} and 1 other resource"
            ),
        ),
    ],
)
def test_a_pod_that_asks_for_more_than_is_counted_is_refused_in_words_of_its_own(
    requests: Mapping[str, str], message: str
) -> None:
    large = make_node("a", cpu="10E", offers=dict.fromkeys(["memory", GPU, NIC], "10E"))
    pod = make_pod("p", requests=requests)
    asked = Asked(NodeResourcesFit, [make_node("a")])
    assert asked.messages(pod) == {"a": message}
    if message != "!Insufficient cpu":
        assert Asked(NodeResourcesFit, [large]).messages(pod) == {"a": message}
        assert asked.hint(NODE_ADD, pod, None, large) is Hint.SKIP


def test_containers_may_add_up_to_more_than_is_counted() -> None:
    half = Container("c", resources=ResourceRequirements(Labels({"memory": "7E"})))
    pod = make_pod("p")
    pod = msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, containers=(half, half)))
    assert Asked(NodeResourcesFit, [make_node("a")]).messages(pod) == {
        "a": "!node(s) cannot be asked for more than 9007199254740992 of memory"
    }


@pytest.mark.parametrize("pods", [1, 2, 3, 600, 1025, 2048])
def test_pods_bound_by_hand_fill_their_node_however_much_they_ask_for(pods: int) -> None:
    nodes = [make_node("a", cpu="8", pods=9999), make_node("b", cpu="8")]
    huge = [make_pod(f"huge-{number}", node="a", requests={"cpu": "8E"}) for number in range(pods)]
    asked = Asked(NodeResourcesFit, nodes, huge)
    assert asked.messages(asking(cpu="5")) == {"a": "Insufficient cpu", "b": ""}
    assert asked.messages(asking(memory="1Gi")) == {"a": "", "b": ""}
    assert asked.scores(asking(cpu="5"))["a"] < asked.scores(asking(cpu="5"))["b"]
    for pod in huge:
        asked.cache.drop_pod(pod)
    assert asked.messages(asking(cpu="5")) == {"a": "", "b": ""}


@pytest.mark.parametrize("strategy", ["LeastAllocated", "MostAllocated"])
def test_the_largest_node_is_scored_on_the_common_scale(strategy: str) -> None:
    resources = [{"name": "cpu", "weight": 100}, {"name": "memory", "weight": 100}]
    args = {"scoringStrategy": {"type": strategy, "resources": resources}}
    huge = make_node("huge", cpu="9E", offers={"memory": "9E"})
    asked = Asked(
        NodeResourcesFit,
        [huge],
        [make_pod("p", node="huge", requests={"memory": "4503599627370496"})],
        args=args,
    )
    assert asked.scores(asking(cpu="1", memory="1")) == {"huge": 74 if strategy == "LeastAllocated" else 25}
