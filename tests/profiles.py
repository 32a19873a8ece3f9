"""Profiles at run time, from real plugins or from those that a test brings along."""

from collections.abc import Mapping
from typing import Any

from pallet.cache.cache import Cache
from pallet.config.load import default_configuration
from pallet.plugins import names
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.runtime.profile import Profile, build_profile
from pallet.runtime.registry import PluginFactory, Registry
from pallet.testing.handle import Objects, informers_of, make_handle

__all__ = ["Objects", "default_profile", "informers_of", "make_handle", "profile_of"]


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
