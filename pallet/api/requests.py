"""What a pod asks of its node, as whole numbers.

The rule is that of Kubernetes (k8s.io/component-helpers/resource): containers run side by side and add up,
init containers run one after another beside the sidecars started before them, the larger of the two phases
counts, overhead comes on top, and pod-level requests replace what the containers ask of cpu, memory and
hugepages.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import msgspec

from pallet.api.labels import Labels
from pallet.api.pod import ActuatedResources, Container, Pod
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
    if status.container_statuses or status.init_container_statuses or status.resources is not None:
        return _resized_requests(pod)
    return _requests[
        tuple(container.resources.requests for container in spec.containers),
        tuple((container.resources.requests, _is_sidecar(container)) for container in spec.init_containers),
        spec.resources.requests if spec.resources else None,
        spec.overhead,
    ]


def _resized_requests(pod: Pod) -> Requests:
    """A pod that is being resized weighs the largest of what it asks for, was admitted with, and has got.

    Where the node can never grant what it asks for, that does not count.
    """
    spec, status = pod.spec, pod.status
    pending = [condition for condition in status.conditions if condition.type == "PodResizePending"]
    infeasible = bool(pending) and pending[0].reason == "Infeasible"

    def effective(asked: Labels, admitted: Labels, got: ActuatedResources | None) -> Labels:
        if got is None:
            return asked
        return _largest((got.requests, admitted) if infeasible else (asked, got.requests, admitted))

    def of(container: Container) -> Labels:
        asked, found = container.resources.requests, statuses.get(container.name)
        return effective(asked, found.allocated_resources, found.resources) if found is not None else asked

    statuses = {each.name: each for each in (*status.container_statuses, *status.init_container_statuses)}
    pod_level = None
    if spec.resources is not None:
        asked = spec.resources.requests
        whole_pod = effective(asked, status.allocated_resources, status.resources)
        pod_level = Labels({resource: whole_pod.get(resource, "0") for resource in asked})
    return _requests[
        tuple(map(of, spec.containers)),
        tuple(
            (of(container), True) if _is_sidecar(container) else (container.resources.requests, False)
            for container in spec.init_containers
        ),
        pod_level,
        spec.overhead,
    ]


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


_Asked = tuple[tuple[Labels, ...], tuple[tuple[Labels, bool], ...], Labels | None, Labels]
"""What containers, init containers (sidecars or not) and the pod as a whole ask for, and its overhead."""


def _add_up(asked_for: _Asked) -> Requests:
    containers, init_containers, pod_level, overhead = asked_for
    asked = _total(map(_amounts, containers), ((_amounts(own), side) for own, side in init_containers))
    ranked = _total(
        (_MINIMUM | _amounts(own) for own in containers),
        ((_MINIMUM | _amounts(own), side) for own, side in init_containers),
    )
    whole_pod = {
        resource: amount(resource, quantity)
        for resource, quantity in (pod_level or {}).items()
        if resource in (CPU, MEMORY) or resource.startswith("hugepages-")
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


def _total(
    containers: Iterable[dict[str, int]], init_containers: Iterable[tuple[dict[str, int], bool]]
) -> dict[str, int]:
    running: dict[str, int] = {}
    for own in containers:
        _add(running, own)
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for own, is_sidecar in init_containers:
        # Of what it does not ask for, the sidecars before it ask as much as they did when they were added.
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
