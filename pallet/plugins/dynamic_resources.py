"""DynamicResources: the place of kube-scheduler's plugin for resource claims, which are not served yet.

Extended resources that a DeviceClass stands for are not known here: a node offers them, or the pod does not
fit.
"""

from collections.abc import Sequence
from typing import Any

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.events import EventInterest
from pallet.framework.handle import Handle
from pallet.framework.interface import Filters, Refusal
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, Status, error, unresolvable, unschedulable
from pallet.plugins import names

_SEEN = f"{names.DYNAMIC_RESOURCES}/seen"

NOT_SERVED = (
    "pod asks for resource claims, which this scheduler does not serve yet; give it to another scheduler "
    "(spec.schedulerName), or leave spec.resourceClaims out"
)


class DynamicResources:
    """Refuses pods with resource claims, and lets all others pass."""

    name = names.DYNAMIC_RESOURCES

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Refuse a pod with claims for good: no node, and no other pod's end, would help."""
        state.write(_SEEN, value=True)
        return None, unresolvable(NOT_SERVED) if info.pod.spec.resource_claims else SKIP

    def post_filter(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        refusals: Sequence[Refusal],
        filters: Filters,
    ) -> tuple[str | None, Status]:
        """There is no claim to deallocate for the pod, about which kube-scheduler says nothing since 1.37.

        When a pre-filter plugin before it refused the pod for good, it has not seen the pod and fails with
        two words, after which no other plugin is asked.
        """
        if not state.read(_SEEN):
            return None, error("not found")
        if info.pod.spec.resource_claims:
            return None, unresolvable()
        return None, unschedulable()

    def events_to_register(self) -> list[EventInterest]:
        """Nothing helps a pod whose claims are not served; claims of a pod never change."""
        return []
