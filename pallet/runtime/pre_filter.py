"""The extension point PreFilter: which nodes need to be looked at for a pod, and which filters."""

from typing import NamedTuple

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.diagnosis import nothing_left
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, PluginError, Status
from pallet.runtime.metrics_recorder import PRE_FILTER, MetricsRecorder, timed
from pallet.runtime.pod_limits import NAME as LIMITS
from pallet.runtime.pod_limits import check_limits
from pallet.runtime.profile import Profile


class PreFilterResult(NamedTuple):
    """The only nodes to look at, None for all, or else a refusal; and the plugins that said so."""

    nodes: frozenset[str] | None
    plugins: tuple[str, ...] = ()
    refusal: Status | None = None


_ALL_NODES = PreFilterResult(None)


class PreFilters:
    """The pre-filter plugins of one profile."""

    def __init__(self, profile: Profile, recorder: MetricsRecorder) -> None:
        self._recorder = recorder
        self._plugins = timed(PRE_FILTER, ((p.name, p.pre_filter) for p in profile.pre_filter), recorder)

    def run(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        """Ask the plugins in order. Raises PluginError when one answers with an error."""
        self._recorder.begin()
        within = check_limits(info)
        if within.rejected:
            return PreFilterResult(None, (LIMITS,), within)
        found = self._ask(state, info, snapshot)
        self._recorder.pre_filtered(found.refusal or SUCCESS)
        return found

    def _ask(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        nodes: frozenset[str] | None = None
        narrowed_by: tuple[str, ...] = ()
        refused: tuple[str, Status] | None = None
        for plugin, pre_filter, evaluations in self._plugins[state.sampled]:
            names, status = pre_filter(state, info, snapshot)
            if status.code is Code.SKIP:
                state.skipped["filter"].add(plugin)
                continue
            evaluations.inc()
            if status.code is Code.UNSCHEDULABLE:
                refused = plugin, status  # preemption may help, and needs what the others prepare
                continue
            if status.rejected:
                return PreFilterResult(None, (plugin,), status)
            if not status.ok:
                raise PluginError(plugin, status.message)
            if names is not None:
                narrowed_by = (*narrowed_by, plugin)
                nodes = names if nodes is None else nodes & names
                if not nodes:
                    return PreFilterResult(nodes, narrowed_by, nothing_left(narrowed_by))
        if refused is not None:
            return PreFilterResult(None, (refused[0], *narrowed_by), refused[1])
        return PreFilterResult(nodes, narrowed_by) if narrowed_by else _ALL_NODES
