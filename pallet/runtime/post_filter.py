"""The extension point PostFilter: what can be done about a pod that fits nowhere."""

from collections.abc import Sequence

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import Filters, Refusal
from pallet.framework.state import CycleState
from pallet.framework.status import Code, Status, unschedulable
from pallet.runtime.metrics_recorder import POST_FILTER, UNRECORDED, MetricsRecorder
from pallet.runtime.profile import Profile


def run_post_filters(
    profile: Profile,
    state: CycleState,
    info: PodInfo,
    snapshot: Snapshot,
    refusals: Sequence[Refusal],
    filters: Filters,
    recorder: MetricsRecorder = UNRECORDED,
) -> tuple[str | None, Status]:
    """Ask the plugins in order until one has success or finds the pod unresolvable, as kube-scheduler does.

    The node to nominate, with a status of success. Otherwise the empty name where an earlier nomination is to
    be taken back and None where it stands, with all that is to be said about it.
    """
    nominated: str | None = None
    reasons: list[str] = []
    for plugin in profile.post_filter:
        post_filter = plugin.post_filter
        if state.sampled:
            post_filter = recorder.executed(POST_FILTER, plugin.name, post_filter)
        node, status = post_filter(state, info, snapshot, refusals, filters)
        if status.ok or status.code is Code.UNSCHEDULABLE_AND_UNRESOLVABLE:
            return node, status.by(plugin.name)
        if not status.rejected:
            return None, status.by(plugin.name)
        if node is not None:
            nominated = node
        reasons += filter(None, status.reasons)
    return nominated, unschedulable(*reasons)
