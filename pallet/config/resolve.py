"""Which plugins run at which extension point, in which order and with which weight.

The rules are kube-scheduler's (mergePlugins and expandMultiPointPlugins):

- The default plugins and the profile's `multiPoint` make one list. A default that is named again keeps its
  place and takes the new weight; the others are appended. What `multiPoint.disabled` names, or `*`, is left
  out of the defaults only.
- Every plugin of that list runs at each point it implements, unless the point disables it or `*`.
- A point that enables plugins of that list decides their order and weight: they come first there. Then come
  the rest of the list, and last what the point alone enables.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias

from pallet.config.errors import Mistake, refuse, suggestion
from pallet.config.schema import ALL_PLUGINS, ExtensionPoint, PluginSet, Profile

Weighted: TypeAlias = tuple[str, int]
"""A plugin's name and weight. Only the weight of a score plugin means something."""
NOT_IMPLEMENTED: Final = frozenset(
    ("DeferredPodScheduling", "GangScheduling", "PodGroupPodsCount", "TopologyPlacementGenerator")
)
"""kube-scheduler's plugins behind feature gates that are off by default."""

PluginsByPoint: TypeAlias = dict[ExtensionPoint, tuple[Weighted, ...]]


def resolve_plugins(
    profile: Profile,
    defaults: Sequence[Weighted],
    points_of: Callable[[str], Collection[ExtensionPoint]],
) -> PluginsByPoint:
    """Return the plugins of every extension point, in the order in which they run.

    `points_of` says which points a plugin implements; it is asked for known names only if the caller has
    refused the others (`unknown_plugins`). Weights are at least 1 for score plugins, and 0 elsewhere.
    Raises `ConfigError` where a plugin is enabled at a point that it does not implement, and unless exactly
    one plugin sorts the queue and at least one binds.
    """
    everywhere = _merge(defaults, profile.plugins.multi_point)
    plugins = {point: _at(point, profile, everywhere, points_of) for point in ExtensionPoint}
    mistakes = _misplaced(profile, points_of)
    queue_sort = [name for name, _ in plugins[ExtensionPoint.QUEUE_SORT]]
    if len(queue_sort) != 1:
        path = profile.plugins.path.field(ExtensionPoint.QUEUE_SORT)
        got = ", ".join(queue_sort) or "none"
        mistakes.append(path.mistake(f"exactly one plugin must sort the queue, got {got}"))
    if not plugins[ExtensionPoint.BIND]:
        path = profile.plugins.path.field(ExtensionPoint.BIND)
        mistakes.append(path.mistake("at least one plugin must bind, got none"))
    refuse(mistakes)
    return plugins


def unknown_plugins(profile: Profile, known: Collection[str]) -> list[Mistake]:
    """Return a mistake for each place where a profile enables or configures a plugin that nobody provides."""
    return [
        path.mistake(
            f'plugin "{name}" of kube-scheduler is not implemented'
            if name in NOT_IMPLEMENTED
            else f'unknown plugin "{name}"{suggestion(name, known)}'
        )
        for name, path in profile.named_plugins()
        if name not in known
    ]


def _merge(defaults: Sequence[Weighted], custom: PluginSet) -> Mapping[str, int]:
    """Return the plugins, with weights, that run wherever they can."""
    disabled = custom.disabled_names
    kept = {} if ALL_PLUGINS in disabled else {name: w for name, w in defaults if name not in disabled}
    return kept | {ref.name: ref.weight for ref in custom.enabled}


def _at(
    point: ExtensionPoint,
    profile: Profile,
    everywhere: Mapping[str, int],
    points_of: Callable[[str], Collection[ExtensionPoint]],
) -> tuple[Weighted, ...]:
    """Return the plugins of one extension point."""
    plugin_set = profile.plugins.at(point)
    disabled = plugin_set.disabled_names
    own = {ref.name: ref.weight for ref in plugin_set.enabled}
    expanded = [
        name for name in everywhere if not {name, ALL_PLUGINS} & disabled and point in points_of(name)
    ]
    names = [
        *(name for name in own if name in expanded),
        *(name for name in expanded if name not in own),
        *(name for name in own if name not in expanded),
    ]
    weights = {**everywhere, **own}
    return tuple((name, weights[name] or 1) if point is ExtensionPoint.SCORE else (name, 0) for name in names)


def _misplaced(profile: Profile, points_of: Callable[[str], Collection[ExtensionPoint]]) -> list[Mistake]:
    """Return a mistake for each plugin that is enabled at a point it does not implement."""
    return [
        ref.path.field("name").mistake(f'plugin "{ref.name}" does not implement {point}')
        for point in ExtensionPoint
        for ref in profile.plugins.at(point).enabled
        if point not in points_of(ref.name)
    ]
