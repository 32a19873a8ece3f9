"""What each pod asks for and is limited to, as kube-scheduler shows it under /metrics/resources.

A cluster has hundreds of thousands of these lines, so they are written here directly, and in pieces: the
server lets other work through between two of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from pallet.api.labels import NO_LABELS
from pallet.api.pod import Container, Pod, PodSpec, ResourceRequirements
from pallet.api.requests import Requests, amount, requests_of

PIECE = 250
"""Pods written at once; a few milliseconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BYTES = frozenset({"memory", "storage", "ephemeral-storage"})
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def resource_metrics(pods: Sequence[Pod]) -> Iterator[str]:
    """Give the exposition text in pieces. Pods that ran to their end on a node are left out."""
    counted = [pod for pod in pods if not (pod.spec.node_name and pod.finished)]
    for metric, what, amounts_of in (
        ("kube_pod_resource_request", "asks for", _requests),
        ("kube_pod_resource_limit", "is limited to", limits_of),
    ):
        yield f"# HELP {metric} What the pod {what}, as the scheduler counts it.\n# TYPE {metric} gauge\n"
        remaining = iter(counted)
        while piece := list(islice(remaining, PIECE)):
            yield "".join(line for pod in piece for line in _lines(metric, pod, amounts_of(pod).amounts))


def _requests(pod: Pod) -> Requests:
    """What the spec asks for, whatever has become of it in a resize."""
    return requests_of(Pod(spec=pod.spec))


def limits_of(pod: Pod) -> Requests:
    """A pod's limits: they add up as requests do, but overhead counts only where there is a limit."""
    spec = pod.spec
    limits = requests_of(
        Pod(
            spec=PodSpec(
                containers=_limits_as_requests(spec.containers),
                init_containers=_limits_as_requests(spec.init_containers),
                resources=ResourceRequirements(spec.resources.limits) if spec.resources else None,
            )
        )
    )
    if spec.overhead is NO_LABELS:
        return limits
    overhead = {resource: amount(resource, quantity) for resource, quantity in spec.overhead.items()}
    return Requests(
        tuple((resource, value + overhead.get(resource, 0)) for resource, value in limits.amounts)
    )


def _limits_as_requests(containers: Iterable[Container]) -> tuple[Container, ...]:
    return tuple(
        Container(
            resources=ResourceRequirements(container.resources.limits),
            restart_policy=container.restart_policy,
        )
        for container in containers
    )


def _lines(metric: str, pod: Pod, amounts: Iterable[tuple[str, int]]) -> Iterator[str]:
    spec = pod.spec
    scheduler = spec.scheduler_name.translate(_ESCAPES)  # the API takes any text; the other labels are names
    head = (
        f'{metric}{{namespace="{pod.metadata.namespace}",pod="{pod.metadata.name}",node="{spec.node_name}",'
        f'scheduler="{scheduler}",priority="{spec.priority}"'
    )
    for resource, value in amounts:
        unit = _unit(resource)
        shown = value / 1000 if unit == "cores" else value
        yield f'{head},resource="{resource}",unit="{unit}"}} {shown}\n'


def _unit(resource: str) -> str:
    """Name a resource's unit; extended resources have none."""
    if resource == "cpu":
        return "cores"
    if resource in _BYTES or resource.startswith("hugepages-"):
        return "bytes"
    return "integer" if resource.startswith("attachable-volumes-") else ""
