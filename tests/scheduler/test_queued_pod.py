from pallet.scheduler.queued_pod import QueuedPod
from tests.builders import make_pod


def test_what_is_derived_from_a_pod_is_derived_once_for_each_version() -> None:
    queued = QueuedPod(make_pod("p", cpu="1"), queued_at=0)
    first = queued.info
    assert queued.info is first
    newer = make_pod("p", cpu="2")
    queued.renew(newer)
    assert queued.pod is queued.info.pod is newer
    assert queued.info.requests != first.requests
