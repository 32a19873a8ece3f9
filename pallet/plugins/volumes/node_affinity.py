"""The nodes from which a volume can be reached.

kube-scheduler looks at the labels of a node only, so a term about its name is one about the empty name.
"""

from collections.abc import Mapping

import numpy as np

from pallet.api.selectors import NodeSelector, NodeSelectorTerm, matches_name
from pallet.api.storage import PersistentVolume
from pallet.bounded_cache import MIB, bounded_cache
from pallet.cache.changes import Rows
from pallet.cache.columns import Mask
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import ALL_ROWS, RowChoice
from pallet.plugins.node_selection import match_any

_NO_CODE = -1
"""Of a value that no node has."""

VolumeNodeAffinity = NodeSelector | None
"""A selector by labels; None for everywhere."""


def node_affinity_of(volume: PersistentVolume) -> VolumeNodeAffinity:
    """From where a volume can be reached, as it is written."""
    affinity = volume.spec.node_affinity
    return None if affinity is None or affinity.required is None else by_labels(affinity.required)


def matches_labels(affinity: VolumeNodeAffinity, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels is one of them."""
    return affinity is None or affinity.matches("", labels)


def matching_mask(affinity: VolumeNodeAffinity, table: NodeTable, rows: RowChoice) -> Mask:
    """Which of the rows are of them: bool, (rows,)."""
    if affinity is None:
        return np.ones_like(table.live[rows])
    return match_any(affinity.node_selector_terms, table, rows)


def matching_rows(affinity: VolumeNodeAffinity, table: NodeTable) -> Rows:
    """The rows that reach it: mostly those with one value of one label."""
    label = single_label(affinity)
    if label is None or len(label[1]) != 1:
        return matching_mask(affinity, table, ALL_ROWS).nonzero()[0]
    column = table.labels[label[0]]
    code = column.code_of.get(label[1][0], _NO_CODE)
    rows: Rows = (column.codes == code).nonzero()[0]
    return rows


def keys_of(affinity: VolumeNodeAffinity) -> set[str]:
    """The labels that it is about."""
    if affinity is None:
        return set()
    return {each.key for term in affinity.node_selector_terms for each in term.match_expressions}


@bounded_cache("volume_topologies", 4 * MIB)
def single_label(affinity: VolumeNodeAffinity) -> tuple[str, tuple[str, ...]] | None:
    """The label and its values, where nothing else decides: a hostname or a zone, as it mostly is."""
    if affinity is None or len(affinity.node_selector_terms) != 1:
        return None
    [term] = affinity.node_selector_terms
    if not term.valid or len(term.match_expressions) != 1 or term.match_expressions[0].operator != "In":
        return None
    return term.match_expressions[0].key, term.match_expressions[0].values


@bounded_cache("volume_topologies", 4 * MIB)
def by_labels(selector: NodeSelector) -> VolumeNodeAffinity:
    """The same selector without fields, which are those of a node without a name."""
    terms = []
    for term in selector.node_selector_terms:
        if term.valid and all(matches_name(field, "") for field in term.match_fields):
            if not term.match_expressions:
                return None
            terms.append(NodeSelectorTerm(term.match_expressions))
    return NodeSelector(tuple(terms))
