"""Waves of pods in which hardly anything is as it was before: names, labels, images, requests, wishes.

A wave has a namespace of its own. Some pods come by themselves, each with another wish; the others are a set,
whose trigger is to be switched.
"""

from collections.abc import Callable
from typing import Any, Final

from tools.bench.manifests import HOSTNAME, ZONE, ZONES, Manifest, pod
from tools.bench.stage import POD_SET_LABEL

SET_PODS: Final = 10


def namespace_of(wave: int) -> str:
    """The namespace of a wave."""
    return f"wave-{wave}"


def set_of(wave: int) -> str:
    """The name of a wave's set."""
    return f"set-{wave}"


def fitting_pods(wave: int) -> list[Manifest]:
    """Pods without a set that fit somewhere."""
    return [make(wave * len(_KINDS) + number) for number, make in enumerate(_KINDS)]


def never_fitting_pod(wave: int) -> Manifest:
    """A pod that asks for a device of a name that no node offers."""
    return _pod(f"never-fits-{wave}", wave, devices={f"example.com/device-{wave}": "1"})


def pods_of_set(wave: int) -> list[Manifest]:
    """The pods of the set, which are of one template."""
    name = set_of(wave)
    return [_pod(f"{name}-{number}", wave, labels={POD_SET_LABEL: name}) for number in range(SET_PODS)]


def _pod(
    name: str,
    number: int,
    *,
    labels: dict[str, str] | None = None,
    devices: dict[str, str] | None = None,
    host_port: int | None = None,
    **spec: Any,
) -> Manifest:
    """A pod of an app, an image and requests of its own."""
    made = pod(name, labels={**_app(number), **(labels or {})}, **spec)
    [container] = made["spec"]["containers"]
    requests = {"cpu": f"{50 + number % 50}m", "memory": f"{100_000_000 + number}"}
    container["image"] = f"registry.example.com/app-{number}:1"
    container["resources"] = {"requests": {**requests, **(devices or {})}, "limits": devices or {}}
    if host_port is not None:
        container["ports"] = [{"containerPort": 80, "hostPort": host_port}]
    return made


def _app(number: int) -> dict[str, str]:
    return {"app": f"app-{number}", f"example.com/key-{number}": "here"}


def _plain(number: int) -> Manifest:
    return _pod(f"plain-{number}", number)


def _apart(number: int) -> Manifest:
    affinity = {"podAntiAffinity": {_REQUIRED: [_selecting(number, HOSTNAME)]}}
    return _pod(f"apart-{number}", number, affinity=affinity)


def _rather_apart(number: int) -> Manifest:
    wish = {"weight": 1, "podAffinityTerm": _selecting(number, HOSTNAME)}
    return _pod(f"rather-apart-{number}", number, affinity={"podAntiAffinity": {_PREFERRED: [wish]}})


def _together(number: int) -> Manifest:
    return _pod(
        f"together-{number}", number, affinity={"podAffinity": {_REQUIRED: [_selecting(number, ZONE)]}}
    )


def _even(number: int) -> Manifest:
    return _pod(f"even-{number}", number, topologySpreadConstraints=[_spread(number, ZONE, "DoNotSchedule")])


def _rather_even(number: int) -> Manifest:
    constraint = _spread(number, HOSTNAME, "ScheduleAnyway")
    return _pod(f"rather-even-{number}", number, topologySpreadConstraints=[constraint])


def _in_zones(number: int) -> Manifest:
    zones = {"key": ZONE, "operator": "In", "values": [f"zone-{number % ZONES}", f"zone-of-{number}"]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [zones]}]}
    return _pod(f"in-zones-{number}", number, affinity={"nodeAffinity": {_REQUIRED: required}})


def _tolerant(number: int) -> Manifest:
    toleration = {"key": f"example.com/key-{number}", "operator": "Exists"}
    return _pod(f"tolerant-{number}", number, tolerations=[toleration])


def _with_port(number: int) -> Manifest:
    return _pod(f"with-port-{number}", number, host_port=1024 + number % 60_000)


_KINDS: tuple[Callable[[int], Manifest], ...] = (
    _plain,
    _apart,
    _rather_apart,
    _together,
    _even,
    _rather_even,
    _in_zones,
    _tolerant,
    _with_port,
)

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _selecting(number: int, topology_key: str) -> Manifest:
    return {"labelSelector": {"matchLabels": _app(number)}, "topologyKey": topology_key}


def _spread(number: int, topology_key: str, otherwise: str) -> Manifest:
    return {"maxSkew": 1, "whenUnsatisfiable": otherwise, **_selecting(number, topology_key)}
