"""DefaultBinder: binds a pod by posting a Binding."""

from typing import Any

import anyio

from pallet.api.pod import PODS, Pod
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, error
from pallet.logs import get_logger
from pallet.plugins import names

log = get_logger(__name__)

ASK_AGAIN_SECONDS = 1.0


class DefaultBinder:
    """Posts the Binding, with the pod's UID so that no namesake is bound."""

    name = names.DEFAULT_BINDER

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take the client."""
        self._client = handle.client

    async def bind(self, state: CycleState, pod: Pod, node_name: str) -> Status:
        """Bind, and where the answer is lost ask the API what happened."""
        meta = pod.metadata
        try:
            await self._client.create_binding(meta.namespace, meta.name, meta.uid, node_name)
        except ApiError as refused:
            if not refused.conflict:
                return error(_words(refused))
            return await self._outcome(pod, node_name, refused)
        except (AnswerLost, Unreachable) as lost:
            return await self._outcome(pod, node_name, lost)
        return SUCCESS

    async def _outcome(self, pod: Pod, node_name: str, cause: Exception) -> Status:
        """Whether the pod is bound after all: ask until the API says, for a guess could place it twice."""
        while True:
            try:
                found = await self._client.get(PODS, pod.metadata.name, pod.metadata.namespace)
            except ApiError as refused:
                if refused.not_found:
                    return error(f"pod {pod.key} is gone")
                log.warning("Cannot tell whether a pod is bound", pod=pod.key, error=refused)
            except Unreachable as away:
                log.warning("Cannot tell whether a pod is bound", pod=pod.key, error=away)
            else:
                bound = found.metadata.uid == pod.metadata.uid and found.spec.node_name == node_name
                return SUCCESS if bound else error(_words(cause))
            await anyio.sleep(ASK_AGAIN_SECONDS)


def _words(cause: Exception) -> str:
    """The API server's own words where there are any: they are what kube-scheduler puts into the event."""
    return (isinstance(cause, ApiError) and cause.message) or str(cause)
