"""All extenders of a configuration, asked about one pod.

kube-scheduler asks extenders in the middle of a cycle, on its copy of the cluster. Here a cycle does not
wait: the extenders are asked first, about the nodes that are feasible then; what they say narrows and weighs
a decision that is made afresh on the cluster as it is when they have answered. About preemption they
are asked beside the loop, while other pods are scheduled.
"""

from collections.abc import Callable, Mapping, Sequence

import anyio

from pallet.api.pod import PODS, Pod
from pallet.cache.pod_info import PodInfo
from pallet.cache.snapshot import Snapshot
from pallet.client.answers import object_of
from pallet.client.client import Client
from pallet.client.errors import ApiError, Unreachable
from pallet.extenders.extender import Extender, ExtenderError
from pallet.extenders.wire import MAX_EXTENDER_SCORE, Document, MetaVictims
from pallet.framework.extender_result import ExtenderResult, Victims
from pallet.framework.interface import MAX_SCORE
from pallet.framework.status import Code, Status, error, unresolvable, unschedulable
from pallet.logs import get_logger

log = get_logger(__name__)

EXTENDER = "Extender"
"""The name under which extenders together refuse a pod (kube-scheduler's)."""

_WITHOUT_REASON = Status(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, plugin=EXTENDER)
"""As kube-scheduler sees what an extender leaves out in silence."""


class Extenders:
    """The extenders in their configured order, the ignorable ones last; `node` gives a whole node by name."""

    def __init__(
        self,
        extenders: Sequence[Extender],
        client: Client,
        node: Callable[[str], Document | None],
        snapshot: Snapshot,
    ) -> None:
        self._extenders = tuple(sorted(extenders, key=lambda each: each.configuration.ignorable))
        self._client = client
        self._node = node
        self._snapshot = snapshot

    def are_asked_about(self, pod: Pod) -> bool:
        """Whether any of them filters or scores, and wants to be asked about a pod."""
        return any(
            (each.configuration.filter_verb or each.configuration.prioritize_verb) and each.concerns(pod)
            for each in self._extenders
        )

    async def result(self, pod: Pod, names: Sequence[str]) -> ExtenderResult:
        """Ask about a pod on the nodes that are feasible for it.

        Raises ExtenderError where one that must not be ignored fails, and the client's errors.
        """
        asked = [each for each in self._extenders if each.concerns(pod)]
        document = await self._whole(pod)
        nodes: dict[str, Document] = {}
        if not all(each.configuration.node_cache_capable for each in asked):
            nodes = {name: found for name in names if (found := self._node(name)) is not None}
        left, refused = await self._filter(asked, document, names, nodes)
        for name in set(names).difference(left, refused):
            refused[name] = _WITHOUT_REASON
        scores = await self._prioritize(asked, document, left, nodes)
        return ExtenderResult(frozenset(left), refused, scores)

    async def _filter(
        self, asked: Sequence[Extender], pod: Document, names: Sequence[str], nodes: Mapping[str, Document]
    ) -> tuple[Sequence[str], dict[str, Status]]:
        """Ask one after the other, each about the nodes that are left."""
        refused: dict[str, Status] = {}
        left = names
        for each in asked:
            if not each.configuration.filter_verb or not left:
                continue
            try:
                kept, failed, failed_for_good = await each.filter(pod, left, nodes)
            except ExtenderError as failure:
                _skip_if_ignorable(each, failure)
                continue
            refused |= {name: unschedulable(reason).by(EXTENDER) for name, reason in failed.items()}
            refused |= {name: unresolvable(reason).by(EXTENDER) for name, reason in failed_for_good.items()}
            left = [name for name in left if name in kept]
        return left, refused

    async def _prioritize(
        self, asked: Sequence[Extender], pod: Document, names: Sequence[str], nodes: Mapping[str, Document]
    ) -> Mapping[str, int]:
        """Ask all at once; one that fails gives no scores."""
        scores = dict.fromkeys(names, 0)

        async def add(each: Extender) -> None:
            try:
                given = await each.prioritize(pod, names, nodes)
            except ExtenderError as failure:
                log.v(5, "An extender gave no scores", extender=each.url, error=failure)
                return
            factor = each.configuration.weight * (MAX_SCORE // MAX_EXTENDER_SCORE)
            for name, score in given.items():
                if name in scores:
                    scores[name] += score * factor

        if names:
            async with anyio.create_task_group() as tasks:
                for each in asked:
                    if each.configuration.prioritize_verb:
                        tasks.start_soon(add, each)
        return scores

    def are_asked_to_preempt(self, pod: Pod) -> bool:
        """Whether any of them wants to be asked before a pod preempts others."""
        return bool(self._preempting(pod))

    async def preempt(self, pod: Pod, candidates: Mapping[str, Victims]) -> Mapping[str, Victims] | Status:
        """Ask about victims by node, one extender after the other, each about what the one before left.

        An error where one that must not be ignored fails, or the API cannot be asked for whole pods.
        """
        left = candidates
        try:
            document = await self._whole(pod)
            for each in self._preempting(pod):
                given = await self._given(each, left)
                violations = {node: victims.violations for node, victims in left.items()}
                try:
                    answer = await each.preempt(document, given, violations)
                    left = self._understood(each, answer, left)
                except ExtenderError as failure:
                    _skip_if_ignorable(each, failure)
                if not left:
                    break
        except (ExtenderError, ApiError, Unreachable) as failure:
            return error(str(failure))
        return left

    def _preempting(self, pod: Pod) -> list[Extender]:
        return [each for each in self._extenders if each.configuration.preempt_verb and each.concerns(pod)]

    async def _given(
        self, extender: Extender, candidates: Mapping[str, Victims]
    ) -> Mapping[str, Sequence[str | Document]]:
        """What an extender is told of the victims by node."""
        pods = {victim.uid: victim.pod for each in candidates.values() for victim in each.pods}
        by_uid = extender.configuration.node_cache_capable
        told = {uid: uid if by_uid else await self._whole(victim) for uid, victim in pods.items()}
        return {node: [told[victim.uid] for victim in each.pods] for node, each in candidates.items()}

    def _understood(
        self, extender: Extender, answer: Mapping[str, MetaVictims], asked: Mapping[str, Victims]
    ) -> Mapping[str, Victims]:
        """The pods that an extender named by UID: those it was asked about, or others on the node."""
        understood = {}
        for node, named in answer.items():
            known = self._pods_on(node, asked.get(node))
            uids = [each.uid for each in named.pods or ()]
            if unknown := [uid for uid in uids if uid not in known]:
                raise ExtenderError(
                    f"extender: {extender.url} claims to preempt pod (UID: &{{{unknown[0]}}}) "
                    f"on node: {node}, but the pod is not found on that node"
                )
            if uids:
                understood[node] = Victims(tuple(known[uid] for uid in uids), named.numpdbviolations)
            elif not extender.configuration.ignorable:
                raise ExtenderError(f'expected at least one victim pod on node "{node}"')
        return understood

    def _pods_on(self, node: str, victims: Victims | None) -> dict[str, PodInfo]:
        """The pods on a node by UID, with its victims, which may be gone since the extender was asked."""
        row = self._snapshot.table.row_of.get(node)
        if row is None and victims is None:
            raise ExtenderError(f'nodeinfo not found for node name "{node}"')
        here = self._snapshot.pods(row) if row is not None else ()
        return {info.uid: info for info in (*here, *(victims.pods if victims else ()))}

    async def _whole(self, pod: Pod) -> Document:
        """A pod as the API has it."""
        path = PODS.path(pod.metadata.namespace, pod.metadata.name)
        read_pod = object_of(PODS, pod.metadata.name)

        def read(body: bytes) -> Document:
            read_pod(body)
            return body

        return await self._client.request("GET", path, read, verb="get", subject=f"pods {pod.key}")

    def binder(self, pod: Pod) -> Extender | None:
        """The extender that is to bind a pod, if one does; there is at most one."""
        return next(
            (each for each in self._extenders if each.configuration.bind_verb and each.concerns(pod)), None
        )


def _skip_if_ignorable(extender: Extender, failure: ExtenderError) -> None:
    """Raise the failure of an extender that matters."""
    if not extender.configuration.ignorable:
        raise failure
    log.info("Skipping an extender that failed and is ignorable", extender=extender.url, error=failure)
