"""Which configurations have PodSetPlanner, and with which arguments.

The original's configuration enables the plugin at five extension points by name. A gate at some of the points
only would leak, so whoever names it anywhere gets all of it.
"""

from collections.abc import Iterable

import msgspec

from pallet.config.decode import decode_args
from pallet.config.errors import fail
from pallet.config.schema import ExtensionPoint, PluginRef, Plugins, PluginSet, Profile
from pallet.podset.plugin import NAME, PodSetPlannerArgs


def with_whole_plugin(profile: Profile) -> Profile:
    """A profile that enables PodSetPlanner somewhere, with it everywhere; others as they are."""
    if not is_enabled(profile):
        return profile
    plugins = profile.plugins
    cleared = {point.name.lower(): _without(plugins.at(point)) for point in ExtensionPoint}
    everywhere = _without(plugins.multi_point)
    enabled = (*everywhere.enabled, PluginRef(name=NAME, path=plugins.path.field("multiPoint")))
    cleared["multi_point"] = msgspec.structs.replace(everywhere, enabled=enabled)
    return msgspec.structs.replace(profile, plugins=Plugins(**cleared, path=plugins.path))


def args_of(profiles: Iterable[Profile]) -> PodSetPlannerArgs | None:
    """The plugin's arguments; None where no profile enables it.

    Sets do not end at profiles, so all profiles must give the same. Raises ConfigError where they do not.
    """
    found: PodSetPlannerArgs | None = None
    for profile in filter(is_enabled, profiles):
        raw, path = profile.args_of(NAME)
        args = decode_args(PodSetPlannerArgs, raw, path)
        found = found or args
        if msgspec.structs.replace(args, path=found.path) != found:
            fail(path, f"the arguments of {NAME} must be the same in all profiles that enable it")
    return found


def is_enabled(profile: Profile) -> bool:
    """Whether a profile enables the plugin at any point."""
    return any(ref.name == NAME for _, plugin_set in profile.plugins.sets() for ref in plugin_set.enabled)


def _without(plugin_set: PluginSet) -> PluginSet:
    return PluginSet(
        enabled=tuple(ref for ref in plugin_set.enabled if ref.name != NAME),
        disabled=tuple(ref for ref in plugin_set.disabled if ref.name != NAME),
    )
