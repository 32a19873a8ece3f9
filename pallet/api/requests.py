"""What a pod asks of its node, as whole numbers.

The rule is that of Kubernetes (k8s.io/component-helpers/resource): containers run side by side and add up,
init containers run one after another beside the sidecars started before them, the larger of the two phases
counts, overhead comes on top, and pod-level requests replace what the containers ask of cpu, memory and
hugepages.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.pod import Container, Pod
from pallet.api.quantity import milli, parse_quantity, whole
from pallet.shared_values import SharedValues

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
PODS = "pods"

# What a container without a request is scored as, so that such pods spread too (kube-scheduler's defaults).
SCORED_CPU = 100
SCORED_MEMORY = 200 * 1024 * 1024


LARGEST_AMOUNT = 2**53
"""The most that is counted of a resource, on a pod and on a node: 8 PiB, or nine trillion cores.

That is far above any node. 512 such amounts are within half of an int64, a hundred times one is too, and a
float holds it exactly, so that sums and scores need not look for overflows.
"""


class Requests(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """A pod's requests: (resource, amount) sorted by name, cpu in millicores, all else in whole units.

    `scored_cpu` and `scored_memory` count a minimum for every container that asks for none: this is how much
    the pod weighs on its node in scores. `ranked_cpu` and `ranked_memory` are the same of the containers
    alone: kube-scheduler's NodeResourcesFit leaves pod-level requests out when it ranks nodes for the pod.

    No amount is above LARGEST_AMOUNT; `beyond` names the resources of which more is requested.
    """

    amounts: tuple[tuple[str, int], ...] = ()
    scored_cpu: int = 0
    scored_memory: int = 0
    ranked_cpu: int = 0
    ranked_memory: int = 0
    beyond: tuple[str, ...] = ()

    def of(self, resource: str) -> int:
        """The amount of one resource, 0 where it is not requested."""
        at = bisect_left(self.amounts, (resource,))
        found = at < len(self.amounts) and self.amounts[at][0] == resource
        return self.amounts[at][1] if found else 0


def amount(resource: str, quantity: str) -> int:
    """Millicores for cpu, whole units for everything else, rounded up."""
    return milli(quantity) if resource == CPU else whole(quantity)


def requests_of(pod: Pod) -> Requests:
    """A pod's requests. Pods of one template share the answer."""
    spec, status = pod.spec, pod.status
    pod_level = spec.resources.requests if spec.resources else None
    statuses = status.container_statuses or status.init_container_statuses
    if statuses or status.resources is not None or status.resize_infeasible:
        return _requests[_aggregates_in_a_resize(pod), _pod_level_in_a_resize(pod, pod_level), spec.overhead]
    return _requests[(_aggregate(pod, _spec_requests),), pod_level, spec.overhead]


class _Aggregate(NamedTuple):
    """What the containers of a pod ask for, and its init containers (sidecars or not).

    `complete` says that the amounts are of the whole pod: no minimum is counted for what they leave out.
    """

    containers: tuple[Labels, ...]
    init_containers: tuple[tuple[Labels, bool], ...] = ()
    complete: bool = False


def _aggregates_in_a_resize(pod: Pod) -> tuple[_Aggregate, ...]:
    """What a pod in a resize asks for, was admitted with, and has got: the largest sum counts.

    Where the node can never grant what it asks for, that does not count.
    """
    status = pod.status
    statuses = {each.name: each for each in (*status.init_container_statuses, *status.container_statuses)}
    infeasible = status.resize_infeasible

    def allocated(container: Container) -> Labels:
        found = statuses.get(container.name)
        if found is not None and found.allocated_resources:
            return found.allocated_resources
        return NO_LABELS if infeasible else container.resources.requests

    def actuated(container: Container) -> Labels:
        found = statuses.get(container.name)
        return found.actuated if found is not None and found.actuated else allocated(container)

    if status.allocated_resources and status.resources is not None and status.resources.requests:
        granted = [
            _Aggregate((each,), complete=True)
            for each in (status.allocated_resources, status.resources.requests)
        ]
    else:
        granted = [_aggregate(pod, each) for each in (allocated, actuated)]
    asked = () if infeasible else (_aggregate(pod, _spec_requests),)
    return tuple(dict.fromkeys((*asked, *granted)))


def _pod_level_in_a_resize(pod: Pod, asked: Labels | None) -> Labels | None:
    """The largest of the pod-level amounts, where the spec has any."""
    status = pod.status
    if status.resources is None or not any(map(_is_pod_level, asked or ())):
        return asked
    spec = NO_LABELS if asked is None or status.resize_infeasible else asked
    return _largest((spec, status.resources.requests, status.allocated_resources))


def _aggregate(pod: Pod, of: Callable[[Container], Labels]) -> _Aggregate:
    spec = pod.spec
    return _Aggregate(
        tuple(map(of, spec.containers)), tuple((of(each), _is_sidecar(each)) for each in spec.init_containers)
    )


def _spec_requests(container: Container) -> Labels:
    return container.resources.requests


def _is_pod_level(resource: str) -> bool:
    return resource in (CPU, MEMORY) or resource.startswith("hugepages-")


def _largest(choices: Iterable[Labels]) -> Labels:
    """The largest quantity of each resource."""
    largest: dict[str, str] = {}
    for quantities in choices:
        for resource, quantity in quantities.items():
            if resource not in largest or parse_quantity(quantity) > parse_quantity(largest[resource]):
                largest[resource] = quantity
    return Labels(largest)


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


_Asked = tuple[tuple[_Aggregate, ...], Labels | None, Labels]
"""The aggregates of which the largest counts, what is asked for the pod as a whole, and its overhead."""


def _add_up(asked_for: _Asked) -> Requests:
    aggregates, pod_level, overhead = asked_for
    asked: dict[str, int] = {}
    ranked: dict[str, int] = {}
    for each in aggregates:
        _raise_to(asked, _total(each, {}))
        _raise_to(ranked, _total(each, {} if each.complete else _MINIMUM))
    whole_pod = {
        resource: amount(resource, quantity)
        for resource, quantity in (pod_level or {}).items()
        if _is_pod_level(resource)
    }
    asked |= whole_pod
    for total in (asked, ranked):
        _add(total, _amounts(overhead))
    # With requests of the whole pod, a minimum counts only of what neither it nor a container asks for.
    scored = ranked | asked if whole_pod else ranked
    return Requests(
        amounts=tuple(sorted((resource, _counted(value)) for resource, value in asked.items() if value)),
        scored_cpu=_counted(scored.get(CPU, 0)),
        scored_memory=_counted(scored.get(MEMORY, 0)),
        ranked_cpu=_counted(ranked.get(CPU, 0)),
        ranked_memory=_counted(ranked.get(MEMORY, 0)),
        beyond=tuple(sorted(resource for resource, value in asked.items() if value > LARGEST_AMOUNT)),
    )


_requests = SharedValues("pod_requests", _add_up)


def _counted(value: int) -> int:
    return min(value, LARGEST_AMOUNT)


def _amounts(quantities: Labels) -> dict[str, int]:
    return {resource: amount(resource, quantity) for resource, quantity in quantities.items()}


_MINIMUM = {CPU: SCORED_CPU, MEMORY: SCORED_MEMORY}


def _total(aggregate: _Aggregate, minimum: Mapping[str, int]) -> dict[str, int]:
    """The sum, with a minimum for each container that does not ask for a resource."""
    running: dict[str, int] = {}
    for quantities in aggregate.containers:
        _add(running, {**minimum, **_amounts(quantities)})
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for quantities, is_sidecar in aggregate.init_containers:
        # Of what it does not ask for, the sidecars before it ask as much as they did when they were added.
        own = {**minimum, **_amounts(quantities)}
        together = {resource: sidecars.get(resource, 0) + value for resource, value in own.items()}
        _raise_to(peak, together)
        if is_sidecar:
            sidecars |= together
    _add(running, sidecars)
    _raise_to(running, peak)
    return running


def _add(total: dict[str, int], own: Mapping[str, int]) -> None:
    for resource, value in own.items():
        total[resource] = total.get(resource, 0) + value


def _raise_to(total: dict[str, int], floor: Mapping[str, int]) -> None:
    for resource, value in floor.items():
        total[resource] = max(total.get(resource, 0), value)
