"""One cluster, pod by pod: pallet decides, then kube-scheduler acts, both from the same state."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync

from pallet.api.node import NODES
from pallet.api.pod import PODS, Pod
from pallet.api.resource import Resource
from pallet.api.storage import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from tools.controlplane import ControlPlane
from tools.controlplane.binaries import version
from tools.parity import stand_ins
from tools.parity.decision import Decision, differences
from tools.parity.extender import extending, hides_pods
from tools.parity.older import is_older, without_new_words
from tools.parity.ours import POD_SCHEDULED, Pallet
from tools.parity.preemption import rank
from tools.parity.reference import DecisionLog, configuration, kube_scheduler
from tools.parity.scenario import Manifest, Scenario, key_of
from tools.parity.world import CONTROLLERS, NO_PROTECTION, World

STEP_SECONDS = 20.0
RETRY_SECONDS = 3.0
"""How long a pod may take to be tried again when its victims are gone; it is not where no hint helps it."""
TELLING_SECONDS = 1.0
"""How long it may take until the first victim is told to go."""
PATIENCE = 4
"""Steps for which victims that take their time stay: meanwhile other pods meet a nominated one."""
POLL_SECONDS = 0.02

VOLUMES: Mapping[str, Resource[Any]] = {
    "PersistentVolume": PERSISTENT_VOLUMES,
    "PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIMS,
}

CHANGING: Mapping[str, Resource[Any]] = {"Node": NODES, "Pod": PODS}
"""Of what kinds the objects are that changes may change."""


@dataclass(frozen=True, slots=True)
class Step:
    """One pod's comparison."""

    scenario: Scenario
    number: int
    pod: Manifest
    ours: Decision
    theirs: Decision
    there: list[Pod]
    """The pods that had a node, or were nominated to one."""
    differences: list[str]
    comparable: bool
    """False when a pod that had preempted others got its place, or preempted once more, during the step:
    which scheduler decided after that is not known.
    """


@dataclass(frozen=True, slots=True)
class Preemption:
    """A pod that waits for its victims to go."""

    preemptor: Manifest
    victims: frozenset[str]
    over_at: int
    """The step before which the victims are gone."""


class Match:
    """Both schedulers on one cluster."""

    def __init__(self, world: World, pallet: Pallet, log: DecisionLog, scenario: Scenario) -> None:
        self._world = world
        self._pallet = pallet
        self._log = log
        self._scenario = scenario
        self._budgets = [each for each in scenario.objects if each["kind"] == "PodDisruptionBudget"]
        self._with_volumes = "volumes" in scenario.subjects
        self._with_priorities = "priority" in scenario.subjects
        self._older = is_older(version("kube-scheduler"))
        self._placed = 0
        self._preemptions: list[Preemption] = []

    async def step(self, number: int, manifest: Manifest) -> Step:
        """Compare one pod. If it was placed it stays, if it was refused it is deleted.

        Raises TimeoutError when kube-scheduler does not come to a decision.
        """
        await self._settle(number)
        await self._change(number)
        pod = await self._seen(manifest)
        waiting = self._preemptors()
        if waiting:  # they may have preempted once more since
            await self._poll(
                lambda: not any(self._log.attempt(key).evicting for key in waiting), STEP_SECONDS
            )
            await self._catch_up({"Pod": PODS})
        preempted = {key: self._log.attempt(key).targets for key in waiting}
        there = self._pallet.placed()
        ours = await self._pallet.decide(pod)
        await run_sync(self._world.open_gate, manifest)
        theirs = await self._outcome(manifest)
        ours, theirs = (self._ranked(decision, pod, there) for decision in (ours, theirs))
        if hides_pods(self._scenario.extenders, manifest):
            ours, theirs = ours.without_scores(), theirs.without_scores()
        if self._older:
            ours, theirs = without_new_words(ours), without_new_words(theirs)
        found = differences(ours, theirs)
        if theirs.node:
            await self._start(manifest)
        elif theirs.victims:
            patience = PATIENCE if all(map(self._is_there, theirs.victims)) else 1
            self._preemptions.append(Preemption(manifest, theirs.victims, number + patience))
            await self._catch_up({"Pod": PODS})  # others may be nominated no longer
        else:
            await self._remove(manifest)
        undisturbed = waiting <= self._preemptors()
        undisturbed &= preempted == {key: self._log.attempt(key).targets for key in waiting}
        return Step(self._scenario, number, manifest, ours, theirs, there, found, undisturbed)

    async def _change(self, number: int) -> None:
        """Make the changes that come before a step, and wait until both sides have seen them."""
        for change in self._scenario.changes:
            if change["before"] == number:
                key = key_of(change["object"])
                seen = self._log.events(key)
                if not await run_sync(self._world.change, change):
                    continue
                if not await self._poll(partial(self._has_seen, key, seen + 1), STEP_SECONDS):
                    raise TimeoutError(f"kube-scheduler did not see {change} within {STEP_SECONDS:.0f} s")
                kind = change["object"]["kind"]
                await self._catch_up({kind: CHANGING[kind]})

    def _has_seen(self, key: str, events: int) -> bool:
        return self._log.events(key) >= events

    def _preemptors(self) -> set[str]:
        """Those that wait for their victims to go."""
        waiting = (key_of(each.preemptor) for each in self._preemptions)
        return {key for key in waiting if not self._is_placed(key)}

    def _ranked(self, decision: Decision, pod: Pod, there: Iterable[Pod]) -> Decision:
        """A decision with the rank of its victims among the pods that were there when it was made."""
        if not decision.victims:
            return decision
        beside = [each for each in there if each.spec.node_name == decision.nominated]
        return replace(decision, rank=rank(pod, decision.victims, beside, self._budgets))

    async def _seen(self, manifest: Manifest) -> Pod:
        """The pod, as soon as our informer has it."""
        key = key_of(manifest)
        await self._until(lambda: self._pallet.pod(key) is not None, f"seeing pod {key}")
        pod = self._pallet.pod(key)
        assert pod is not None  # noqa: S101 - just waited for
        return pod

    async def _outcome(self, manifest: Manifest) -> Decision:
        """What kube-scheduler did with a pod, when our informer has seen it too."""
        key = key_of(manifest)
        async with anyio.create_task_group() as tasks:
            if stand_ins.has_claims(manifest):
                tasks.start_soon(self._provision)
            await self._until(lambda: key in self._pallet.decided, f"kube-scheduler's decision on {key}")
            tasks.cancel_scope.cancel()
        pod = self._pallet.decided[key]
        attempt = self._log.attempt(key)
        if pod.spec.node_name:
            return Decision(node=pod.spec.node_name, totals=attempt.totals, shares=attempt.shares)
        message = next(each.message for each in pod.status.conditions if each.type == POD_SCHEDULED)
        nominated = pod.status.nominated_node_name
        victims = await self._victims(key) if attempt.target else frozenset()
        return Decision(message=message, nominated=nominated, victims=victims)

    async def _provision(self) -> None:
        """Provision volumes until cancelled."""
        while True:
            await run_sync(stand_ins.provision, self._world)
            await anyio.sleep(POLL_SECONDS)

    async def _victims(self, preemptor: str) -> frozenset[str]:
        """The victims of a pod, when kube-scheduler has told all to go that were not going already."""
        if await self._poll(lambda: self._log.attempt(preemptor).preempting, TELLING_SECONDS):
            await self._poll(lambda: not self._log.attempt(preemptor).evicting, STEP_SECONDS)
        return frozenset(self._log.attempt(preemptor).victims)

    async def _start(self, manifest: Manifest) -> None:
        """Let a placed pod run, and wait until our informers know all that has come with its place."""
        self._placed += 1
        if self._with_priorities:  # who started first matters to nobody else
            await run_sync(stand_ins.start, self._world, manifest, self._placed)
            await self._until(lambda: self._has_started(key_of(manifest)), "the start of a pod")
        if self._with_volumes:
            await self._catch_up(VOLUMES)

    def _has_started(self, key: str) -> bool:
        pod = self._pallet.pod(key)
        return pod is not None and pod.status.start_time is not None

    async def _catch_up(self, collections: Mapping[str, Resource[Any]]) -> None:
        """Wait until our informers have all that the API server has."""
        for kind, resource in collections.items():
            with anyio.fail_after(STEP_SECONDS):
                versions = self._pallet.versions(resource)
                while versions is not None and versions != await run_sync(self._world.versions, kind):
                    await anyio.sleep(POLL_SECONDS)
                    versions = self._pallet.versions(resource)

    async def _settle(self, number: int) -> None:
        """End the preemptions whose time is over: the victims go, the pod gets its place or is deleted."""
        over = [each for each in self._preemptions if each.over_at <= number]
        self._preemptions = [each for each in self._preemptions if each not in over]
        for preemption in over:
            for victim in preemption.victims:
                await self._remove_pod(victim)
            preemptor = key_of(preemption.preemptor)
            await self._poll(partial(self._is_settled, preemptor), RETRY_SECONDS)
            if self._is_placed(preemptor):
                await self._start(preemption.preemptor)
            else:
                await self._remove(preemption.preemptor)
        if over:
            await self._catch_up({"Pod": PODS})

    def _is_settled(self, preemptor: str) -> bool:
        """Whether a pod got its place, or was refused once more since it preempted others."""
        attempt = self._log.attempt(preemptor)
        return self._is_placed(preemptor) or (attempt.refusals > 1 and not attempt.evicting)

    def _is_there(self, key: str) -> bool:
        return self._pallet.pod(key) is not None

    def _is_placed(self, key: str) -> bool:
        pod = self._pallet.pod(key)
        return pod is not None and bool(pod.spec.node_name)

    async def _remove(self, manifest: Manifest) -> None:
        await self._remove_pod(key_of(manifest))

    async def _remove_pod(self, key: str) -> None:
        await run_sync(self._world.delete_pod, key)
        await self._until(lambda: self._pallet.pod(key) is None, f"the end of pod {key}")

    async def _poll(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait for what is seen in a log, which wakes nobody; tell whether it was seen."""
        with anyio.move_on_after(seconds):
            while not done():  # noqa: ASYNC110 - see above
                await anyio.sleep(POLL_SECONDS)
        return done()

    async def _until(self, done: Callable[[], bool], what: str) -> None:
        with anyio.move_on_after(STEP_SECONDS):
            while not done():
                await self._pallet.change()
            return
        raise TimeoutError(f"{what} took longer than {STEP_SECONDS:.0f} s")


async def play(
    control_plane: ControlPlane, world: World, scenario: Scenario, take: Callable[[Step], None]
) -> None:
    """Put a scenario on the API server, compare all its pods, and clear up."""
    await run_sync(world.put, scenario)
    try:
        async with extending(scenario.extenders, world.bind) as extenders:
            configured = configuration(scenario.profiles, extenders)
            with kube_scheduler(control_plane, configured) as log:
                async with Pallet.connected(control_plane.kubeconfig, json.dumps(configured)) as pallet:
                    match = Match(world, pallet, log, scenario)
                    for number, pod in enumerate(scenario.pods):
                        take(await match.step(number, pod))
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(world.clear, scenario)


async def compare(scenarios: Iterable[Scenario], take: Callable[[Step], None]) -> None:
    """Compare on one scenario after the other, on a control plane of their own.

    Raises what starting it can raise, ApiError, and TimeoutError when kube-scheduler does not decide.
    """
    with ControlPlane(kwok=False, apiserver_args=[NO_PROTECTION], controllers=CONTROLLERS) as control_plane:
        world = World(control_plane)
        for scenario in scenarios:
            await play(control_plane, world, scenario, take)
