"""DefaultBinder: binds a pod by posting a Binding."""

from typing import Any

from pallet.api.pod import PODS, Pod
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, error
from pallet.plugins import names


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
                return error(str(refused))
            return await self._outcome(pod, node_name, refused)
        except (AnswerLost, Unreachable) as lost:
            return await self._outcome(pod, node_name, lost)
        return SUCCESS

    async def _outcome(self, pod: Pod, node_name: str, cause: Exception) -> Status:
        """Whether the pod is bound after all. Raises as long as the API does not say."""
        try:
            found = await self._client.get(PODS, pod.metadata.name, pod.metadata.namespace)
        except ApiError as gone:
            if gone.not_found:
                return error(f"pod {pod.key} is gone")
            raise
        if found.metadata.uid == pod.metadata.uid and found.spec.node_name == node_name:
            return SUCCESS
        return error(str(cause))
