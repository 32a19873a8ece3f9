import copy
import gc
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api import labels as module
from pallet.api.labels import NO_LABELS, Labels

mappings = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=4)


@given(mappings, mappings)
def test_equal_labels_are_one_object(one: dict[str, str], other: dict[str, str]) -> None:
    assert (Labels(one) is Labels(other)) == (one == other)
    assert Labels(reversed(one.items())) is Labels(one)
    assert Labels(one) == one


@given(mappings)
def test_labels_hash_with_what_they_equal(mapping: dict[str, str]) -> None:
    labels = Labels(mapping)
    assert hash(labels) == hash(Labels(dict(mapping)))
    assert {labels: 1}[Labels(mapping)] == 1


def test_no_labels_is_the_empty_one() -> None:
    assert Labels() is NO_LABELS
    assert Labels({}) is NO_LABELS


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels.__setitem__("a", "2"),
        lambda labels: labels.__delitem__("a"),
        lambda labels: labels.update(a="2"),
        lambda labels: labels.pop("a"),
        lambda labels: labels.popitem(),
        lambda labels: labels.setdefault("b", "2"),
        lambda labels: labels.clear(),
        lambda labels: labels.__ior__({"b": "2"}),
        lambda labels: labels.fromkeys(["a"], "2"),
    ],
)
def test_labels_refuse_every_change(change: object) -> None:
    labels = Labels({"a": "1"})
    assert callable(change)
    with pytest.raises(TypeError, match="immutable"):
        change(labels)
    assert dict(labels) == {"a": "1"}
    assert dict(NO_LABELS) == {}


def test_merging_gives_a_plain_dictionary_that_may_be_changed() -> None:
    merged = Labels({"a": "1"}) | {"b": "2"}
    merged["c"] = "3"
    assert merged == {"a": "1", "b": "2", "c": "3"}


def test_copies_are_the_same_object() -> None:
    labels = Labels({"a": "1"})
    assert pickle.loads(pickle.dumps(labels)) is labels  # noqa: S301 - its own bytes
    assert copy.deepcopy(labels) is labels
    assert copy.copy(labels) is labels


def test_labels_are_encoded_as_an_object() -> None:
    assert msgspec.json.encode(Labels({"a": "1"})) == b'{"a":"1"}'


def test_labels_that_nobody_holds_are_forgotten() -> None:
    labels = Labels({"held": "by nobody"})
    key = tuple(labels.items())
    assert key in module._interned
    del labels
    gc.collect()
    assert key not in module._interned
