"""Annotations and finalizers of pods: kept where they are declared, never silently empty."""

from collections.abc import Callable

import pytest

from pallet.api.pod import Pod
from pallet.api.pod_metadata import UndeclaredMetadataError, keep
from pallet.testing.builders import make_pod

ANNOTATIONS: list[Callable[[Pod], object]] = [
    lambda pod: pod.metadata.annotations["a"],
    lambda pod: pod.metadata.annotations.get("a"),
    lambda pod: "a" in pod.metadata.annotations,
    lambda pod: list(pod.metadata.annotations),
    lambda pod: dict(pod.metadata.annotations),
    lambda pod: {**pod.metadata.annotations},
    lambda pod: len(pod.metadata.annotations),
    lambda pod: bool(pod.metadata.annotations),
    lambda pod: pod.metadata.annotations.items(),
    lambda pod: pod.metadata.annotations | {},
    lambda pod: pod.metadata.annotations == {},
]
FINALIZERS: list[Callable[[Pod], object]] = [
    lambda pod: "a" in pod.metadata.finalizers,
    lambda pod: list(pod.metadata.finalizers),
    lambda pod: len(pod.metadata.finalizers),
    lambda pod: bool(pod.metadata.finalizers),
    lambda pod: pod.metadata.finalizers[0],
    lambda pod: pod.metadata.finalizers == (),
]


def seen(*declared: str) -> Pod:
    return keep(frozenset(declared))(make_pod("a", annotations={"a": "b"}, finalizers=["a"]))


@pytest.mark.parametrize("read", ANNOTATIONS)
def test_reading_annotations_that_nobody_declares_says_which_line_to_add(
    read: Callable[[Pod], object],
) -> None:
    read(seen("annotations"))
    with pytest.raises(UndeclaredMetadataError, match=r"pod_metadata = frozenset\(\{'annotations'\}\)"):
        read(seen("finalizers"))


@pytest.mark.parametrize("read", FINALIZERS)
def test_so_does_reading_finalizers(read: Callable[[Pod], object]) -> None:
    read(seen("finalizers"))
    with pytest.raises(UndeclaredMetadataError, match=r"pod_metadata = frozenset\(\{'finalizers'\}\)"):
        read(seen("annotations"))


def test_what_is_declared_is_as_it_was() -> None:
    meta = seen("annotations", "finalizers").metadata
    assert (meta.annotations, meta.finalizers) == ({"a": "b"}, ("a",))


def test_pods_without_can_be_compared_with_themselves() -> None:
    pod = seen()
    assert pod.metadata.annotations is seen().metadata.annotations
    assert pod == pod
