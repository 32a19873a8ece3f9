"""The heap against a sorted list."""

from hypothesis import given
from hypothesis import strategies as st

from pallet.scheduler.heap import Heap

NAMES = st.sampled_from("abcdefgh")
STEPS = st.lists(st.one_of(st.tuples(NAMES, st.integers(0, 5)), NAMES, st.none()), max_size=60)


@given(STEPS)
def test_it_is_a_list_sorted_by_key_and_entry(steps: list[tuple[str, int] | str | None]) -> None:
    heap: Heap[str] = Heap()
    model: list[tuple[int, int, str]] = []
    for order, step in enumerate(steps):
        if step is None:
            first = min(model, default=None)
            assert heap.first_key() == (first[0] if first else None)
            assert heap.pop() == (first[2] if first else None)
            if first:
                model.remove(first)
        elif isinstance(step, str):
            held = [entry for entry in model if entry[2] == step]
            assert heap.remove(step) == (step if held else None)
            model = [entry for entry in model if entry[2] != step]
        else:
            name, key = step
            heap.push(name, key, name)
            model = [entry for entry in model if entry[2] != name] + [(key, order, name)]
        assert len(heap) == len(model)
        assert set(heap) == {name for _, _, name in model}
        assert all(name in heap and heap.get(name) == name for _, _, name in model)


def test_replacing_an_item_again_and_again_takes_no_memory() -> None:
    heap: Heap[int] = Heap()
    for number in range(10_000):
        heap.push("a", -number, number)
    assert len(heap._entries) < 100
    assert heap.pop() == 9_999
    assert heap.pop() is None
