"""In-tree volumes on nodes whose CSINode says that their plugin is migrated: there their CSI form counts.

kube-scheduler looks at it for volumes that are bound, or waited for, and not where it finds a free volume
for a claim; nor does it translate the topologies that a class allows.
"""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from pallet.api.in_tree import plugin_of
from pallet.api.storage import CSI_NODES, CSINode, PersistentVolume
from pallet.cache.changes import ChangeLog
from pallet.cache.columns import Mask
from pallet.cache.cursor import Cursor
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import RowChoice
from pallet.informers.factory import InformerFactory
from pallet.informers.informer import Handler
from pallet.plugins.volumes.node_affinity import (
    VolumeNodeAffinity,
    matches_labels,
    matching_mask,
    node_affinity_of,
)
from pallet.plugins.volumes.topology import csi_node_affinity, mistake_of

MIGRATED_PLUGINS = "storage.alpha.kubernetes.io/migrated-plugins"
"""On a CSINode: names of in-tree plugins, with commas between."""


class UntranslatableError(Exception):
    """An in-tree volume has no CSI form where one is needed; the text is kube-scheduler's."""


class InTreeNodeAffinity(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """From where an in-tree volume can be reached: `csi` where its plugin is migrated, else as written.

    `mistake` says why it has no CSI form; empty for one that has.
    """

    plugin: str
    written: VolumeNodeAffinity
    csi: VolumeNodeAffinity
    mistake: str = ""


def bound_node_affinity(volume: PersistentVolume) -> VolumeNodeAffinity | InTreeNodeAffinity:
    """From where a volume that is bound can be reached; a plain reach where migration changes nothing."""
    written, plugin = node_affinity_of(volume), plugin_of(volume.spec)
    if plugin is None:
        return written
    csi, mistake = csi_node_affinity(volume, plugin), mistake_of(volume, plugin)
    return InTreeNodeAffinity(plugin, written, csi, mistake) if mistake or csi != written else written


class Migration:
    """The nodes on which each in-tree plugin is migrated."""

    def __init__(self, informers: InformerFactory) -> None:
        self.changes: ChangeLog[str] = ChangeLog()
        """The nodes where it changes."""
        self._plugins: dict[str, frozenset[str]] = {}
        self._masks: WeakKeyDictionary[ChangeLog[int], dict[str, tuple[Cursor, Mask]]] = WeakKeyDictionary()
        nodes = informers.informer(CSI_NODES)
        nodes.add_handler(Handler(self._put, lambda _, new: self._put(new), self._drop))

    def matches_labels(
        self, affinity: VolumeNodeAffinity | InTreeNodeAffinity, node_name: str, labels: Mapping[str, str]
    ) -> bool:
        """Whether a volume can be reached from a node with these labels. Raise UntranslatableError."""
        if not isinstance(affinity, InTreeNodeAffinity):
            return matches_labels(affinity, labels)
        if affinity.plugin not in self._plugins.get(node_name, ()):
            return matches_labels(affinity.written, labels)
        if affinity.mistake:
            raise _untranslatable(affinity)
        return matches_labels(affinity.csi, labels)

    def matching_mask(
        self, affinity: VolumeNodeAffinity | InTreeNodeAffinity, table: NodeTable, rows: RowChoice
    ) -> Mask:
        """From which of the rows a volume can be reached: bool, (rows,). Raise UntranslatableError."""
        if not isinstance(affinity, InTreeNodeAffinity):
            return matching_mask(affinity, table, rows)
        migrated = self._migrated(affinity.plugin, table)[rows]
        if affinity.mistake and (migrated & table.live[rows]).any():
            raise _untranslatable(affinity)
        return np.where(
            migrated, matching_mask(affinity.csi, table, rows), matching_mask(affinity.written, table, rows)
        )

    def _migrated(self, plugin: str, table: NodeTable) -> Mask:
        """The rows where a plugin is migrated; remembered until CSINodes or nodes change."""
        masks = self._masks.setdefault(table.node_changes, {})
        logs = self.changes, table.node_changes
        seen, mask = masks.get(plugin, (Cursor(), table.live))
        if seen.is_behind(*logs):
            mask = np.zeros_like(table.live)
            names = (name for name, plugins in self._plugins.items() if plugin in plugins)
            mask[[table.row_of[name] for name in names if name in table.row_of]] = True
            masks[plugin] = Cursor(*logs), mask
        return mask

    def _put(self, node: CSINode) -> None:
        name, listed = node.metadata.name, node.metadata.annotations.get(MIGRATED_PLUGINS, "")
        plugins = frozenset(listed.split(","))
        if plugins != self._plugins.get(name):
            self._plugins[name] = plugins
            self.changes.record(name)

    def _drop(self, node: CSINode) -> None:
        self._plugins.pop(node.metadata.name, None)
        self.changes.record(node.metadata.name)


def _untranslatable(affinity: InTreeNodeAffinity) -> UntranslatableError:
    return UntranslatableError(f"could not translate pv: {affinity.mistake}")
