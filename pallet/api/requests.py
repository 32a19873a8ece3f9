"""What a pod asks of its node, as whole numbers.

The rule is that of Kubernetes (k8s.io/component-helpers/resource): containers run side by side and add up,
init containers run one after another beside the sidecars started before them, the larger of the two phases
counts, overhead comes on top, and pod-level requests replace what the containers ask of cpu, memory and
hugepages.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from pallet.api.labels import Labels
from pallet.api.pod import Container, Pod
from pallet.api.quantity import milli, whole

CPU = "cpu"
MEMORY = "memory"
EPHEMERAL_STORAGE = "ephemeral-storage"
PODS = "pods"

# What a container without a request is scored as, so that such pods spread too (kube-scheduler's defaults).
SCORED_CPU = 100
SCORED_MEMORY = 200 * 1024 * 1024


class Requests(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """A pod's requests: (resource, amount) sorted by name, cpu in millicores, all else in whole units.

    `scored_cpu` and `scored_memory` count a minimum for every container that asks for none.
    """

    amounts: tuple[tuple[str, int], ...] = ()
    scored_cpu: int = 0
    scored_memory: int = 0


def amount(resource: str, quantity: str) -> int:
    """Millicores for cpu, whole units for everything else, rounded up."""
    return milli(quantity) if resource == CPU else whole(quantity)


def requests_of(pod: Pod) -> Requests:
    """A pod's requests. Pods of one template share the answer."""
    spec = pod.spec
    return _requests(
        tuple(container.resources.requests for container in spec.containers),
        tuple((container.resources.requests, _is_sidecar(container)) for container in spec.init_containers),
        spec.resources.requests if spec.resources else None,
        spec.overhead,
    )


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


@lru_cache(maxsize=4096)
def _requests(
    containers: tuple[Labels, ...],
    init_containers: tuple[tuple[Labels, bool], ...],
    pod_level: Labels | None,
    overhead: Labels,
) -> Requests:
    asked = _total(map(_amounts, containers), ((_amounts(own), side) for own, side in init_containers))
    scored = _total(
        map(_scored_amounts, containers), ((_scored_amounts(own), side) for own, side in init_containers)
    )
    for resource, quantity in (pod_level or {}).items():
        if resource in (CPU, MEMORY) or resource.startswith("hugepages-"):
            asked[resource] = scored[resource] = amount(resource, quantity)
    _add(asked, _amounts(overhead))
    _add(scored, _amounts(overhead))
    return Requests(
        amounts=tuple(sorted((resource, value) for resource, value in asked.items() if value)),
        scored_cpu=scored.get(CPU, 0),
        scored_memory=scored.get(MEMORY, 0),
    )


def _amounts(quantities: Labels) -> dict[str, int]:
    return {resource: amount(resource, quantity) for resource, quantity in quantities.items()}


def _scored_amounts(quantities: Labels) -> dict[str, int]:
    return {CPU: SCORED_CPU, MEMORY: SCORED_MEMORY} | _amounts(quantities)


def _total(
    containers: Iterable[dict[str, int]], init_containers: Iterable[tuple[dict[str, int], bool]]
) -> dict[str, int]:
    running: dict[str, int] = {}
    for own in containers:
        _add(running, own)
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for own, is_sidecar in init_containers:
        together = dict(sidecars)
        _add(together, own)
        _raise_to(peak, together)
        if is_sidecar:
            sidecars = together
    _add(running, sidecars)
    _raise_to(running, peak)
    return running


def _add(total: dict[str, int], own: Mapping[str, int]) -> None:
    for resource, value in own.items():
        total[resource] = total.get(resource, 0) + value


def _raise_to(total: dict[str, int], floor: Mapping[str, int]) -> None:
    for resource, value in floor.items():
        total[resource] = max(total.get(resource, 0), value)
