"""All extenders of a configuration, asked about one pod.

kube-scheduler asks extenders in the middle of a cycle, on its copy of the cluster. Here a cycle does not
wait: the extenders are asked first, about the nodes that are feasible then; what they say narrows and weighs
a decision that is made afresh on the cluster as it is when they have answered.
"""

from collections.abc import Callable, Mapping, Sequence

import anyio

from pallet.api.pod import PODS, Pod
from pallet.client.client import Client
from pallet.extenders.extender import Extender, ExtenderError
from pallet.extenders.wire import MAX_EXTENDER_SCORE, Document
from pallet.framework.advice import Advice
from pallet.framework.interface import MAX_SCORE
from pallet.framework.status import Code, Status, unresolvable, unschedulable
from pallet.logs import get_logger

log = get_logger(__name__)

EXTENDER = "Extender"
"""The name under which extenders together refuse a pod (kube-scheduler's)."""

_WITHOUT_REASON = Status(Code.UNSCHEDULABLE, plugin=EXTENDER)


class Extenders:
    """The extenders in their configured order; `node` gives a whole node by name."""

    def __init__(
        self, extenders: Sequence[Extender], client: Client, node: Callable[[str], Document | None]
    ) -> None:
        self._extenders = tuple(extenders)
        self._client = client
        self._node = node

    def are_asked_about(self, pod: Pod) -> bool:
        """Whether any of them filters or scores, and wants to be asked about a pod."""
        return any(
            (each.configuration.filter_verb or each.configuration.prioritize_verb) and each.concerns(pod)
            for each in self._extenders
        )

    async def advice(self, pod: Pod, names: Sequence[str]) -> Advice:
        """Ask about a pod on the nodes that are feasible for it.

        Raises ExtenderError where one that must not be ignored fails, and the client's errors.
        """
        asked = [each for each in self._extenders if each.concerns(pod)]
        meta = pod.metadata
        document = await self._client.request(
            "GET", PODS.path(meta.namespace, meta.name), verb="get", subject=f"pods {pod.key}"
        )
        nodes: dict[str, Document] = {}
        if not all(each.configuration.node_cache_capable for each in asked):
            nodes = {name: found for name in names if (found := self._node(name)) is not None}
        left, refused = await self._filter(asked, document, names, nodes)
        for name in set(names).difference(left, refused):
            refused[name] = _WITHOUT_REASON
        scores = await self._prioritize(asked, document, left, nodes)
        return Advice(frozenset(left), refused, scores)

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
            except ExtenderError as error:
                if not each.configuration.ignorable:
                    raise
                log.info("Skipping an extender that failed and is ignorable", extender=each.url, error=error)
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
            except ExtenderError as error:
                log.v(5, "An extender gave no scores", extender=each.url, error=error)
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

    def binder(self, pod: Pod) -> Extender | None:
        """The extender that is to bind a pod, if one does; there is at most one."""
        return next(
            (each for each in self._extenders if each.configuration.bind_verb and each.concerns(pod)), None
        )
