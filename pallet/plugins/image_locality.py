"""ImageLocality: rather where the pod's images are already."""

from collections.abc import Hashable

import msgspec
import numpy as np

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.handle import Handle
from pallet.framework.interface import MAX_SCORE, Reads, RowChoice, Scores
from pallet.framework.state import CycleState
from pallet.plugins import names

MEGABYTE = 1024 * 1024
SMALLEST = 23 * MEGABYTE
"""Images that sum up to less are not worth a thought."""
LARGEST = 1000 * MEGABYTE
"""For each container, or image that is mounted as a volume; more makes no difference."""


class ImageLocality:
    """Ranks nodes by the size of the pod's images there, each scaled by the part of all nodes that has it."""

    name = names.IMAGE_LOCALITY
    score_reads = Reads.NODES

    def __init__(self, args: msgspec.Struct, handle: Handle) -> None:
        """Take nothing."""

    def score_signature(self, info: PodInfo) -> Hashable | None:
        """The images, and how many of them are of containers."""
        containers = _containers(info.pod)
        return (containers, *_images(info.pod)) if containers else None

    def score_rows(self, state: CycleState, info: PodInfo, snapshot: Snapshot, rows: RowChoice) -> Scores:
        """The sum of the images' sizes on the scale from SMALLEST to LARGEST."""
        table = snapshot.table
        largest = LARGEST * _containers(info.pod)
        sums = np.zeros(table.capacity, np.int64)
        for image in _images(info.pod):
            holders = table.images.get(tagged(image))
            if holders:
                size = next(iter(holders.values()))
                scaled = int(size * (len(holders) / max(table.node_count, 1)))
                sums[list(holders)] += min(scaled, largest)  # more makes no difference, and could overflow
        return MAX_SCORE * (np.clip(sums, SMALLEST, largest) - SMALLEST)[rows] // (largest - SMALLEST)


def _containers(pod: Pod) -> int:
    """How many containers there are; an image that is mounted as a volume counts as one."""
    spec = pod.spec
    return len(spec.init_containers) + len(spec.containers) + sum(1 for each in spec.volumes if each.image)


def _images(pod: Pod) -> list[str]:
    spec = pod.spec
    images = [each.image for each in spec.containers]
    if spec.init_containers:
        images += [each.image for each in spec.init_containers]
    if spec.volumes:
        images += [each.image.reference for each in spec.volumes if each.image is not None]
    return images


def tagged(image: str) -> str:
    """The image's name as nodes report it: with a tag, `latest` when none is given."""
    return image if image.rfind(":") > image.rfind("/") else f"{image}:latest"
