from pallet.framework.state import CycleState


def test_what_is_written_can_be_read() -> None:
    state = CycleState()
    assert state.read("A/x") is None
    state.write("A/x", 1)
    assert state.read("A/x") == 1


def test_a_plugin_leaves_out_its_score_alone() -> None:
    state = CycleState()
    state.skip_score("A")
    assert state.skipped == {"score": {"A"}, "filter": set()}
