from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pallet.informers.lines import LineSplitter

LINES = st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line))


@given(lines=LINES, cuts=st.lists(st.integers(0, 200)), rest=st.sampled_from([b"", b"cut off"]))
def test_lines_come_out_whole_however_they_are_cut(lines: list[bytes], cuts: list[int], rest: bytes) -> None:
    stream = b"".join(line + b"\n" for line in lines) + rest
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    splitter = LineSplitter()
    found = [line for start, end in pairwise(edges) for line in splitter.feed(stream[start:end])]
    assert found == lines


def test_empty_lines_are_left_out() -> None:
    assert LineSplitter().feed(b"\na\n\n\nb\n") == [b"a", b"b"]
