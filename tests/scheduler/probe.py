"""A plugin that answers what a test tells it to, and writes down what it was asked; profiles around it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, cast

from pallet.api.pod import Pod
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo, Snapshot
from pallet.framework.events import EventInterest
from pallet.framework.handle import Handle
from pallet.framework.interface import Filters, Refusal
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, unschedulable
from pallet.framework.waiting import WaitingPods
from pallet.plugins.default_binder import DefaultBinder
from pallet.plugins.node_resources_fit import NodeResourcesFit
from pallet.plugins.node_unschedulable import NodeUnschedulable
from pallet.plugins.priority_sort import PrioritySort
from pallet.plugins.scheduling_gates import SchedulingGates
from pallet.runtime.adapter import FilterAdapter
from pallet.runtime.profile import Profile
from tests.builders import SCHEDULER

if TYPE_CHECKING:
    from pallet.client.client import Client
    from pallet.framework.handle import Recorder
    from pallet.informers.factory import InformerFactory

Said = Status | Exception | Callable[[Pod], Status]


class Probe:
    """Serves every extension point but sorting, scoring and binding. What it is not told is a success.

    `said` holds the answers by extension point; `asked` what it was asked, as `reserve web-0`. `log` may be
    shared by several probes. `wait` is how long it wants pods to wait at Permit; `interests` is what it
    registers, `nominates` what it gives as a node to nominate.
    """

    def __init__(self, name: str = "Probe", log: list[str] | None = None) -> None:
        self.name = name
        self.said: dict[str, Said] = {}
        self.asked: list[str] = [] if log is None else log
        self.interests: list[EventInterest] = []
        self.wait = 10.0
        self.nominates: str | None = None

    def events_to_register(self) -> Sequence[EventInterest]:
        return self.interests

    def pre_enqueue(self, info: PodInfo) -> Status:
        return self._answer("pre_enqueue", info.pod)

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        return None, self._answer("pre_filter", info.pod)

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return self._answer("filter", info.pod)

    def post_filter(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        refusals: Sequence[Refusal],
        filters: Filters,
    ) -> tuple[str | None, Status]:
        status = self._answer("post_filter", info.pod)
        return self.nominates, unschedulable() if status is SUCCESS and not self.nominates else status

    def reserve(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        return self._answer("reserve", info.pod)

    def unreserve(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        self._answer("unreserve", info.pod)

    def permit(self, state: CycleState, info: PodInfo, node_name: str) -> tuple[Status, float]:
        return self._answer("permit", info.pod), self.wait

    async def pre_bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        return self._answer("pre_bind", info.pod)

    def post_bind(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        self._answer("post_bind", info.pod)

    def _answer(self, point: str, pod: Pod) -> Status:
        self.asked.append(f"{self.name} {point} {pod.metadata.name}")
        said = self.said.get(point, SUCCESS)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Status) else said(pod)


def a_profile(
    *probes: Probe, client: "Client | None" = None, waiting: WaitingPods | None = None, bind: Any = None
) -> Profile:
    """Some real plugins, and the probes behind them at all their points."""
    handle = Handle(
        scheduler_name=SCHEDULER,
        client=cast("Client", client),
        informers=cast("InformerFactory", None),
        cache=Cache(),
        recorder=cast("Recorder", None),
        waiting=waiting or WaitingPods(),
        rng=Random(0),  # noqa: S311  # breaks ties
    )
    gates, fit, sort = SchedulingGates(None, handle), _fit(handle), PrioritySort(None, handle)
    cordon = NodeUnschedulable(None, handle)
    binder = bind or DefaultBinder(None, handle)
    profile = Profile(SCHEDULER, {each.name: each for each in (gates, cordon, fit, sort, binder)}, sort)
    return replace(
        profile,
        plugins={**profile.plugins, **{probe.name: probe for probe in probes}},
        pre_enqueue=(gates, *probes),
        pre_filter=probes,
        filter=(cordon, fit, *map(FilterAdapter, probes)),
        post_filter=probes,
        reserve=probes,
        permit=probes,
        pre_bind=probes,
        bind=(binder,),
        post_bind=probes,
    )


def _fit(handle: Handle) -> NodeResourcesFit:
    return NodeResourcesFit(NodeResourcesFit.args_type(), handle)
