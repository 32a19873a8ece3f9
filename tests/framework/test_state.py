from pallet.framework.state import CycleState


def test_what_is_written_can_be_read() -> None:
    state = CycleState()
    assert state.read("A/x") is None
    state.write("A/x", 1)
    assert state.read("A/x") == 1


def test_a_clone_goes_its_own_way() -> None:
    state = CycleState()
    state.write("A/x", 1)
    state.skipped_filters.add("A")
    state.skipped_scores.add("A")
    twin = state.clone()
    twin.write("A/x", 2)
    twin.skipped_filters.add("B")
    twin.skipped_scores.clear()
    assert (state.read("A/x"), state.skipped_filters, state.skipped_scores) == (1, {"A"}, {"A"})
    assert (twin.read("A/x"), twin.skipped_filters, twin.skipped_scores) == (2, {"A", "B"}, set())
