"""Shared values live for as long as any object holds them."""

from typing import Any

import msgspec
import pytest

from pallet.api.codec import decoder
from pallet.api.pod import Pod
from pallet.bounded_cache import cache_sizes, footprint
from pallet.shared_values import BYTES_PER_LETTER, FIRST_SWEEP_BYTES, SharedValues, same

Key = tuple[str, int]


def listed(key: Key) -> list[Key]:
    return [key]


@pytest.fixture(params=[same, listed])
def table(request: pytest.FixtureRequest) -> SharedValues[Key, object]:
    return SharedValues(request.param.__name__, request.param)


def test_equal_keys_share_a_value(table: SharedValues[Key, object]) -> None:
    assert table["a", 1] is table["a", 1]
    assert table["a", 2] is not table["a", 1]


def test_a_sweep_leaves_what_is_held(table: SharedValues[Key, object]) -> None:
    held = [table["a", number] for number in range(10)]
    for number in range(10, 20):
        assert table["a", number]
    table.sweep()
    assert len(table) == 10
    assert [id(table["a", number]) for number in range(10)] == [id(each) for each in held]
    held.clear()
    table.age()
    assert (len(table), table.bytes) == (0, 0)


def test_what_nobody_holds_never_grows_beyond_the_limit(table: SharedValues[Key, object]) -> None:
    for number in range(3000):
        assert table["x" * 1000, number]
        assert table.bytes <= table.limit < FIRST_SWEEP_BYTES + 20_000  # pytest holds the last one
    assert cache_sizes()[table.name] == (table.bytes, table.limit)


def test_what_is_held_may_grow(table: SharedValues[Key, object]) -> None:
    held = [table["x" * 1000, number] for number in range(3000)]
    assert len(table) == len(held)
    assert table.bytes <= table.limit < 2 * table.bytes


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}}}] * 3},
        {
            "tolerations": [
                {"key": f"key-{n}", "operator": "Exists", "effect": "NoSchedule"} for n in range(9)
            ]
        },
        {
            "affinity": {
                "podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"topologyKey": "zone", "labelSelector": {"matchLabels": {f"app-{n}": "x"}}}
                        for n in range(100)
                    ]
                }
            }
        },
    ],
)
def test_the_letters_of_a_value_tell_its_bytes(spec: dict[str, Any]) -> None:
    pod = decoder(Pod)(msgspec.json.encode({"spec": spec}))
    value = pod.spec.containers or pod.spec.tolerations or pod.spec.affinity
    told = BYTES_PER_LETTER * len(msgspec.json.encode(value))
    assert 0.5 < footprint(value, told * 9) / told < 1.5
