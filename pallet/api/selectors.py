"""Label selectors and node selectors.

As the Kubernetes documentation has them, under "Labels and Selectors" and "Assigning Pods to Nodes".
An operator that is not known selects nothing.
"""

import re
from collections.abc import Mapping

import msgspec

from pallet.api.labels import NO_LABELS, Labels
from pallet.api.names import is_label_key, is_label_value

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")


class LabelRequirement(msgspec.Struct, frozen=True, gc=False, rename="camel", cache_hash=True):
    """One expression of a label selector; operators are In, NotIn, Exists and DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels meet the requirement. NotIn is met by labels without the key."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
            case _:
                return False

    def __str__(self) -> str:
        values = ",".join(self.values)
        match self.operator:
            case "In" | "NotIn":
                return f"{self.key} {self.operator.lower()} ({values})"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
            case _:
                return f"{self.key} {self.operator} {values}"


class LabelSelector(
    msgspec.Struct, frozen=True, gc=False, rename="camel", cache_hash=True, omit_defaults=True
):
    """A selector of objects by their labels: all of it must be met, and an empty one selects everything."""

    match_labels: Labels = NO_LABELS
    match_expressions: tuple[LabelRequirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels are selected."""
        return self.match_labels.items() <= labels.items() and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )

    def __str__(self) -> str:
        """Write the selector as `kubectl -l` takes it."""
        parts = [f"{key}={value}" for key, value in self.match_labels.items()]
        return ",".join(parts + [str(requirement) for requirement in self.match_expressions])


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Say whether labels are selected by an optional selector: one that is absent selects nothing."""
    return selector is not None and selector.matches(labels)


class NodeSelectorRequirement(LabelRequirement, frozen=True):
    """One expression of a node selector; the operators of a label selector, and Gt and Lt on integers."""

    @property
    def valid(self) -> bool:
        """Whether the API server would accept this as a requirement on labels."""
        match self.operator:
            case "In" | "NotIn":
                counted = len(self.values) > 0
            case "Exists" | "DoesNotExist":
                counted = not self.values
            case "Gt" | "Lt":
                counted = len(self.values) == 1 and label_integer(self.values[0]) is not None
            case _:
                counted = False
        return counted and is_label_key(self.key) and all(map(is_label_value, self.values))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels of a node meet the requirement."""
        if self.operator not in ("Gt", "Lt"):
            return super().matches(labels)
        value = label_integer(labels.get(self.key, ""))
        bound = label_integer(self.values[0]) if len(self.values) == 1 else None
        if value is None or bound is None:
            return False
        return value > bound if self.operator == "Gt" else value < bound


class NodeSelectorTerm(
    msgspec.Struct, frozen=True, gc=False, rename="camel", cache_hash=True, omit_defaults=True
):
    """Requirements that a node must meet all of; a term without any selects no node.

    `match_expressions` are about the node's labels. `match_fields` know the field `metadata.name` and the
    operators In and NotIn, with exactly one value.
    """

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the term has requirements, all well formed; one that is not valid selects no node."""
        if not self.match_expressions and not self.match_fields:
            return False
        for requirement in self.match_expressions:  # there may be thousands: all() takes longer
            if not requirement.valid:
                return False
        return all(
            requirement.operator in ("In", "NotIn") and len(requirement.values) == 1
            for requirement in self.match_fields
        )

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Say whether the term selects a node of this name and with these labels."""
        return (
            all(requirement.matches(labels) for requirement in self.match_expressions)
            and all(matches_name(requirement, name) for requirement in self.match_fields)
            and self.valid  # which is more to find out
        )


class NodeSelector(
    msgspec.Struct, frozen=True, gc=False, rename="camel", cache_hash=True, omit_defaults=True
):
    """A selector of nodes: any one of its terms is enough."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Say whether a node of this name and with these labels is selected."""
        return any(term.matches(name, labels) for term in self.node_selector_terms)


def matches_name(requirement: NodeSelectorRequirement, name: str) -> bool:
    """Say whether a node's name meets a requirement of a valid term's `match_fields`."""
    value = name if requirement.key == "metadata.name" else ""
    return (value in requirement.values) == (requirement.operator == "In")


def label_integer(text: str) -> int | None:
    """Read a label's value as Gt and Lt do: a decimal int64, else None."""
    if _INTEGER.fullmatch(text) is None:
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None
