"""The extension points from Reserve on: what plugins do with a pod whose place is assumed.

Plugins are timed here, and what they throw becomes an error that ends the pod's cycle, not the process. The
words of errors are kube-scheduler's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from traceback import format_exception
from typing import Final, Protocol, Self

import msgspec

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.reservation import Reservation
from pallet.framework.instruments import Histogram, Values
from pallet.framework.interface import PreBindPlugin
from pallet.framework.metrics import Metrics
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Code, Status, error
from pallet.framework.waiting import WaitingPod, WaitingPods
from pallet.logs import get_logger
from pallet.runtime.profile import Profile
from pallet.scheduler.queued_pod import QueuedPod

log = get_logger(__name__)

MAX_PERMIT_SECONDS = 900.0
"""A permit plugin may ask for more, but a pod waits no longer."""


PRE_FLIGHT: Final = "PreBindPreFlight"


class Assumed(msgspec.Struct, frozen=True):
    """A pod whose place is assumed, and what room was reserved for it before, if any."""

    profile: Profile
    state: CycleState
    queued: QueuedPod
    info: PodInfo
    node: str
    reserved: Reservation | None = None

    @property
    def pod(self) -> Pod:
        """The pod as it was when its place was assumed."""
        return self.info.pod


class BindingCycle:
    """Runs the plugins. What they throw never comes out of it."""

    def __init__(self, waiting: WaitingPods, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._waiting = waiting
        self._durations = metrics.framework_extension_point_duration_seconds
        self._executions = metrics.plugin_execution_duration_seconds
        self._waits = metrics.permit_wait_duration_seconds
        self._clock = clock

    def reserve(self, assumed: Assumed) -> Status:
        """Tell the reserve plugins, in order, until one refuses."""
        state, info, node = assumed.state, assumed.info, assumed.node
        started, status = self._clock(), SUCCESS
        for plugin in assumed.profile.reserve:
            with self._asking("Reserve", plugin, assumed) as answer:
                answer.status = plugin.reserve(state, info, node)
            status = answer.status
            if not status.ok:
                break
        self._observe("Reserve", status, assumed, started)
        return status

    def unreserve(self, assumed: Assumed) -> None:
        """Have all reserve plugins undo, in reverse order."""
        started = self._clock()
        for plugin in reversed(assumed.profile.reserve):
            with self._asking("Unreserve", plugin, assumed):
                plugin.unreserve(assumed.state, assumed.info, assumed.node)
        self._observe("Unreserve", SUCCESS, assumed, started)

    def permit(self, assumed: Assumed) -> Status:
        """Ask the permit plugins; WAIT where some want to wait: the pod is then among the waiting ones."""
        timeouts: dict[str, float] = {}
        started, status = self._clock(), SUCCESS
        for plugin in assumed.profile.permit:
            with self._asking("Permit", plugin, assumed) as answer:
                answer.status, seconds = plugin.permit(assumed.state, assumed.info, assumed.node)
            status = answer.status
            if status.code is Code.WAIT:
                timeouts[plugin.name] = min(seconds, MAX_PERMIT_SECONDS)
            elif not status.ok:
                break
        if timeouts and (status.ok or status.code is Code.WAIT):
            status = Status(Code.WAIT)
            self._waiting.add(WaitingPod(assumed.pod, assumed.node, timeouts))
        self._observe("Permit", status, assumed, started)
        return status

    def is_waiting(self, assumed: Assumed) -> bool:
        """Whether the pod waits for permission."""
        return self._waiting.get(assumed.pod.metadata.uid) is not None

    async def permission(self, assumed: Assumed) -> Status:
        """Wait until the permit plugins have let the pod go, or one refuses."""
        uid = assumed.pod.metadata.uid
        held_back = self._waiting.get(uid)
        if held_back is None:
            return SUCCESS
        started = self._clock()
        try:
            status = await held_back.wait()
        finally:
            self._waiting.remove(uid)
        self._waits[status.code.label].observe(self._clock() - started)
        return status

    def preparers(self, assumed: Assumed) -> Sequence[PreBindPlugin]:
        """The pre-bind plugins that have something to do for the pod."""
        started = self._clock()
        preparers = [plugin for plugin in assumed.profile.pre_bind if self._has_to_prepare(plugin, assumed)]
        self._observe(PRE_FLIGHT, SUCCESS if preparers else SKIP, assumed, started)
        if not preparers:  # then pre_bind is left out, which kube-scheduler counts as a success
            self._observe("PreBind", SUCCESS, assumed, self._clock())
        return preparers

    async def pre_bind(self, assumed: Assumed, preparers: Iterable[PreBindPlugin]) -> Status:
        """Have pre-bind plugins prepare what the pod needs, in order, until one fails."""
        started, status = self._clock(), SUCCESS
        for plugin in preparers:
            with self._asking("PreBind", plugin, assumed) as answer:
                answer.status = await plugin.pre_bind(assumed.state, assumed.info, assumed.node)
            status = answer.status
            if not status.ok:
                break
        self._observe("PreBind", status, assumed, started)
        return status

    async def bind(self, assumed: Assumed) -> Status:
        """Bind. Success means bound, anything else certainly not bound."""
        started = self._clock()
        status = Status(Code.SKIP)
        for plugin in assumed.profile.bind:
            with self._asking("Bind", plugin, assumed) as answer:
                answer.status = await plugin.bind(assumed.state, assumed.info, assumed.node)
            status = answer.status
            if status.code is not Code.SKIP:
                break
        self._observe("Bind", status, assumed, started)
        return error("every bind plugin skipped the pod") if status.code is Code.SKIP else status

    def post_bind(self, assumed: Assumed) -> None:
        """Tell the post-bind plugins."""
        started = self._clock()
        for plugin in assumed.profile.post_bind:
            with self._asking("PostBind", plugin, assumed):
                plugin.post_bind(assumed.state, assumed.info, assumed.node)
        self._observe("PostBind", SUCCESS, assumed, started)

    def scheduled_note(self, assumed: Assumed) -> str:
        """What the event says of a bound pod: what a post-bind plugin wants, else kube-scheduler's words."""
        info, node = assumed.info, assumed.node
        for plugin in assumed.profile.post_bind:
            if hasattr(plugin, "scheduled_note"):
                with _Answer("PostBind", plugin, None, self._clock):
                    return str(plugin.scheduled_note(assumed.state, info, node))
        return f"Successfully assigned {info.pod.key} to {node}"

    def _observe(self, point: str, status: Status, assumed: Assumed, started: float) -> None:
        key = point, status.code.label, assumed.profile.scheduler_name
        self._durations[key].observe(self._clock() - started)

    def _has_to_prepare(self, plugin: PreBindPlugin, assumed: Assumed) -> bool:
        if not hasattr(plugin, "has_to_prepare"):
            return True
        with self._asking(PRE_FLIGHT, plugin, assumed) as answer:
            needed = bool(plugin.has_to_prepare(assumed.state, assumed.info, assumed.node))
            answer.status = SUCCESS if needed else SKIP
            return needed
        return True

    def _asking(self, point: str, plugin: "_Named", assumed: Assumed) -> "_Answer":
        return _Answer(point, plugin, self._executions if assumed.state.sampled else None, self._clock)


class _Named(Protocol):
    name: str


class _Answer:
    """A plugin's answer with its name on it; what the plugin throws is an error too.

    With `executions` it is noted how long the plugin takes.
    """

    def __init__(
        self,
        point: str,
        plugin: _Named,
        executions: Mapping[Values, Histogram] | None,
        clock: Callable[[], float],
    ) -> None:
        self._point = point
        self._plugin = plugin.name
        self._executions = executions
        self._clock = clock
        self._started = 0.0
        self.status = SUCCESS

    def __enter__(self) -> Self:
        if self._executions is not None:
            self._started = self._clock()
        return self

    def __exit__(self, _: object, failure: BaseException | None, __: object) -> bool:
        if isinstance(failure, Exception):
            trace = "".join(format_exception(failure))
            log.error("A plugin failed", plugin=self._plugin, extension_point=self._point, traceback=trace)
            self.status = error(repr(failure))
        if self._executions is not None:
            key = self._plugin, self._point, self.status.code.label
            self._executions[key].observe(self._clock() - self._started)
        if self.status.code is Code.ERROR:
            self.status = error(f'running {self._point} plugin "{self._plugin}": {self.status.message}')
        if not self.status.ok:
            self.status = self.status.by(self._plugin)
        return isinstance(failure, Exception)
