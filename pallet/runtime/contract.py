"""Whether a class keeps the contract of plugins: found out before it is made, so that no hook is missed.

The names of hooks are those that the protocols of `interface` and `hooks` declare. A plugin's other
attributes are its own, unless one is so close to the name of a hook that it must have been meant as that.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import getattr_static, isfunction, signature
from typing import Any, Final

from pallet.api.pod_metadata import POD_METADATA
from pallet.framework import hooks, interface

PROTOCOLS: Final[Sequence[type[Any]]] = (
    interface.Plugin,
    interface.PreEnqueuePlugin,
    interface.QueueSortPlugin,
    interface.PreFilterPlugin,
    interface.FilterDependence,
    interface.FilterPlugin,
    interface.VectorFilterPlugin,
    interface.PostFilterPlugin,
    interface.PreScorePlugin,
    interface.ScoreDependence,
    interface.ScorePlugin,
    interface.VectorScorePlugin,
    interface.ReservePlugin,
    interface.PermitPlugin,
    interface.PreBindPlugin,
    interface.BindPlugin,
    interface.PostBindPlugin,
    hooks.PluginWithArgs,
    hooks.PodMetadataReader,
    hooks.PlanFollowerPlugin,
    hooks.SupposingPlugin,
    hooks.EnqueueExtensions,
    hooks.CountingPlugin,
    hooks.RowFilterPlugin,
    hooks.RowScorePlugin,
    hooks.RowExplainer,
    hooks.WatchfulFilterPlugin,
    hooks.WatchfulScorePlugin,
    hooks.SumsFilterPlugin,
    hooks.NeighbourFilterPlugin,
    hooks.FarFilterPlugin,
    hooks.NormalizingPlugin,
    hooks.PreBindPreFlight,
    hooks.ScheduledNote,
)

_ONE_OF: Final[Mapping[str, tuple[str, str]]] = {
    "filter_reads": ("filter", "filter_rows"),
    "score_reads": ("score", "score_rows"),
    "normalize": ("score", "score_rows"),
}
"""Hooks that go with either form of a method."""

_TWO_FORMS: Final = (("filter", "filter_rows"), ("score", "score_rows"))
"""A plugin has one of each two at most."""

_SAME: Final = 0.76
"""So alike are the name of a hook and another one that was meant as it (see `difflib`)."""


def _declared(protocol: type[Any]) -> set[str]:
    """The names that a protocol itself declares."""
    return {name for name in (*vars(protocol), *protocol.__annotations__) if not name.startswith("_")}


HOOKS: Final = frozenset[str]().union(*map(_declared, PROTOCOLS))
"""All names that are looked up on a plugin."""

_PLAIN: Final = {name.replace("_", ""): name for name in sorted(HOOKS - {"name"})}


def problems(kind: type[Any]) -> list[str]:
    """What is wrong with a class of plugins, each with the attribute to change."""
    return [*_misspelt(kind), *_incomplete(kind), *_miscalled(kind), *_unknown_metadata(kind)]


def pod_metadata_of(plugin: object) -> frozenset[str]:
    """What a plugin, or a class of plugins, declares that it reads (see `PodMetadataReader`)."""
    declared = getattr(plugin, "pod_metadata", ())
    return frozenset((declared,) if isinstance(declared, str) else declared)


def _misspelt(kind: type[Any]) -> Iterator[str]:
    for name in dir(kind):
        if not name.startswith("_") and name not in HOOKS:
            meant = get_close_matches(name.replace("_", "").lower(), _PLAIN, n=1, cutoff=_SAME)
            if meant:
                yield (
                    f'{kind.__name__}.{name} is not a hook of plugins, did you mean "{_PLAIN[meant[0]]}"? '
                    f'(if it is the plugin\'s own, name it "_{name}")'
                )


def _incomplete(kind: type[Any]) -> Iterator[str]:
    if not _has(kind, "name"):
        yield f"{kind.__name__} has no name"
    for protocol in PROTOCOLS:
        own = sorted(name for name in _declared(protocol) - {"name"} if _has(kind, name))
        needed = set[str]().union(*(_declared(each) for each in protocol.__mro__ if each in PROTOCOLS))
        missing = sorted(name for name in needed - {"name"} if not _has(kind, name))
        if own and missing:
            yield f"{kind.__name__} has {', '.join(own)}, but no {', '.join(missing)}"
    for name, either in _ONE_OF.items():
        if _has(kind, name) and not any(_has(kind, each) for each in either):
            yield f"{kind.__name__} has {name}, but neither {either[0]} nor {either[1]}"
    for both in _TWO_FORMS:
        if all(_has(kind, each) for each in both):
            yield f"{kind.__name__} has both {both[0]} and {both[1]}: one is enough"


def _miscalled(kind: type[Any]) -> Iterator[str]:
    """The methods that cannot be called as they are going to be."""
    for protocol in PROTOCOLS:
        for name in sorted(_declared(protocol)):
            declared, method = vars(protocol).get(name), getattr_static(kind, name, None)
            if isfunction(declared) and isfunction(method):
                given, taken = signature(declared).parameters, signature(method).parameters
                try:
                    signature(method).bind(*given)
                except TypeError:
                    yield (
                        f"{kind.__name__}.{name} takes ({', '.join(taken)}), and is called with "
                        f"({', '.join(given)})"
                    )


def _unknown_metadata(kind: type[Any]) -> Iterator[str]:
    if unknown := pod_metadata_of(kind) - POD_METADATA:
        known = ", ".join(sorted(POD_METADATA))
        yield f"{kind.__name__}.pod_metadata names {', '.join(sorted(unknown))}; known are {known}"


def _has(kind: type[Any], name: str) -> bool:
    """Whether a class has an attribute, or declares that its objects have it."""
    return hasattr(kind, name) or any(name in vars(each).get("__annotations__", ()) for each in kind.__mro__)
