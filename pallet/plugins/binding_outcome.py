"""Whether a pod is bound after all, when the answer to a binding was lost or was a refusal."""

import anyio

from pallet.api.pod import PODS, Pod
from pallet.client.client import Client
from pallet.client.errors import ApiError, Unreachable
from pallet.framework.status import SUCCESS, Status, error
from pallet.logs import get_logger

log = get_logger(__name__)

ASK_AGAIN_SECONDS = 1.0


async def outcome(client: Client, pod: Pod, node_name: str, cause: str, *, is_lost: bool = False) -> Status:
    """Ask until the API says, for a guess could place the pod twice: success, or an error with the cause.

    With `is_lost` the binding may still be under way, so that a pod without a node is looked at once more.
    """
    looks_left = 2 if is_lost else 1
    while True:
        try:
            found = await client.get(PODS, pod.metadata.name, pod.metadata.namespace)
        except ApiError as refused:
            if refused.not_found:
                return error(f"pod {pod.key} is gone")
            log.warning("Cannot tell whether a pod is bound", pod=pod.key, error=refused)
        except Unreachable as away:
            log.warning("Cannot tell whether a pod is bound", pod=pod.key, error=away)
        else:
            looks_left -= 1
            ours = found.metadata.uid == pod.metadata.uid
            if ours and found.spec.node_name == node_name:
                return SUCCESS
            if not ours or found.spec.node_name or not looks_left:
                return error(cause)
        await anyio.sleep(ASK_AGAIN_SECONDS)
