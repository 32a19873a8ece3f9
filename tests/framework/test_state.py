from pallet.framework.state import CycleState


def test_what_is_written_can_be_read() -> None:
    state = CycleState()
    assert state.read("A/x") is None
    state.write("A/x", 1)
    assert state.read("A/x") == 1
