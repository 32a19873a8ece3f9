"""Extended resources, huge pages, local storage, init containers, sidecars, overhead, whole-pod resources."""

from tools.parity.draft import Draft, Subject
from tools.parity.scenario import Manifest

GPU = "example.com/gpu"
HUGE_PAGES = "hugepages-2Mi"
RUNTIME_CLASS: Manifest = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "heavy"},
    "handler": "heavy",
    "overhead": {"podFixed": {"cpu": "250m", "memory": "120Mi"}},
}
"""There before every cluster: admission reads it from a cache."""


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:
        status = node["status"]
        more = {"ephemeral-storage": draft.pick(("1Gi", "5Gi", "100Gi"))}
        if draft.chance(0.4):
            more[GPU] = str(draft.rng.randint(0, 4))
        if draft.chance(0.3):
            more[HUGE_PAGES] = "64Mi"
        status["capacity"] = {**status["capacity"], **more}
        status["allocatable"] = {**status["allocatable"], **more}


def _dress(draft: Draft, pod: Manifest) -> None:
    spec = pod["spec"]
    main = spec["containers"][0]["resources"]
    main["requests"] = {
        name: value for name, value in main["requests"].items() if value not in ("64", "256Gi")
    }
    _extended(draft, main)
    if draft.chance(0.25):
        spec["containers"].append({"name": "second", "image": "pause", "resources": _small(draft)})
    if draft.chance(0.25):
        more = [_init(draft, number) for number in range(draft.rng.randint(1, 3))]
        spec.setdefault("initContainers", []).extend(more)
    if draft.chance(0.15):
        spec["runtimeClassName"] = "heavy"
    if draft.chance(0.15) and GPU not in main["requests"] and HUGE_PAGES not in main["requests"]:
        requests = {"cpu": draft.pick(("4", "5")), "memory": draft.pick(("4Gi", "6Gi"))}
        spec["resources"] = {"requests": {name: requests[name] for name in draft.some(list(requests), 2)}}


def _extended(draft: Draft, resources: Manifest) -> None:
    requests, limits = resources["requests"], {}
    if draft.chance(0.2):
        requests[GPU] = limits[GPU] = str(draft.rng.randint(1, 3))
    if draft.chance(0.1):
        requests[HUGE_PAGES] = limits[HUGE_PAGES] = draft.pick(("2Mi", "32Mi"))
        requests.setdefault("cpu", "100m")
    if draft.chance(0.25):
        requests["ephemeral-storage"] = draft.pick(("100Mi", "900Mi", "3Gi"))
    resources["limits"] = limits


def _small(draft: Draft) -> Manifest:
    return {"requests": {"cpu": draft.pick(("10m", "300m")), "memory": draft.pick(("8Mi", "300Mi"))}}


def _init(draft: Draft, number: int) -> Manifest:
    container = {"name": f"init-{number}", "image": "pause", "resources": _small(draft)}
    if draft.chance(0.5):
        container["restartPolicy"] = "Always"
    elif draft.chance(0.3):
        container["resources"] = {"requests": {"cpu": "2", "memory": "1Gi"}}
    return container


SUBJECT = Subject("resources", _prepare, _dress)
