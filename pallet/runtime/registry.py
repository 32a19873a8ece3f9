"""Which plugins there are, by name: the built-in ones, those of installed packages, those named by module.

Nothing registers itself on import. A name is looked up in the built-in plugins first, then among the entry
points of group `pallet.plugins`, and a name of the form `module:Class` is imported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import msgspec

from pallet.config.decode import decode_args
from pallet.config.errors import FieldPath, Mistake
from pallet.config.resolve import unknown_plugins
from pallet.config.schema import ExtensionPoint, Profile
from pallet.framework.handle import Handle
from pallet.runtime import contract

ENTRY_POINT_GROUP = "pallet.plugins"

METHODS: Mapping[ExtensionPoint, tuple[str, ...]] = {
    ExtensionPoint.PRE_ENQUEUE: ("pre_enqueue",),
    ExtensionPoint.QUEUE_SORT: ("sort_key",),
    ExtensionPoint.PRE_FILTER: ("pre_filter",),
    ExtensionPoint.FILTER: ("filter", "filter_rows"),
    ExtensionPoint.POST_FILTER: ("post_filter",),
    ExtensionPoint.PRE_SCORE: ("pre_score",),
    ExtensionPoint.SCORE: ("score", "score_rows"),
    ExtensionPoint.RESERVE: ("reserve",),
    ExtensionPoint.PERMIT: ("permit",),
    ExtensionPoint.PRE_BIND: ("pre_bind",),
    ExtensionPoint.BIND: ("bind",),
    ExtensionPoint.POST_BIND: ("post_bind",),
    ExtensionPoint.POD_GROUP_POST_FILTER: (),
}
"""A plugin serves an extension point by having one of its methods."""


def serves(plugin: object, point: ExtensionPoint) -> bool:
    """Whether a plugin, or a class of plugins, has anything to do at an extension point."""
    return any(hasattr(plugin, name) for name in METHODS[point])


class NoArgs(msgspec.Struct, frozen=True, rename="camel"):
    """The arguments of a plugin that takes none."""


@dataclass(frozen=True, slots=True)
class PluginFactory:
    """How to make a plugin: its class, and what to call with its arguments and the handle.

    `also_at` are extension points where a configuration may name it, though it has nothing to do there.
    """

    kind: type[Any]
    make: Callable[[Any, Handle], Any]
    also_at: frozenset[ExtensionPoint] = frozenset()

    @classmethod
    def of(cls, kind: type[Any]) -> "PluginFactory":
        """The factory of a class that is made as `Class(args, handle)`."""
        return cls(kind, kind)

    @property
    def points(self) -> frozenset[ExtensionPoint]:
        """The extension points where the plugin may be enabled."""
        return self.also_at.union(point for point in METHODS if serves(self.kind, point))

    def build(self, raw_args: dict[str, Any], path: FieldPath, handle: Handle) -> Any:
        """Make the plugin. Raise ConfigError when its arguments, which stand at `path`, are wrong.

        A plugin names the struct of its arguments in the class attribute `args_type`.
        """
        args = decode_args(getattr(self.kind, "args_type", NoArgs), raw_args, path)
        return self.make(args, handle)


class Registry:
    """Plugins by name."""

    def __init__(self, built_in: Mapping[str, PluginFactory]) -> None:
        installed = {point.name: point.load for point in entry_points(group=ENTRY_POINT_GROUP)}
        self._known = installed | {name: _constant(factory) for name, factory in built_in.items()}
        self._loaded: dict[str, PluginFactory] = {}

    def mistakes(self, profile: Profile) -> list[Mistake]:
        """The plugins of a profile that there are not, or that are wrong, each with its place in the file."""
        places = dict(profile.named_plugins())
        found = [name for name in places if name in self._known or ":" in name]
        broken = [places[name].mistake(problem) for name in found for problem in self._problems(name)]
        return unknown_plugins(profile, {*self._known, *found}) + broken

    def _problems(self, name: str) -> list[str]:
        """Why a plugin cannot be used; empty when it can."""
        try:
            factory = self.find(name)
        except Exception as error:  # noqa: BLE001 - importing a foreign module may raise anything
            return [f'cannot load plugin "{name}": {error}; is its package installed and in order?']
        return [f'plugin "{name}": {problem}' for problem in contract.problems(factory.kind)]

    def find(self, name: str) -> PluginFactory:
        """The factory behind a name. Raise what its module raises, or TypeError when it is no plugin."""
        if name not in self._loaded:
            found = self._known[name]() if name in self._known else _import(name)
            if not isinstance(found, PluginFactory | type):
                raise TypeError(f"{found!r} is not a class")
            self._loaded[name] = found if isinstance(found, PluginFactory) else PluginFactory.of(found)
        return self._loaded[name]


def _constant(factory: PluginFactory) -> Callable[[], Any]:
    return lambda: factory


def _import(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
