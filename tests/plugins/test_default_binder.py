from dataclasses import dataclass, field
from typing import Any

import pytest

from pallet.api.meta import Status as ApiStatus
from pallet.api.pod import Pod
from pallet.cache.pod_info import PodInfo
from pallet.client.errors import AnswerLost, ApiError, Unreachable, Unreadable
from pallet.framework.state import CycleState
from pallet.framework.status import SUCCESS, Code, Status
from pallet.plugins import binding_outcome as module
from pallet.plugins.default_binder import DefaultBinder
from tests.builders import make_pod
from tests.faults.virtual_time import VIRTUAL_TIME
from tests.profiles import make_handle

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_TIME


POD = make_pod("p")
LOST = AnswerLost("create", "pods/binding", "connection reset")
AWAY = Unreachable("https://api", "connection refused")


def refused(code: int, reason: str = "", message: str = "no") -> ApiError:
    return ApiError(ApiStatus(code=code, reason=reason, message=message), "create", "pods/binding")


@dataclass
class ScriptedClient:
    """Answers a binding, and then each question about the pod, as a test says.

    `passing` are the failures of the first attempts at the binding.
    """

    binding: Exception | None = None
    pods: list[Pod | Exception] = field(default_factory=list)
    bound: list[tuple[str, ...]] = field(default_factory=list)
    passing: list[Exception] = field(default_factory=list)

    async def create_binding(self, *target: str) -> None:
        self.bound.append(target)
        if self.passing:
            raise self.passing.pop(0)
        if self.binding is not None:
            raise self.binding

    async def get(self, resource: object, name: str, namespace: str) -> Pod:
        assert (namespace, name) == ("default", "p")
        answer = self.pods.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def bind(client: Any) -> Status:
    handle = make_handle()
    object.__setattr__(handle, "client", client)
    return await DefaultBinder(None, handle).bind(CycleState(), PodInfo(POD), "a")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0.0)


async def test_a_binding_carries_the_uid() -> None:
    client = ScriptedClient()
    assert await bind(client) == SUCCESS
    assert client.bound == [("default", "p", "uid-p", "a")]


@pytest.mark.parametrize(
    "error", [refused(404, "NotFound"), refused(403, "Forbidden"), refused(422, "Invalid")]
)
async def test_a_refused_binding_is_an_error_in_the_apis_words(error: ApiError) -> None:
    status = await bind(ScriptedClient(error))
    assert (status.code, status.message) == (Code.ERROR, "no")


@pytest.mark.parametrize("cause", [LOST, AWAY, refused(409, "Conflict")])
@pytest.mark.parametrize(
    ("answers", "ok"),
    [
        pytest.param([make_pod("p", node="a")], True, id="it was bound"),
        pytest.param([make_pod("p", node="b")], False, id="somebody else bound it elsewhere"),
        pytest.param([make_pod("p", uid="another", node="a")], False, id="a namesake was bound"),
        pytest.param([refused(404, "NotFound")], False, id="it is gone"),
        pytest.param(
            [AWAY, refused(500), make_pod("p", node="a")], True, id="asked until there is an answer"
        ),
    ],
)
async def test_where_the_outcome_is_unknown_the_api_is_asked(
    cause: Exception,
    answers: list[Pod | Exception],
    ok: bool,  # noqa: FBT001 - a table
) -> None:
    client = ScriptedClient(cause, list(answers))
    status = await bind(client)
    assert status.code is (Code.SUCCESS if ok else Code.ERROR)
    assert client.pods == []
    assert len(client.bound) == 1


@pytest.mark.parametrize("cause", [AWAY, refused(409, "Conflict")])
async def test_a_binding_that_was_not_sent_or_was_refused_is_looked_for_once(cause: Exception) -> None:
    client = ScriptedClient(cause, [make_pod("p")])
    assert (await bind(client)).code is Code.ERROR
    assert client.pods == []


@pytest.mark.parametrize("bound_later", [True, False])
async def test_a_binding_that_was_lost_may_still_be_under_way(
    bound_later: bool,  # noqa: FBT001 - a table
) -> None:
    later = make_pod("p", node="a") if bound_later else make_pod("p")
    client = ScriptedClient(LOST, [make_pod("p"), later])
    assert (await bind(client)).code is (Code.SUCCESS if bound_later else Code.ERROR)
    assert client.pods == []


async def test_an_answer_that_cannot_be_read_tells_nothing_of_a_binding() -> None:
    unread = Unreadable("https://api", "it is text/html, not JSON")
    client = ScriptedClient(LOST, [unread, refused(404), unread, make_pod("p", node="a")])
    assert await bind(client) == SUCCESS


def lost_by(cause: ApiError) -> AnswerLost:
    """What the client raises where an unsafe request is answered by a failure of the server."""
    lost = AnswerLost("create", "pods/binding", str(cause))
    lost.__cause__ = cause
    return lost


FAILURES = [
    lost_by(refused(500, "InternalError")),
    lost_by(refused(503)),
    refused(503, "ServiceUnavailable"),
]


async def test_a_binding_is_tried_again_while_the_server_fails() -> None:
    client = ScriptedClient(passing=list(FAILURES))
    assert await bind(client) == SUCCESS
    assert len(client.bound) == 4


async def test_after_four_failures_the_api_is_asked() -> None:
    client = ScriptedClient(FAILURES[0], [make_pod("p", node="a")], passing=list(FAILURES))
    assert await bind(client) == SUCCESS
    assert len(client.bound) == 4
    assert client.pods == []


async def test_a_conflict_after_a_failure_is_looked_at() -> None:
    """The first attempt did bind the pod."""
    client = ScriptedClient(refused(409, "Conflict"), [make_pod("p", node="a")], passing=[FAILURES[0]])
    assert await bind(client) == SUCCESS
    assert len(client.bound) == 2


@pytest.mark.parametrize(
    "failure", [LOST, AWAY, refused(409, "Conflict"), lost_by(refused(500, "ServerTimeout"))]
)
async def test_other_failures_are_not_tried_again(failure: Exception) -> None:
    client = ScriptedClient(failure, [make_pod("p", node="a")])
    assert await bind(client) == SUCCESS
    assert len(client.bound) == 1
