"""What belongs to pods that are gone is given back."""

import gc
import sys
from typing import Any

import msgspec

from pallet.api.codec import decoder
from pallet.api.pod import Pod
from pallet.bounded_cache import cache_sizes, registered
from pallet.cache.cache import Cache
from tests.builders import make_node

PODS = 100
TERMS = 1000


def large_pod(number: int) -> Pod:
    """A pod whose affinity, like its labels and requests, is of no other pod."""
    own = f"pod-{number}"
    terms = [
        {"topologyKey": "zone", "labelSelector": {"matchLabels": {f"{own}-{term}": "x"}}}
        for term in range(TERMS)
    ]
    manifest: dict[str, Any] = {
        "metadata": {"name": own, "uid": own, "namespace": "default", "labels": {"app": own}},
        "spec": {
            "nodeName": "node",
            "containers": [{"name": "c", "image": own, "resources": {"requests": {"cpu": f"{number + 1}m"}}}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
        },
    }
    pod: Pod = decoder(Pod)(msgspec.json.encode(manifest))
    return pod


def come_and_go(cache: Cache, numbers: range) -> None:
    for number in numbers:
        pod = large_pod(number)
        cache.put_pod(pod)
        cache.drop_pod(pod)


def age_all() -> None:
    """Let enough time pass for what is not used to be gone."""
    for _ in range(3):
        for cache in registered():
            cache.age()
    gc.collect()


def test_pods_that_come_and_go_leave_nothing_behind() -> None:
    cache = Cache()
    cache.put_node(make_node("node"))
    come_and_go(cache, range(10))
    age_all()
    before = sys.getallocatedblocks()
    come_and_go(cache, range(10, 10 + PODS))
    age_all()
    assert sys.getallocatedblocks() - before < PODS * TERMS // 10  # a term is ten blocks


def test_while_they_come_and_go_no_cache_is_beyond_its_limit() -> None:
    cache = Cache()
    cache.put_node(make_node("node"))
    for number in range(PODS):
        come_and_go(cache, range(number, number + 1))
        assert all(held <= limit for held, limit in cache_sizes().values())
    assert sum(held for held, _ in cache_sizes().values()) < 30 * 1024 * 1024
