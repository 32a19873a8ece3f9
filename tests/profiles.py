"""Profiles at run time, from real plugins or from those that a test brings along."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, cast

from pallet.api.meta import Object
from pallet.api.resource import Resource
from pallet.cache.cache import Cache
from pallet.config.load import default_configuration
from pallet.framework.handle import Handle
from pallet.framework.profile import Profile, build_profile
from pallet.framework.registry import PluginFactory, Registry
from pallet.framework.waiting import WaitingPods
from pallet.informers.factory import InformerFactory
from pallet.plugins import names
from pallet.plugins.registry import BUILT_IN, DEFAULTS

if TYPE_CHECKING:
    from pallet.client.client import Client
    from pallet.framework.handle import Recorder


Objects = Mapping[Resource[Any], Iterable[Object]]
"""What the API has, by collection."""


def informers_of(objects: Objects) -> InformerFactory:
    """Informers that know these objects and never hear of others."""
    informers = InformerFactory(cast("Client", None))
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


def default_profile(cache: Cache | None = None) -> Profile:
    """The default plugins with their default arguments."""
    return build_profile(
        default_configuration().profiles[0], DEFAULTS, Registry(BUILT_IN), make_handle(cache)
    )


def profile_of(*plugins: Any, weights: Mapping[str, int] | None = None) -> Profile:
    """These plugins, in this order at each of their extension points, and what every profile must have."""

    def factory(plugin: Any) -> PluginFactory:
        return PluginFactory(type(plugin), lambda args, handle: plugin)

    given = {plugin.name: factory(plugin) for plugin in plugins}
    needed = {name: BUILT_IN[name] for name in (names.PRIORITY_SORT, names.DEFAULT_BINDER)}
    order = [(name, (weights or {}).get(name, 0)) for name in (*given, *needed)]
    return build_profile(default_configuration().profiles[0], order, Registry(needed | given), make_handle())
