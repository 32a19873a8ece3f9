"""Plugins that a configuration names by module path, or that an installed package would bring."""

from typing import Any

import msgspec

from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import NodeInfo
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status


class LimitArgs(msgspec.Struct, frozen=True, rename="camel"):
    """How many pods a node may have."""

    most_pods: int = 3


class Limit:
    """A plain filter with arguments."""

    name = "tests.runtime.sample_plugins:Limit"
    args_type = LimitArgs

    def __init__(self, args: LimitArgs, handle: Handle) -> None:
        self.args = args
        self.handle = handle

    def filter(self, state: CycleState, info: PodInfo, node: NodeInfo) -> Status:
        return SUCCESS


class Flat:
    """A plain score without arguments."""

    name = "Flat"

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take nothing."""

    def score(self, state: CycleState, info: PodInfo, node: NodeInfo) -> int:
        return 50


class Misnamed(Flat):
    """Means a hook, and spells it otherwise."""

    def normalise(self) -> None: ...


class Misspelt(Flat):
    """Declares metadata that pods do not have."""

    pod_metadata = frozenset({"anotations"})
