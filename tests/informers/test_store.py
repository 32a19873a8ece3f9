import pytest

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.pod import Pod, PodSpec
from pallet.informers.store import Store


def pod(name: str, node: str = "", **labels: str) -> Pod:
    return Pod(ObjectMeta(name=name, namespace="x", labels=Labels(labels)), PodSpec(node_name=node))


def names(pods: object) -> list[str]:
    return [pod.metadata.name for pod in pods]  # type: ignore[attr-defined]  # any iterable of pods


def by_node(pod: Pod) -> tuple[str, ...]:
    return (pod.spec.node_name,) if pod.spec.node_name else ()


def test_objects_are_found_by_key() -> None:
    store: Store[Pod] = Store()
    assert store.put(pod("a")) is None
    assert store.get("x/a") == pod("a")
    assert store.get("x/b") is None
    assert "x/a" in store
    assert "x/b" not in store
    assert len(store) == 1


def test_put_gives_what_it_replaced_and_remove_what_was_there() -> None:
    store: Store[Pod] = Store()
    store.put(pod("a"))
    assert store.put(pod("a", "n")) == pod("a")
    assert store.remove("x/a") == pod("a", "n")
    assert store.remove("x/a") is None
    assert store.list() == []


@pytest.mark.parametrize("index_first", [True, False])
def test_an_index_follows_the_objects(*, index_first: bool) -> None:
    store: Store[Pod] = Store()
    if index_first:
        store.add_index("node", by_node)
    for each in (pod("a", "n"), pod("b", "n"), pod("c", "m"), pod("d")):
        store.put(each)
    if not index_first:
        store.add_index("node", by_node)
    assert names(store.by_index("node", "n")) == ["a", "b"]
    assert names(store.by_index("node", "m")) == ["c"]

    store.put(pod("a", "m"))
    assert names(store.by_index("node", "n")) == ["b"]
    assert names(store.by_index("node", "m")) == ["c", "a"]

    store.remove("x/b")
    assert names(store.by_index("node", "n")) == []


def test_an_object_may_have_several_values() -> None:
    store: Store[Pod] = Store()
    store.add_index("label", lambda pod: pod.metadata.labels.keys())
    store.put(pod("a", app="1", tier="2"))
    assert names(store.by_index("label", "app")) == names(store.by_index("label", "tier")) == ["a"]


def test_what_an_index_gave_does_not_change_with_the_store() -> None:
    store: Store[Pod] = Store()
    store.add_index("node", by_node)
    store.put(pod("a", "n"))
    found = store.by_index("node", "n")
    store.remove("x/a")
    assert names(found) == ["a"]


def test_an_unknown_index_and_a_taken_name_are_mistakes() -> None:
    store: Store[Pod] = Store()
    store.add_index("node", by_node)
    with pytest.raises(KeyError):
        store.by_index("nodes", "n")
    with pytest.raises(ValueError, match="'node' exists"):
        store.add_index("node", by_node)
