"""DefaultBinder: binds a pod by posting a Binding."""

from typing import Any, Final

import anyio

from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.client.backoff import Backoff
from pallet.client.errors import AnswerLost, ApiError, Unreachable
from pallet.framework.handle import Handle
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Status, error
from pallet.plugins import names
from pallet.plugins.binding_outcome import outcome

TRIES: Final = 4
"""How often a Binding is posted while the server fails."""

_PASSING: Final = frozenset(("InternalError", "ServiceUnavailable"))


class DefaultBinder:
    """Posts the Binding, with the pod's UID so that no namesake is bound."""

    name = names.DEFAULT_BINDER

    def __init__(self, args: Any, handle: Handle) -> None:
        """Take the client."""
        self._client = handle.client

    async def bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Bind, and where the answer is lost ask the API what happened."""
        pod = info.pod
        try:
            await self._post(pod, node_name)
        except ApiError as refused:
            if not refused.conflict:
                return error(_words(refused))
            return await outcome(self._client, pod, node_name, _words(refused))
        except AnswerLost as lost:
            return await outcome(self._client, pod, node_name, _words(lost), is_lost=True)
        except Unreachable as away:
            return await outcome(self._client, pod, node_name, _words(away))
        return SUCCESS

    async def _post(self, pod: Pod, node_name: str) -> None:
        """Post the Binding, several times where the server fails; refused connections the client tries again.

        To do it twice is safe: where an attempt did bind the pod, the next one is refused as a conflict.
        """
        meta, backoff = pod.metadata, Backoff(initial=0.01, factor=5.0, jitter=0.1)
        for _ in range(TRIES - 1):
            try:
                return await self._client.create_binding(meta.namespace, meta.name, meta.uid, node_name)
            except (ApiError, AnswerLost) as failure:
                if not _server_failed(failure):
                    raise
            await anyio.sleep(backoff.delay(anyio.current_time()))
        return await self._client.create_binding(meta.namespace, meta.name, meta.uid, node_name)


def _server_failed(failure: ApiError | AnswerLost) -> bool:
    """Whether the server answered that it failed or is not available; a refusal of another kind stands."""
    answer = failure if isinstance(failure, ApiError) else failure.__cause__
    return isinstance(answer, ApiError) and (
        answer.reason in _PASSING or (not answer.reason and answer.code in (500, 503))
    )


def _words(cause: Exception) -> str:
    """The API server's own words where there are any: they are what kube-scheduler puts into the event."""
    return (isinstance(cause, ApiError) and cause.message) or str(cause)
