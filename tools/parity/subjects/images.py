"""Images that nodes have, and pods that run them."""

from tools.parity.draft import Draft, Subject
from tools.parity.scenario import Manifest

MIB = 1024**2
IMAGES = {
    "small": 20 * MIB,
    "web": 150 * MIB,
    "db:v2": 600 * MIB,
    "quay.io/model@sha256:" + "0" * 64: 900 * MIB,
}


def _prepare(draft: Draft) -> None:
    for node in draft.nodes:
        node["status"]["images"] = [
            {"names": _names(name), "sizeBytes": size} for name, size in IMAGES.items() if draft.chance(0.4)
        ]


def _names(image: str) -> list[str]:
    return [image if ":" in image else f"{image}:latest"]


def _dress(draft: Draft, pod: Manifest) -> None:
    spec = pod["spec"]
    spec["containers"][0]["image"] = draft.pick(list(IMAGES))
    if draft.chance(0.3):
        spec["containers"].append({"name": "beside", "image": draft.pick(list(IMAGES))})
    if draft.chance(0.2):
        init = {"name": "before", "image": draft.pick(list(IMAGES))}
        spec.setdefault("initContainers", []).append(init)
    if draft.chance(0.2):
        mounted = {"name": "mounted", "image": {"reference": draft.pick(list(IMAGES))}}
        spec.setdefault("volumes", []).append(mounted)


SUBJECT = Subject("images", _prepare, _dress)
