"""The recording that other tests judge by."""

import threading

import pytest

from tests.e2e.history import recording
from tests.e2e.workload import Workload, eventually

pytestmark = pytest.mark.e2e

RECORDINGS = 20


@pytest.mark.usefixtures("pallet")  # so that what is recorded is served
def test_a_recording_ends_in_the_midst_of_changes(workload: Workload) -> None:
    """Each is ended while the watch has a change to read: no garbled line is taken for one."""
    workload.add_pods("a", schedulingGates=[{"name": "example.com/stays"}])
    ended = threading.Event()

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            note = {"example.com/note": f"{number} {'x' * 20_000}"}
            workload.request("PATCH", f"{workload.pods_path}/a", {"metadata": {"annotations": note}})

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(RECORDINGS):
            with recording(workload) as history:
                eventually("a change", history.changes.copy)
    finally:
        ended.set()
        changing.join()
    assert workload.request("GET", f"{workload.pods_path}/a")["metadata"]["annotations"]
