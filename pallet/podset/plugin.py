"""PodSetPlanner: keeps the pods of a set back until they may go, and sends each to its planned node.

The original's configuration enables the plugin at five extension points by name. A gate at some of the points
only would leak, so whoever names it anywhere gets all of it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from pallet.cache.changes import Rows
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Fork, NodeInfo, Snapshot
from pallet.config.decode import Seconds, decode_args
from pallet.config.errors import FieldPath, fail
from pallet.config.schema import ExtensionPoint, PluginRef, Plugins, PluginSet, Profile, Section
from pallet.framework.events import Action, ClusterEvent, EventInterest, EventResource
from pallet.framework.handle import Handle
from pallet.framework.interface import Filters, Refusal
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status, unresolvable, unschedulable
from pallet.podset.gates import Gates
from pallet.runtime.registry import PluginFactory

NAME = "PodSetPlanner"

_NODE = f"{NAME}/node"

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/]+):[1-9][0-9]{0,4}")
"""A host, in brackets where it is an IPv6 address, and a port."""


class PlannerTLS(Section, frozen=True):
    """PEM files for mutual TLS with planners."""

    ca_file: str
    cert_file: str
    key_file: str


class PlannerArgs(Section, frozen=True):
    """Who may plan."""

    embedded: bool = True
    """Whether the built-in planner plans sets for which there is no planner Service; if not, their pods are
    scheduled one by one."""
    namespaces: tuple[str, ...] = ("planner-system",)
    """Where planner Services may be: whoever can create one there controls placement."""
    resolver: Literal["Service", "ClusterIP"] = "Service"
    """Where a planner Service is dialled: at its DNS name, or at its cluster IP."""
    addresses: dict[str, str] = msgspec.field(default_factory=dict)
    """Where planners are dialled instead: `host:port` by `namespace/name` of the Service."""
    tls: PlannerTLS | None = None
    address: str = ""
    """Where the built-in planner is served over gRPC. If empty, it is served on port 7777 while the Service
    `podset-planner` selects our pod."""

    def __post_init__(self) -> None:
        """Check the addresses. Raises ValueError."""
        places = {f"addresses[{name}]": address for name, address in self.addresses.items()}
        if self.address:
            places["address"] = self.address
        for place, address in places.items():
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f'{place} must be "host:port", such as "0.0.0.0:7777", got "{address}"')


class PodSetPlannerArgs(Section, frozen=True):
    """The plugin's arguments. The first three are the original's."""

    debug: bool = False
    """Accepted and not used: what is logged is a matter of -v."""
    call_timeout: Seconds = Seconds(15)
    update_period: Seconds = Seconds(5)
    """Accepted and not used: nothing is polled."""
    reservation_timeout: Seconds = Seconds(60)
    """How long room stays reserved for a set of which no pod is bound; then the set is re-planned."""
    planner: PlannerArgs = PlannerArgs()
    path: FieldPath = FieldPath()
    """Where in the configuration these arguments stand."""

    def __post_init__(self) -> None:
        """Refuse a time-out in which nothing could be bound."""
        if self.reservation_timeout <= 0:
            raise ValueError("reservationTimeout must be longer than 0s")


class PodSetPlanner:
    """The plugin. Score is served for the configurations of the original, and has nothing to say."""

    name = NAME
    args_type = PodSetPlannerArgs
    follows_plan = True

    def __init__(self, args: PodSetPlannerArgs, handle: Handle, gates: Gates) -> None:
        self.args = args
        self._gates = gates

    @classmethod
    def factory(cls, gates: Gates) -> PluginFactory:
        """How to make it, for the registry, with what it asks."""
        return PluginFactory(cls, lambda args, handle: cls(args, handle, gates))

    def pre_enqueue(self, info: PodInfo) -> Status:
        """Keep the pod out of the queue while its gate is closed."""
        gate = self._gates.verdict(info.pod)
        return SUCCESS if gate.open else unresolvable(gate.message)

    def pre_filter(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot
    ) -> tuple[frozenset[str] | None, Status]:
        """Look at the gate once more, it may have closed since; then leave only the planned node."""
        gate = self._gates.verdict(info.pod)
        if not gate.open:
            return None, unresolvable(gate.message)
        if not gate.node:
            return None, SUCCESS
        state.write(_NODE, gate.node)
        return frozenset((gate.node,)), SUCCESS

    def post_filter(
        self,
        state: CycleState,
        info: PodInfo,
        snapshot: Snapshot,
        refusals: Sequence[Refusal],
        filters: Filters,
    ) -> tuple[str | None, Status]:
        """When the planned node was refused, have the set re-planned, or wait if that will help."""
        node = state.read(_NODE)
        if node is None:
            return None, unschedulable()
        row = snapshot.table.row_of.get(node, -1)
        reasons = [refusal.status for refusal in refusals if row in refusal.rows]

        def fits(fork: Fork) -> bool:
            return filters.asker(state, info, fork)(row).ok

        return None, unschedulable(self._gates.blocked(info, node, reasons, snapshot, fits))

    def pre_score(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: Rows) -> Status:
        """Leave the score out: where a pod has a plan, one node is left."""
        return SKIP

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        """Say that all nodes are alike."""
        return 0

    def reserve(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Agree, and have the rest of the set hold its room against every pod from now on."""
        if state.read(_NODE) is not None:
            self._gates.begin(info.pod)
        return SUCCESS

    def unreserve(self, state: CycleState, info: PodInfo, node_name: str) -> None:
        """Have the room kept again: the pod is still planned."""
        self._gates.look_at(info.pod)

    def events_to_register(self) -> list[EventInterest]:
        """What the sets have to tell; the controller activates the pods that it helps."""
        return [EventInterest(ClusterEvent(EventResource.POD_SET, Action.ALL, "PodSet"))]


def with_whole_plugin(profile: Profile) -> Profile:
    """A profile that enables PodSetPlanner somewhere, with it everywhere; others as they are."""
    if not is_enabled(profile):
        return profile
    plugins = profile.plugins
    cleared = {point.name.lower(): _without(plugins.at(point)) for point in ExtensionPoint}
    everywhere = _without(plugins.multi_point)
    enabled = (*everywhere.enabled, PluginRef(name=NAME, path=plugins.path.field("multiPoint")))
    cleared["multi_point"] = msgspec.structs.replace(everywhere, enabled=enabled)
    return msgspec.structs.replace(profile, plugins=Plugins(**cleared, path=plugins.path))


def args_of(profiles: Iterable[Profile]) -> PodSetPlannerArgs | None:
    """The plugin's arguments; None where no profile enables it.

    Sets do not end at profiles, so all profiles must give the same. Raises ConfigError where they do not.
    """
    found: PodSetPlannerArgs | None = None
    for profile in filter(is_enabled, profiles):
        raw, path = profile.args_of(NAME)
        args = decode_args(PodSetPlannerArgs, raw, path)
        found = found or args
        if msgspec.structs.replace(args, path=found.path) != found:
            fail(path, f"the arguments of {NAME} must be the same in all profiles that enable it")
    return found


def is_enabled(profile: Profile) -> bool:
    """Whether a profile enables the plugin at any point."""
    return any(ref.name == NAME for _, plugin_set in profile.plugins.sets() for ref in plugin_set.enabled)


def _without(plugin_set: PluginSet) -> PluginSet:
    return PluginSet(
        enabled=tuple(ref for ref in plugin_set.enabled if ref.name != NAME),
        disabled=tuple(ref for ref in plugin_set.disabled if ref.name != NAME),
    )
