"""pallet's side: the object graph of the real process on its own informers, deciding without binding."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
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
from pallet.extenders.extender import ExtenderError, extenders_of
from pallet.framework.extender_result import ExtenderResult
from pallet.framework.state import CycleState
from pallet.informers.informer import Handler
from pallet.plugins.default_preemption import DefaultPreemption
from pallet.runtime.evaluator import Choice, Evaluator
from pallet.runtime.incremental_totals import INFEASIBLE
from pallet.runtime.post_filter import run_post_filters
from tools.parity.decision import Decision

SYNC_SECONDS = 30.0

POD_SCHEDULED = "PodScheduled"

Work = Callable[..., Coroutine[Any, Any, None]]


class Pallet:
    """The live cache of one cluster, and pure decisions on it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        evaluator_of = partial(Evaluator, snapshot=graph.cache.snapshot, rng=Random(0))  # noqa: S311 - breaks ties
        self._evaluators = {name: evaluator_of(profile) for name, profile in graph.profiles.items()}
        self._alone = {
            name: {
                plugin.name: evaluator_of(replace(profile, score=((plugin, weight),)))
                for plugin, weight in profile.score
            }
            for name, profile in graph.profiles.items()
        }
        """By profile and score plugin, what it gives by itself."""
        graph.tasks.start = self._put_aside  # type: ignore[method-assign]  # in place of having it done
        self._beside: list[tuple[Work, tuple[Any, ...]]] = []
        self._victims: frozenset[str] = frozenset()
        for plugin in (each for profile in graph.profiles.values() for each in profile.post_filter):
            if isinstance(plugin, DefaultPreemption):
                # Nothing is to be evicted: who is to go is all that is wanted to be known.
                plugin._executor.start = self._note_eviction  # type: ignore[method-assign, assignment]
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
        async with (
            Client.connect(settings.kubeconfig, qps=0) as client,
            extenders_of(settings.configuration.extenders) as extenders,
        ):
            graph = Graph(settings, client, client, extenders)
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

    async def decide(self, pod: Pod) -> Decision:
        """What the scheduler would do with a pod now."""
        info, profile = PodInfo(pod), pod.spec.scheduler_name
        evaluator = self._evaluators[profile]
        try:
            advice = await self._advice(evaluator, info)
        except ExtenderError as failure:
            return Decision(message=str(failure))
        state = CycleState()
        choice = evaluator.choose(state, info, extender_result=advice)
        if choice.node is None:
            return await self._refusal(evaluator, state, info, choice)
        shares = {name: _totals(alone, info, advice) for name, alone in self._alone[profile].items()}
        totals = _totals(evaluator, info, advice)
        if advice is not None:
            totals = {node: total + advice.scores.get(node, 0) for node, total in totals.items()}
        if choice.feasible == 1:  # the node that it is nominated to: the others do not matter then
            totals = {choice.node: totals[choice.node]}
        return Decision(choice.node, totals=totals, shares=shares)

    async def _advice(self, evaluator: Evaluator, info: PodInfo) -> ExtenderResult | None:
        """What extenders say of the feasible nodes; None where they are not asked."""
        extenders = self.graph.extenders
        if not extenders.are_asked_about(info.pod):
            return None
        feasible = evaluator.feasible(CycleState(), info)
        return await extenders.result(info.pod, feasible) if feasible else None

    def _note_eviction(self, _: Pod, __: str, victims: Sequence[Pod]) -> None:
        self._victims = frozenset(victim.key for victim in victims)

    async def _refusal(
        self, evaluator: Evaluator, state: CycleState, info: PodInfo, choice: Choice
    ) -> Decision:
        """What is said of a pod that fits nowhere, and what is done about it."""
        profile = evaluator.profile
        if not choice.refusals or not profile.post_filter:
            return Decision(message=choice.message)
        self._victims = frozenset()
        ask = partial(
            run_post_filters, profile, state, info, evaluator.snapshot, choice.refusals, evaluator.row_filters
        )
        nominated, status = ask()
        while self._beside:  # extenders are to be asked about victims, and are then heard in the next cycle
            work, args = self._beside.pop()
            await work(*args)
            nominated, status = ask()
        message = " ".join(filter(None, (choice.message, status.message)))
        if nominated is None:  # what was nominated before stands
            nominated = info.pod.status.nominated_node_name
        return Decision(message=message, nominated=nominated, victims=self._victims)

    def _put_aside(self, work: Work, *args: Any) -> None:
        """Keep what a plugin wants to have done beside the loop."""
        self._beside.append((work, args))

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


def _totals(evaluator: Evaluator, info: PodInfo, advice: ExtenderResult | None) -> dict[str, int]:
    """The totals of all nodes that are feasible, and that extenders leave, without what extenders add."""
    table = evaluator.snapshot.table
    if advice is not None:
        state = CycleState()
        evaluator._pre_filters.run(state, info, evaluator.snapshot)  # so that its filters know the pod
        found, some = evaluator._totals_over(state, info, evaluator._rows(advice.names))
        return {table.name(row): total for row, total in zip(found.tolist(), some.tolist(), strict=True)}
    totals = evaluator.totals(CycleState(), info)
    rows = (totals != INFEASIBLE).nonzero()[0]
    return {table.name(row): int(totals[row]) for row in rows.tolist()}
