"""Resource versions: which of two states is the older one.

Kubernetes promises since 1.35 that the resource versions of its own and of custom resources are numbers that
grow with every change of the collection.
"""

from pallet.api.meta import Object


def number(version: str) -> int | None:
    """Read a resource version; None for one that is no number, as other API servers may give."""
    return int(version) if version.isdecimal() else None


def is_older(obj: Object, known: Object) -> bool:
    """Whether a state is certainly older than another."""
    return precedes(obj.metadata.resource_version, known.metadata.resource_version)


def precedes(version: str, other: str) -> bool:
    """Whether a resource version certainly comes before another."""
    one, two = number(version), number(other)
    return one is not None and two is not None and one < two
