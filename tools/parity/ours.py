"""pallet's side: the object graph of the real process on its own informers, deciding without binding."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio

from pallet.api.meta import key_of
from pallet.api.pod import PODS, Pod
from pallet.api.resource import Resource
from pallet.app.graph import Graph
from pallet.cache.pod_info import PodInfo
from pallet.client.client import Client
from pallet.config.load import parse
from pallet.config.settings import Settings
from pallet.framework.evaluator import Choice, Evaluator
from pallet.framework.post_filter import run_post_filters
from pallet.framework.profile import Profile
from pallet.framework.state import CycleState
from pallet.framework.verdicts import INFEASIBLE
from pallet.informers.informer import Handler
from pallet.plugins.default_preemption import DefaultPreemption
from tools.parity.decision import Decision

SYNC_SECONDS = 30.0

POD_SCHEDULED = "PodScheduled"


class Pallet:
    """The live cache of one cluster, and pure decisions on it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        (self._profile,) = graph.profiles.values()
        self._evaluator = self._evaluator_of(self._profile)
        self._alone = {
            plugin.name: self._evaluator_of(replace(self._profile, score=((plugin, weight),)))
            for plugin, weight in self._profile.score
        }
        """By score plugin, what it gives by itself."""
        self._victims: frozenset[str] = frozenset()
        for plugin in self._profile.post_filter:
            if isinstance(plugin, DefaultPreemption):
                # Nothing is to be evicted: who is to go is all that is wanted to be known.
                plugin._evictions.start = self._note_eviction  # type: ignore[method-assign, assignment]
        self._pods = graph.informers.informer(PODS)
        self._changed = anyio.Event()
        self._pods.add_handler(Handler(self._wake, self._update, self._wake))  # after the cache's own
        self.decided: dict[str, Pod] = {}
        """By namespace/name, the first version of a pod that shows what kube-scheduler did with it."""

    @classmethod
    @asynccontextmanager
    async def connected(cls, kubeconfig: Path, configuration: str) -> AsyncIterator["Pallet"]:
        """Start it on what an API server has, without scheduling; `configuration` is a file's text."""
        settings = Settings(parse(configuration, "parity"), str(kubeconfig))
        async with Client.connect(settings.kubeconfig, qps=0) as client:
            graph = Graph(settings, client, client)
            pallet = cls(graph)
            async with anyio.create_task_group() as tasks:
                graph.informers.start(tasks)
                await graph.informers.wait_for_sync(SYNC_SECONDS)
                yield pallet
                tasks.cancel_scope.cancel()

    def pod(self, key: str) -> Pod | None:
        """A pod as the informer has it, by namespace/name."""
        return self._pods.store.get(key)

    def placed(self) -> list[Pod]:
        """All pods that have a node, or are nominated to one, and have not run to their end."""
        pods = (pod for pod in self._pods.store.list() if not pod.finished)
        return [pod for pod in pods if pod.spec.node_name or pod.status.nominated_node_name]

    def versions(self, resource: Resource[Any]) -> dict[str, str] | None:
        """The resource versions of a collection as its informer has it; None where nobody reads it."""
        informer = self.graph.informers.informer(resource)
        if not informer.synced.is_set():
            return None
        return {key_of(each): each.metadata.resource_version for each in informer.store.list()}

    async def change(self) -> None:
        """Wait until any pod changes."""
        await self._changed.wait()

    def decide(self, pod: Pod) -> Decision:
        """What the scheduler would do with a pod now."""
        info = PodInfo(pod)
        state = CycleState()
        choice = self._evaluator.choose(state, info)
        if choice.node is None:
            return self._refusal(state, info, choice)
        shares = {name: self._totals(evaluator, info) for name, evaluator in self._alone.items()}
        totals = self._totals(self._evaluator, info)
        if choice.feasible == 1:  # the node that it is nominated to: the others do not matter then
            totals = {choice.node: totals[choice.node]}
        return Decision(choice.node, totals=totals, shares=shares)

    def _note_eviction(self, _: Pod, __: str, victims: Sequence[Pod]) -> None:
        self._victims = frozenset(victim.key for victim in victims)

    def _refusal(self, state: CycleState, info: PodInfo, choice: Choice) -> Decision:
        """What is said of a pod that fits nowhere, and what is done about it."""
        if not choice.refusals:
            return Decision(message=choice.message)
        self._victims = frozenset()
        filters = self._evaluator.row_filters
        nominated, status = run_post_filters(self._profile, state, info, choice.refusals, filters)
        message = " ".join(filter(None, (choice.message, status.message)))
        if nominated is None:  # what was nominated before stands
            nominated = info.pod.status.nominated_node_name
        return Decision(message=message, nominated=nominated, victims=self._victims)

    def _totals(self, evaluator: Evaluator, info: PodInfo) -> dict[str, int]:
        table = self.graph.cache.snapshot.table
        totals = evaluator.totals(CycleState(), info)
        rows = (totals != INFEASIBLE).nonzero()[0]
        return {table.name(row): int(totals[row]) for row in rows.tolist()}

    def _evaluator_of(self, profile: Profile) -> Evaluator:
        return Evaluator(profile, self.graph.cache.snapshot, Random(0))  # noqa: S311 - breaks ties

    def _update(self, _: Pod, pod: Pod) -> None:
        if _is_decided(pod):
            self.decided.setdefault(pod.key, pod)
        self._wake()

    def _wake(self, *_: object) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _is_decided(pod: Pod) -> bool:
    """Whether a pod was placed or refused, by somebody who looked at nodes."""
    reasons = {each.reason for each in pod.status.conditions if each.type == POD_SCHEDULED}
    return bool(pod.spec.node_name) or not reasons.isdisjoint(("Unschedulable", "SchedulerError"))
