"""Node selectors over all nodes at once, on the label columns of the node table."""

from collections.abc import Sequence

import numpy as np

from pallet.api.labels import Labels
from pallet.api.selectors import (
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    label_integer,
    matches_name,
)
from pallet.cache.columns import ABSENT, Codes, LabelColumn, Mask
from pallet.cache.node_table import NodeTable
from pallet.framework.interface import RowChoice


def match_required(
    selector: Labels, required: NodeSelector | None, table: NodeTable, rows: RowChoice
) -> Mask:
    """Which of the rows a pod's node selector and required node affinity (None for any node) admit."""
    selected = np.ones_like(table.live[rows])
    for key, value in selector.items():
        selected &= match_label(NodeSelectorRequirement(key, "In", (value,)), table.labels[key], rows)
    if required is not None:
        selected &= match_any(required.node_selector_terms, table, rows)
    return selected


def match_any(terms: Sequence[NodeSelectorTerm], table: NodeTable, rows: RowChoice) -> Mask:
    """Which of the rows at least one term selects: bool, (rows,). No terms select nothing."""
    selected = np.zeros_like(table.live[rows])
    for term in terms:
        selected |= match_term(term, table, rows)
    return selected


def match_term(term: NodeSelectorTerm, table: NodeTable, rows: RowChoice) -> Mask:
    """Which of the rows a term selects. An empty or invalid term selects nothing, as in Kubernetes."""
    if not term.valid:
        return np.zeros_like(table.live[rows])
    selected = np.ones_like(table.live[rows])
    for requirement in term.match_expressions:
        selected &= match_label(requirement, table.labels[requirement.key], rows)
    for requirement in term.match_fields:
        selected &= _match_name(requirement, table, rows)
    return selected


def match_label(requirement: NodeSelectorRequirement, column: LabelColumn, rows: RowChoice) -> Mask:
    """Which of the rows meet a requirement on one label."""
    codes: Codes = column.codes[rows]
    match requirement.operator:
        case "In":
            return _is_in(codes, column, requirement.values)
        case "NotIn":
            return ~_is_in(codes, column, requirement.values)
        case "Exists":
            return np.not_equal(codes, ABSENT)
        case "DoesNotExist":
            return np.equal(codes, ABSENT)
    bound = label_integer(requirement.values[0]) if len(requirement.values) == 1 else None
    if bound is None or requirement.operator not in ("Gt", "Lt"):
        return np.zeros(codes.shape, np.bool_)
    integers, known = column.integers()
    meets = known & (integers > bound if requirement.operator == "Gt" else integers < bound)
    return meets.take(codes)


def _is_in(codes: Codes, column: LabelColumn, values: Sequence[str]) -> Mask:
    wanted = [column.code_of[value] for value in values if value in column.code_of]
    if len(wanted) == 1:
        return np.equal(codes, wanted[0])
    return _is_any(codes, wanted)


def _match_name(requirement: NodeSelectorRequirement, table: NodeTable, rows: RowChoice) -> Mask:
    """A requirement on the field metadata.name."""
    indexes = np.arange(table.capacity)[rows]
    if requirement.operator == "In":
        return _is_any(indexes, [table.row_of[name] for name in requirement.values if name in table.row_of])
    return np.array([matches_name(requirement, table.name(row)) for row in indexes.tolist()], np.bool_)


def _is_any(values: Codes, wanted: Sequence[int]) -> Mask:
    """Which of some small integers are among others. Sorting them instead would be slower the first time."""
    return np.isin(values, np.array(wanted, np.intp), kind="table")
