"""Topology spread constraints, the pod's own or the configured defaults, made ready for counting."""

from typing import Annotated, Any, Literal

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.names import is_label_key
from pallet.api.pod import Pod, TopologySpreadConstraint
from pallet.api.selectors import LabelSelector
from pallet.bounded_cache import MIB, bounded_cache
from pallet.cache.selection import PodSelection, PodSelector, all_of
from pallet.informers.factory import InformerFactory
from pallet.plugins.default_selectors import DefaultSelectors

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"

_HARD, _SOFT, _HONOR = "DoNotSchedule", "ScheduleAnyway", "Honor"

Policy = Literal["Honor", "Ignore"]


class DefaultConstraint(msgspec.Struct, frozen=True, rename="camel", cache_hash=True):
    """A constraint for pods without their own. What it selects comes from their Services and owners."""

    max_skew: Annotated[int, msgspec.Meta(gt=0)]
    topology_key: str
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    min_domains: int | None = None
    node_affinity_policy: Policy = "Honor"
    node_taints_policy: Policy = "Ignore"
    match_label_keys: tuple[str, ...] = ()
    """Allowed and without effect, as in kube-scheduler."""
    label_selector: Any = None

    def __post_init__(self) -> None:
        """Refuse what kube-scheduler refuses."""
        if not is_label_key(self.topology_key):
            raise ValueError(f"topologyKey must be the key of a node label, got {self.topology_key!r}")
        if self.label_selector is not None:
            raise ValueError(
                "labelSelector must be left out: a pod's Services and owner tell which pods count"
            )


_SYSTEM = (DefaultConstraint(3, HOSTNAME, "ScheduleAnyway"), DefaultConstraint(5, ZONE, "ScheduleAnyway"))


class PodTopologySpreadArgs(msgspec.Struct, frozen=True, rename="camel"):
    """What pods without constraints get: kube-scheduler's own defaults (System) or a List."""

    default_constraints: tuple[DefaultConstraint, ...] = ()
    defaulting_type: Literal["System", "List"] = "System"

    def __post_init__(self) -> None:
        """Refuse constraints that System would not use, and repeated ones."""
        if self.default_constraints and self.defaulting_type == "System":
            raise ValueError(
                "defaultConstraints are used with defaultingType List only; set it, or leave them out"
            )
        first: dict[tuple[str, str], int] = {}
        for index, each in enumerate(self.default_constraints):
            earlier = first.setdefault((each.topology_key, each.when_unsatisfiable), index)
            if earlier != index:
                raise ValueError(
                    f"defaultConstraints[{index}] has the topologyKey and whenUnsatisfiable "
                    f"of defaultConstraints[{earlier}]; leave one of them out"
                )


class Constraint(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One constraint. `counts` is false for a selector that is empty: such a one selects every pod, and yet
    kube-scheduler counts none for it.
    """

    topology_key: str
    max_skew: int
    min_domains: int
    honors_affinity: bool
    honors_taints: bool
    pods: PodSelection
    counts: bool

    def selects(self, pod: Pod) -> bool:
        """Whether it is about a pod, placed or not, of its own namespace."""
        meta = pod.metadata
        return self.pods.weight(meta.namespace, NO_LABELS, meta.labels, gone=False) > 0


class Spread(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """A pod's constraints, those that must hold and those that should.

    `strict`: nodes without all the topology labels of the soft ones are left out of the ranking. Only
    kube-scheduler's own defaults are lenient there.
    """

    hard: tuple[Constraint, ...] = ()
    soft: tuple[Constraint, ...] = ()
    strict: bool = True


NOT_SPREAD = Spread()


class SpreadReader:
    """Reads constraints off pods, with the defaults for those without."""

    def __init__(self, args: PodTopologySpreadArgs, informers: InformerFactory) -> None:
        self._system = args.defaulting_type == "System"
        self._defaults = _SYSTEM if self._system else args.default_constraints
        self._selectors = DefaultSelectors(informers) if self._defaults else None

    @property
    def version(self) -> int:
        """Grows whenever a pod may get other default constraints than before."""
        return self._selectors.version if self._selectors else 0

    def read(self, pod: Pod) -> Spread:
        """The pod's own constraints, or else the defaults where pods that belong to it can be told."""
        given = pod.spec.topology_spread_constraints
        if given:
            labels, namespace = pod.metadata.labels, pod.metadata.namespace
            pinned = tuple(_pinned(each, labels) for each in given)
            return _own(given, namespace, pinned)
        pods = self._selectors.of(pod) if self._selectors else None
        return _default(self._defaults, pods, not self._system) if pods else NOT_SPREAD


def _pinned(given: TopologySpreadConstraint, labels: Labels) -> tuple[tuple[str, str], ...]:
    """The labels that `matchLabelKeys` takes over from the pod."""
    return tuple((key, labels[key]) for key in given.match_label_keys if key in labels)


@bounded_cache("spread_constraints", 4 * MIB)
def _own(
    given: tuple[TopologySpreadConstraint, ...],
    namespace: str,
    pinned: tuple[tuple[tuple[str, str], ...], ...],
) -> Spread:
    def of(action: str) -> tuple[Constraint, ...]:
        return tuple(
            _constraint(each, _selected(each.label_selector, namespace, labels))
            for each, labels in zip(given, pinned, strict=True)
            if each.when_unsatisfiable == action
        )

    return Spread(of(_HARD), of(_SOFT))


@bounded_cache("spread_constraints", 4 * MIB)
def _default(
    defaults: tuple[DefaultConstraint, ...],
    pods: PodSelection,
    strict: bool,  # noqa: FBT001  # private
) -> Spread:
    def of(action: str) -> tuple[Constraint, ...]:
        return tuple(_constraint(each, pods) for each in defaults if each.when_unsatisfiable == action)

    return Spread(of(_HARD), of(_SOFT), strict)


def _constraint(given: TopologySpreadConstraint | DefaultConstraint, pods: PodSelection) -> Constraint:
    return Constraint(
        given.topology_key,
        given.max_skew,
        1 if given.min_domains is None else given.min_domains,
        given.node_affinity_policy == _HONOR,
        given.node_taints_policy == _HONOR,
        pods,
        counts=any(each.labels != LabelSelector() for part, _ in pods.parts for each in part),
    )


def _selected(
    selector: LabelSelector | None, namespace: str, pinned: tuple[tuple[str, str], ...]
) -> PodSelection:
    """What the constraint counts. Without a selector it counts nothing, whatever `matchLabelKeys` says."""
    given = PodSelector(selector, frozenset((namespace,)), terminating=False)
    if selector is None or not pinned:
        return all_of(given)
    return all_of(
        given, PodSelector(LabelSelector(Labels(pinned)), frozenset((namespace,)), terminating=False)
    )
