"""DefaultBinder: binds a pod by posting a Binding."""

from typing import Any

from pallet.cache.pod_info import PodInfo
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, error
from pallet.plugins import names
from pallet.plugins.binding_outcome import outcome


class DefaultBinder:
    """Posts the Binding, with the pod's UID so that no namesake is bound."""

    name = names.DEFAULT_BINDER

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take the client."""
        self._client = handle.client

    async def bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Bind, and where the answer is lost ask the API what happened."""
        pod, meta = info.pod, info.pod.metadata
        try:
            await self._client.create_binding(meta.namespace, meta.name, meta.uid, node_name)
        except ApiError as refused:
            if not refused.conflict:
                return error(_words(refused))
            return await outcome(self._client, pod, node_name, _words(refused))
        except AnswerLost as lost:
            return await outcome(self._client, pod, node_name, _words(lost), is_lost=True)
        except Unreachable as away:
            return await outcome(self._client, pod, node_name, _words(away))
        return SUCCESS


def _words(cause: Exception) -> str:
    """The API server's own words where there are any: they are what kube-scheduler puts into the event."""
    return (isinstance(cause, ApiError) and cause.message) or str(cause)
