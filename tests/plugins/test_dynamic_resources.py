"""DynamicResources: pods with claims are refused, and nothing is said of the others."""

from typing import Any

import pytest
from msgspec.structs import replace

from pallet.api.pod import Pod, PodResourceClaim
from pallet.cache.cache import Cache
from pallet.cache.live_snapshot import LiveSnapshot
from pallet.cache.pod_info import PodInfo
from pallet.framework.events import NODE_ADD, Hint
from pallet.framework.state import CycleState
from pallet.framework.status import SKIP, Code, Status, unresolvable, unschedulable
from pallet.plugins.dynamic_resources import NOT_SERVED, DynamicResources
from pallet.runtime.evaluator import Evaluator
from tests.builders import make_node, make_pod
from tests.plugins.asking import Asked
from tests.profiles import make_handle, profile_of

PLAIN = make_pod("p")
CLAIMING = replace(PLAIN, spec=replace(PLAIN.spec, resource_claims=(PodResourceClaim("gpu"),)))


class Refuser:
    """A pre-filter plugin that refuses every pod."""

    name = "Refuser"

    def __init__(self, status: Status) -> None:
        self.status = status

    def pre_filter(self, *_: Any) -> tuple[None, Status]:
        return None, self.status


def said_afterwards(plugin: Any, state: CycleState, pod: Pod) -> Status:
    node, status = plugin.post_filter(state, PodInfo(pod), Cache().snapshot, (), None)
    assert node is None
    assert isinstance(status, Status)
    return status


@pytest.mark.parametrize(("pod", "status"), [(PLAIN, SKIP), (CLAIMING, unresolvable(NOT_SERVED))])
def test_only_a_pod_with_claims_is_refused(pod: Pod, status: Status) -> None:
    plugin = Asked(DynamicResources).plugin
    assert plugin.pre_filter(CycleState(), PodInfo(pod), LiveSnapshot()) == (None, status)


@pytest.mark.parametrize(
    ("earlier", "code", "reasons"),
    [
        pytest.param(SKIP, Code.UNSCHEDULABLE, (), id="refused by filters"),
        pytest.param(unschedulable("no"), Code.UNSCHEDULABLE, (), id="or for the time being"),
        pytest.param(unresolvable("no"), Code.ERROR, ("not found",), id="refused before it saw the pod"),
    ],
)
def test_what_is_added_to_a_refusal(earlier: Status, code: Code, reasons: tuple[str, ...]) -> None:
    plugin, asked = DynamicResources(None, make_handle()), Asked(DynamicResources, [make_node("a", cpu="0")])
    evaluator = Evaluator(profile_of(Refuser(earlier), plugin), asked.cache.snapshot, make_handle().rng)
    state = CycleState()
    evaluator.choose(state, PodInfo(PLAIN))
    status = said_afterwards(plugin, state, PLAIN)
    assert (status.code, status.reasons) == (code, reasons)


def test_nothing_is_added_to_the_refusal_of_a_pod_with_claims() -> None:
    plugin, asked = DynamicResources(None, make_handle()), Asked(DynamicResources, [make_node("a")])
    evaluator = Evaluator(profile_of(plugin), asked.cache.snapshot, make_handle().rng)
    state = CycleState()
    choice = evaluator.choose(state, PodInfo(CLAIMING))
    assert choice.message == f"0/1 nodes are available: {NOT_SERVED}."
    assert said_afterwards(plugin, state, CLAIMING) == unresolvable()


def test_no_event_helps_a_pod_with_claims() -> None:
    assert Asked(DynamicResources).hint(NODE_ADD, CLAIMING, None, make_node("a")) is Hint.SKIP
