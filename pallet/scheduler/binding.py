"""The binding cycle: what happens to a pod after its place was assumed, in a task of its own."""

from dataclasses import dataclass

from pallet.api.pod import Pod
from pallet.framework.profile import Profile
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, Status, error
from pallet.framework.waiting import WaitingPod, WaitingPods


@dataclass(frozen=True, slots=True)
class Assumed:
    """A pod whose place is assumed: what its binding cycle needs."""

    profile: Profile
    state: CycleState
    pod: Pod
    node: str


def reserve(assumed: Assumed) -> Status:
    """Tell the reserve plugins, in order, until one refuses."""
    for plugin in assumed.profile.reserve:
        status = plugin.reserve(assumed.state, assumed.pod, assumed.node)
        if not status.ok:
            return status.by(plugin.name)
    return SUCCESS


def unreserve(assumed: Assumed) -> None:
    """Have the reserve plugins undo, in reverse order."""
    for plugin in reversed(assumed.profile.reserve):
        plugin.unreserve(assumed.state, assumed.pod, assumed.node)


def permit(assumed: Assumed, waiting: WaitingPods) -> Status:
    """Ask the permit plugins; where some want to wait, the pod is added to the waiting ones."""
    timeouts: dict[str, float] = {}
    for plugin in assumed.profile.permit:
        status, seconds = plugin.permit(assumed.state, assumed.pod, assumed.node)
        if status.code is Code.WAIT:
            timeouts[plugin.name] = seconds
        elif not status.ok:
            return status.by(plugin.name)
    if timeouts:
        waiting.add(WaitingPod(assumed.pod, assumed.node, timeouts))
    return SUCCESS


async def bind(assumed: Assumed, waiting: WaitingPods) -> Status:
    """Wait for permission, prepare, bind. Success means bound, anything else certainly not bound."""
    held_back = waiting.get(assumed.pod.metadata.uid)
    if held_back is not None:
        try:
            status = await held_back.wait()
        finally:
            waiting.remove(assumed.pod.metadata.uid)
        if not status.ok:
            return status
    for preparing in assumed.profile.pre_bind:
        status = await preparing.pre_bind(assumed.state, assumed.pod, assumed.node)
        if not status.ok:
            return status.by(preparing.name)
    for binder in assumed.profile.bind:
        status = await binder.bind(assumed.state, assumed.pod, assumed.node)
        if status.code is not Code.SKIP:
            return status.by(binder.name)
    return error("every bind plugin skipped the pod")
