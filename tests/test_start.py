"""The first step of the process."""

import os
import signal
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from pallet.__main__ import main


@pytest.fixture
def ignored() -> Iterator[None]:
    """As the first process of a container has it: without a handler SIGTERM does nothing."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("ignored")
def test_asked_to_end_while_it_loads_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setitem(sys.modules, "pallet.cli.main", SimpleNamespace(main=run))
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 128 + signal.SIGTERM
