"""What somebody outside the process says about a pod's nodes, before the decision is made."""

from collections.abc import Mapping

import msgspec

from pallet.framework.status import Status


class Advice(msgspec.Struct, frozen=True):
    """The only nodes to choose from, why others that were feasible are left out, and scores to add."""

    names: frozenset[str]
    refused: Mapping[str, Status] = {}
    scores: Mapping[str, int] = {}
