"""The extender that binds, as a bind plugin that comes before all others."""

from pallet.cache.pod_info import PodInfo
from pallet.client.client import Client
from pallet.extenders.extender import ExtenderError
from pallet.extenders.extenders import EXTENDER, Extenders
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, SUCCESS, Status
from pallet.plugins.binding_outcome import outcome


class ExtenderBinder:
    """Leaves the pods that no extender binds to the next bind plugin."""

    name = EXTENDER

    def __init__(self, extenders: Extenders, client: Client) -> None:
        self._extenders = extenders
        self._client = client

    async def bind(self, state: CycleState, info: PodInfo, node_name: str) -> Status:
        """Have the extender bind; where it fails or its answer is lost, ask the API what happened."""
        pod = info.pod
        extender = self._extenders.binder(pod)
        if extender is None:
            return SKIP
        try:
            await extender.bind(pod, node_name)
        except ExtenderError as failure:
            return await outcome(self._client, pod, node_name, str(failure), is_lost=True)
        return SUCCESS
