"""SchedulingGates: a pod with scheduling gates waits until all of them are taken away."""

from typing import Any

from pallet.cache.pod_info import PodInfo
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource
from pallet.framework.handle import Handle
from pallet.framework.status import SUCCESS, Status, unresolvable
from pallet.plugins import names


class SchedulingGates:
    """Keeps gated pods out of the active queue."""

    name = names.SCHEDULING_GATES

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Refuse while there is a gate."""
        gates = info.pod.spec.scheduling_gates
        if not gates:
            return SUCCESS
        listed = " ".join(gate.name for gate in gates)
        return unresolvable(f"waiting for scheduling gates: [{listed}]")

    def events_to_register(self) -> list[EventInterest]:
        """The pod's own gates going away."""
        event = ClusterEvent(EventResource.TARGET_POD, Action.UPDATE_POD_GATES_ELIMINATED)
        return [EventInterest(event)]
