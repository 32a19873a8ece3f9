"""A profile at run time: the plugins of one scheduler name by extension point, made once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pallet.config.errors import refuse
from pallet.config.resolve import Weighted, resolve_plugins
from pallet.config.schema import ExtensionPoint
from pallet.config.schema import Profile as ProfileConfiguration
from pallet.framework.handle import Handle
from pallet.framework.interface import (
    BindPlugin,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    ReservePlugin,
    VectorFilterPlugin,
    VectorScorePlugin,
)
from pallet.runtime.adapter import vector_filter, vector_score
from pallet.runtime.registry import Registry, serves


@dataclass(frozen=True, slots=True)
class Profile:
    """The plugins that one scheduler name stands for, each extension point in its configured order."""

    scheduler_name: str
    plugins: Mapping[str, Plugin]
    queue_sort: QueueSortPlugin
    percentage_of_nodes_to_score: int | None = None
    """None for all nodes."""
    pre_enqueue: tuple[PreEnqueuePlugin, ...] = ()
    pre_filter: tuple[PreFilterPlugin, ...] = ()
    filter: tuple[VectorFilterPlugin, ...] = ()
    post_filter: tuple[PostFilterPlugin, ...] = ()
    pre_score: tuple[PreScorePlugin, ...] = ()
    score: tuple[tuple[VectorScorePlugin, int], ...] = ()
    reserve: tuple[ReservePlugin, ...] = ()
    permit: tuple[PermitPlugin, ...] = ()
    pre_bind: tuple[PreBindPlugin, ...] = ()
    bind: tuple[BindPlugin, ...] = ()
    post_bind: tuple[PostBindPlugin, ...] = ()

    def for_planning(self) -> "Profile":
        """The profile as planners ask it: without the plugins that send a pod where its plan says."""
        following = {
            plugin.name for plugin in self.plugins.values() if getattr(plugin, "follows_plan", False)
        }

        def others(plugins: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(plugin for plugin in plugins if plugin.name not in following)

        return replace(
            self,
            pre_filter=others(self.pre_filter),
            filter=others(self.filter),
            post_filter=others(self.post_filter),
            pre_score=others(self.pre_score),
            score=tuple(pair for pair in self.score if pair[0].name not in following),
        )


def build_profile(
    configuration: ProfileConfiguration, defaults: Sequence[Weighted], registry: Registry, handle: Handle
) -> Profile:
    """Make a profile's plugins.

    Raises ConfigError where the configuration names unknown plugins, wrong arguments, or plugins at
    extension points that they do not serve.
    """
    refuse(registry.mistakes(configuration))
    resolved = resolve_plugins(configuration, defaults, lambda name: registry.find(name).points)
    names = {name for plugins in resolved.values() for name, _ in plugins}
    built: dict[str, Any] = {
        name: registry.find(name).build(*configuration.args_of(name), handle) for name in sorted(names)
    }

    def weighted_at(point: ExtensionPoint) -> list[tuple[Any, int]]:
        enabled = ((built[name], weight) for name, weight in resolved[point])
        return [(plugin, weight) for plugin, weight in enabled if serves(plugin, point)]

    def at(point: ExtensionPoint) -> tuple[Any, ...]:
        return tuple(plugin for plugin, _ in weighted_at(point))

    return Profile(
        scheduler_name=configuration.scheduler_name,
        plugins=built,
        queue_sort=at(ExtensionPoint.QUEUE_SORT)[0],
        percentage_of_nodes_to_score=configuration.percentage_of_nodes_to_score,
        pre_enqueue=at(ExtensionPoint.PRE_ENQUEUE),
        pre_filter=at(ExtensionPoint.PRE_FILTER),
        filter=tuple(vector_filter(plugin) for plugin in at(ExtensionPoint.FILTER)),
        post_filter=at(ExtensionPoint.POST_FILTER),
        pre_score=at(ExtensionPoint.PRE_SCORE),
        score=tuple((vector_score(plugin), weight) for plugin, weight in weighted_at(ExtensionPoint.SCORE)),
        reserve=at(ExtensionPoint.RESERVE),
        permit=at(ExtensionPoint.PERMIT),
        pre_bind=at(ExtensionPoint.PRE_BIND),
        bind=at(ExtensionPoint.BIND),
        post_bind=at(ExtensionPoint.POST_BIND),
    )
