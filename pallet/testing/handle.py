"""The surroundings of a plugin under test."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, cast

from pallet.api.meta import Object
from pallet.api.resource import Resource
from pallet.cache.cache import Cache
from pallet.framework.handle import Handle
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.loop_budget import LoopBudget

if TYPE_CHECKING:
    from pallet.client.client import Client
    from pallet.framework.handle import Recorder

Objects = Mapping[Resource[Any], Iterable[Object]]
"""What the API has, by collection."""


def informers_of(objects: Objects) -> InformerFactory:
    """Informers that know these objects and never hear of others."""
    informers = InformerFactory(cast("Client", None), LoopBudget())
    for resource, given in objects.items():
        for each in given:
            informers.informer(resource).store.put(each)
    return informers


def make_handle(cache: Cache | None = None, objects: Objects | None = None) -> Handle:
    """The surroundings of plugins that must not reach the API."""
    return Handle(
        scheduler_name="default-scheduler",
        client=cast("Client", None),
        informers=informers_of(objects or {}),
        cache=cache or Cache(),
        recorder=cast("Recorder", None),
        waiting=WaitingPods(),
        rng=Random(0),  # noqa: S311 - breaks ties
    )
