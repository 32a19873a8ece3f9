"""A cluster of a few nodes and pods, on which the default profile is asked to make room for a pod."""

import dataclasses
from collections.abc import Iterable, Mapping
from random import Random
from typing import cast

from msgspec.structs import replace

from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.node import Node
from pallet.api.pod import Pod
from pallet.api.selectors import LabelSelector
from pallet.api.workloads import (
    POD_DISRUPTION_BUDGETS,
    OwnerSpec,
    PodDisruptionBudget,
    PodDisruptionBudgetStatus,
)
from pallet.cache.cache import Cache
from pallet.cache.pod_info import PodInfo
from pallet.config.load import default_configuration
from pallet.framework.handle import PreemptionExtenders
from pallet.framework.state import CycleState
from pallet.plugins import names
from pallet.plugins.default_preemption import Decision, DefaultPreemption, DefaultPreemptionArgs
from pallet.plugins.registry import BUILT_IN, DEFAULTS
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.post_filter import run_post_filters
from pallet.runtime.profile import build_profile
from pallet.runtime.registry import PluginFactory, Registry
from tests.builders import at
from tests.profiles import make_handle


def make_budget(
    name: str,
    labels: Mapping[str, str] | None,
    allowed: int = 0,
    *,
    disrupted: Iterable[str] = (),
    namespace: str = "default",
) -> PodDisruptionBudget:
    """A budget for the pods with some labels; None for no selector."""
    selector = None if labels is None else LabelSelector(Labels(labels))
    return PodDisruptionBudget(
        ObjectMeta(name=name, namespace=namespace, resource_version="1"),
        OwnerSpec(selector),
        PodDisruptionBudgetStatus(allowed, dict.fromkeys(disrupted, at(0))),
    )


class Scene:
    """The cluster, with the plugins of the default profile."""

    def __init__(
        self,
        nodes: Iterable[Node],
        pods: Iterable[Pod] = (),
        budgets: Iterable[PodDisruptionBudget] = (),
        *,
        nominated: Mapping[str, Iterable[Pod]] | None = None,
        args: DefaultPreemptionArgs | None = None,
        extenders: PreemptionExtenders | None = None,
    ) -> None:
        self.cache = Cache()
        for node in nodes:
            self.cache.put_node(node)
        for pod in pods:
            self.cache.put_pod(pod)
        self.budgets = list(budgets)
        self._versions = 1
        handle = make_handle(self.cache, {POD_DISRUPTION_BUDGETS: self.budgets})
        self.handle = dataclasses.replace(handle, extenders=extenders)
        for node_name, waiting in (nominated or {}).items():
            for pod in waiting:
                self.handle.nominator.nominate(PodInfo(pod), node_name)
        given = args or DefaultPreemptionArgs()
        factory = PluginFactory(DefaultPreemption, lambda _args, handle: DefaultPreemption(given, handle))
        registry = Registry({**BUILT_IN, names.DEFAULT_PREEMPTION: factory})
        self.profile = build_profile(default_configuration().profiles[0], DEFAULTS, registry, self.handle)
        self.plugin = cast("DefaultPreemption", self.profile.plugins[names.DEFAULT_PREEMPTION])
        self.evaluator = Evaluator(self.profile, self.cache.snapshot, Random(0))  # noqa: S311 - breaks ties

    def update_budget(self, budget: PodDisruptionBudget) -> None:
        """Have a budget change."""
        self._versions += 1
        meta = replace(budget.metadata, resource_version=str(self._versions))
        self.handle.informers.informer(POD_DISRUPTION_BUDGETS).put(replace(budget, metadata=meta))

    def choose(self, pod: Pod) -> tuple[CycleState, Choice]:
        """What the cycle finds before preemption."""
        state = CycleState()
        return state, self.evaluator.choose(state, PodInfo(pod))

    def decide(self, pod: Pod) -> Decision:
        """What preemption would do for a pod that fits nowhere."""
        state, choice = self.choose(pod)
        assert choice.node is None
        return self.plugin.decide(
            state, PodInfo(pod), self.cache.snapshot, choice.refusals, self.evaluator.row_filters
        )

    def decision(self, pod: Pod) -> str:
        """The same in words: the node and the victims, or what is said."""
        decision = self.decide(pod)
        if decision.status.ok:
            return f"{decision.node}: {' '.join(victim.metadata.name for victim in decision.victims)}"
        return decision.status.message

    def message(self, pod: Pod) -> tuple[str | None, str]:
        """What the post-filter plugins nominate, and all that a pod is told."""
        state, choice = self.choose(pod)
        assert choice.node is None
        node, status = run_post_filters(
            self.profile,
            state,
            PodInfo(pod),
            self.cache.snapshot,
            choice.refusals,
            self.evaluator.row_filters,
        )
        return node, " ".join(filter(None, (choice.message, status.message)))
