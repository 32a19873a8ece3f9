"""Remembered answers that are compared with fresh ones, to find wrong declarations of what they depend on.

A plugin that reads more than it declares is not asked when that changes. One whose signature leaves out a
part of the pod answers for pods that it was not asked about. Nothing fails then, and pods are placed wrongly.
Here each answer is asked for again, for all rows, whenever it is read.
"""

import inspect
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy.typing as npt

from pallet.cache.cursor import Cursor
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.framework.interface import ALL_ROWS, Reads
from pallet.framework.state import CycleState
from pallet.runtime.adapter import FilterAdapter, ScoreAdapter
from pallet.runtime.results import PluginMethods, PluginResult


class WrongDeclaration(NamedTuple):
    """A declaration of a plugin's that does not hold, and what to write in its place."""

    plugin: str
    declaration: str
    """The attribute, such as `filter_reads`."""
    place: str
    """Its file and line; empty where they cannot be told."""
    remedy: str
    difference: str

    def __str__(self) -> str:
        place = f" ({self.place})" if self.place else ""
        return f"{self.plugin}: {self.declaration}{place} does not hold: {self.difference}; {self.remedy}"


Report = Callable[[WrongDeclaration], None]


@dataclass(frozen=True, slots=True)
class CheckedPlugin:
    """A plugin at Filter or Score, and what reports that one of its declarations does not hold."""

    plugin: Any
    point: str
    """`filter` or `score`."""
    report: Report

    @property
    def written(self) -> Any:
        """The plugin as its author wrote it."""
        return self.plugin.plain if isinstance(self.plugin, FilterAdapter | ScoreAdapter) else self.plugin

    def words(self, info: PodInfo, answer: int) -> str:
        """An answer as the author knows it."""
        if self.point == "score":
            return f"scores {answer}"
        return f'refuses with "{self.plugin.explain(info, answer).message}"' if answer else "lets it pass"

    def report_wrong(self, declaration: str, remedy: str, difference: str) -> None:
        """Report that a declaration does not hold."""
        place = _place_of(type(self.written), declaration)
        self.report(WrongDeclaration(self.plugin.name, declaration, place, remedy, difference))


class _Reader(NamedTuple):
    """The pod for which an answer was compared last, and how far the change logs were read then."""

    state: CycleState
    info: PodInfo
    nodes: Cursor
    loads: Cursor


class CheckedResult(PluginResult):
    """What one plugin answers for one signature, corrected when it is found to be wrong."""

    __slots__ = ("_last", "_plugin")

    def __init__(self, methods: PluginMethods, signature: Hashable, plugin: CheckedPlugin) -> None:
        super().__init__(methods, signature)
        self._plugin = plugin
        self._last: _Reader | None = None

    @property
    def changes_with_load(self) -> bool:
        """It is compared in any case."""
        return True

    def refresh(self, state: CycleState, info: PodInfo, snapshot: Snapshot) -> None:
        """Ask again where something changed, then everywhere, and go on with the fresh answer."""
        super().refresh(state, info, snapshot)
        table = snapshot.table
        fresh = self._methods.rows(state, info, snapshot, ALL_ROWS)
        wrong = (table.live & (fresh != self.values)).nonzero()[0]
        if wrong.size:
            row = wrong.item(0)
            self._report_wrong(state, info, snapshot, row, fresh)
            self.values[wrong] = fresh[wrong]
            self.changes.record_all(wrong.tolist())
        self._last = _Reader(state, info, Cursor(table.node_changes), Cursor(table.load_changes))

    def _report_wrong(
        self, state: CycleState, info: PodInfo, snapshot: Snapshot, row: int, fresh: npt.NDArray[Any]
    ) -> None:
        """Find out which declaration led to a wrong answer about a row."""
        methods, point, last = self._methods, self._plugin.point, self._last
        remembered, answer = self.values.item(row), fresh.item(row)
        words, name = self._plugin.words, snapshot.table.name(row)
        difference = (
            f"for pod {info.pod.key} on node {name} the plugin {words(info, answer)}, "
            f"and what was remembered {words(info, remembered)}"
        )
        quick = methods.row if hasattr(self._plugin.written, f"{point}_row") else None
        if quick is not None and quick(state, info, snapshot, row) != answer:
            self._plugin.report_wrong(f"{point}_row", f"answer as {point}_rows does", difference)
        elif last is not None and self._is_of_another_pod(last, info, snapshot, row):
            self._plugin.report_wrong(
                f"{point}_signature" if methods.changes is None else f"{point}_topic",
                f"return all of the pod that {point} looks at",
                f"{difference}, as for pod {last.info.pod.key}",
            )
        elif methods.changes is not None:
            self._plugin.report_wrong(
                f"{point}_changes", "name all rows whose answer may have changed", difference
            )
        else:
            reads = self._wider(last, snapshot, row)
            self._plugin.report_wrong(f"{point}_reads", f"write {point}_reads = {reads}", difference)

    def _is_of_another_pod(self, last: _Reader, info: PodInfo, snapshot: Snapshot, row: int) -> bool:
        """Whether the remembered answer still is the one about the pod before."""
        if last.info.pod is info.pod:
            return False
        answer = self._methods.rows(last.state, last.info, snapshot, slice(row, row + 1))
        return bool(answer.item(0) == self.values.item(row))

    def _wider(self, last: _Reader | None, snapshot: Snapshot, row: int) -> Reads:
        """What the plugin seems to read, by what changed since the answer was right."""
        table = snapshot.table
        if last is not None and self._methods.reads is Reads.NODE:
            if row in (last.loads.read(table.load_changes) or ()):
                return Reads.LOAD
            if last.nodes.is_behind(table.node_changes):
                return Reads.NODES
        return Reads.CLUSTER


_DECLARED: Final = r"^\s*(?:self\.)?(?:def )?{}\b"


def _place_of(kind: type[Any], declaration: str) -> str:
    """The file and line where a class or one of its bases declares something; empty where there is none."""
    for each in kind.__mro__:
        if declaration in vars(each):
            try:
                lines, first = inspect.getsourcelines(each)
                file = inspect.getsourcefile(each)
            except (OSError, TypeError):
                return ""
            pattern = re.compile(_DECLARED.format(declaration))
            found = [number for number, line in enumerate(lines, start=first) if pattern.match(line)]
            return f"{file}:{found[0]}" if found else ""
    return ""
