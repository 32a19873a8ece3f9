from collections.abc import Mapping, Sequence

import anyio.lowlevel
import pytest
from msgspec.structs import replace

from pallet.api.core import Service, ServiceSpec
from pallet.api.labels import Labels
from pallet.api.meta import ObjectMeta
from pallet.api.requests import CPU
from pallet.informers.store import Store
from pallet.planner.discovery import DiscoveredPlanners, planner_label
from pallet.planner.interface import Plan, Planner, PlannerError, Problem
from tests.planner.cluster import Cluster
from tests.planner.scene import FixedPlanner, node, pod, problem

DEFAULT = {"planner.ciena.io/default": "enabled"}
WEB = {"planner.ciena.io/web": "enabled"}

BUILT_IN = FixedPlanner("built-in", Plan("built-in"))


def service(key: str, labels: Mapping[str, str]) -> Service:
    namespace, name = key.split("/")
    return Service(ObjectMeta(name=name, namespace=namespace, uid=key, labels=Labels(labels)))


class Scene:
    """Planners discovered among Services; those behind a Service are the given ones."""

    def __init__(
        self, services: Mapping[str, Mapping[str, str]], *remote: Planner, embedded: bool = True
    ) -> None:
        self.store: Store[Service] = Store()
        self.calls: list[tuple[str, str]] = []
        self._remote = {planner.name: planner for planner in remote}
        for key, labels in services.items():
            self.store.put(service(key, labels))
        self.planners = DiscoveredPlanners(
            self.store,
            built_in=BUILT_IN,
            embedded=embedded,
            own_service=Cluster({"app": "scheduler"}).own_service,
            allowed_namespaces={"planner-system", "ops"},
            connect=self._connect,
            observe=lambda planner, result, _seconds: self.calls.append((planner, result)),
        )

    def _connect(self, namespace: str, service: str) -> Planner:
        key = f"{namespace}/{service}"
        return self._remote.get(key) or FixedPlanner(key, Plan(key))

    def names(self, pod_set: str) -> Sequence[str]:
        return [planner.name for planner in self.planners.planners(pod_set)]


@pytest.mark.parametrize(
    ("services", "pod_set", "names"),
    [
        pytest.param({}, "web", ["built-in"], id="no Service"),
        pytest.param({"ops/a": DEFAULT}, "web", ["ops/a"], id="the default planner"),
        pytest.param(
            {"ops/a": DEFAULT, "ops/b": WEB}, "web", ["ops/b"], id="the set's own before the default"
        ),
        pytest.param({"ops/a": DEFAULT, "ops/b": WEB}, "db", ["ops/a"], id="not another set's"),
        pytest.param({"ops/b": WEB, "ops/a": WEB}, "web", ["ops/a", "ops/b"], id="all that match, by name"),
        pytest.param(
            {"ops/a": {"planner.ciena.io/web": "disabled"}}, "web", ["built-in"], id="only when enabled"
        ),
        pytest.param({"planner-system/podset-planner": DEFAULT}, "web", ["built-in"], id="ourselves"),
        pytest.param(
            {"planner-system/podset-planner": DEFAULT, "ops/a": DEFAULT},
            "web",
            ["ops/a", "built-in"],
            id="ourselves and another",
        ),
        pytest.param({"ops/podset-planner": DEFAULT}, "web", ["ops/podset-planner"], id="a namesake of ours"),
        pytest.param({"shop/evil": WEB, "ops/a": DEFAULT}, "web", ["ops/a"], id="not allowed (fault 4)"),
        pytest.param(
            {"ops/a": DEFAULT, "ops/b": WEB}, "default", ["ops/a"], id="a set named default (fault 11)"
        ),
        pytest.param({"ops/a": DEFAULT}, "", ["ops/a"], id="a name that makes no label"),
    ],
)
def test_the_planners_of_a_set(
    services: Mapping[str, Mapping[str, str]], pod_set: str, names: Sequence[str]
) -> None:
    assert Scene(services).names(pod_set) == names


def test_the_own_service_in_front_of_another_planner_is_called_like_any_other() -> None:
    """Its planner need not be ready: a planner that fails is told, and not replaced."""
    scene = Scene({})
    own = service("planner-system/podset-planner", DEFAULT)
    scene.store.put(replace(own, spec=ServiceSpec(selector=Labels({"app": "podset-planner"}))))
    assert scene.names("web") == ["planner-system/podset-planner"]


def test_without_the_embedded_planner_a_set_without_service_has_none() -> None:
    assert Scene({}, embedded=False).names("web") == []
    assert Scene({"planner-system/podset-planner": DEFAULT}, embedded=False).names("web") == ["built-in"]


def test_a_set_that_no_planner_looks_after_has_none() -> None:
    scene = Scene({"ops/a": WEB}, embedded=False)
    assert scene.planners.planner_for("shop", "web") is scene.planners
    assert scene.planners.planner_for("shop", "db") is None


def test_services_are_followed_as_they_come_and_go() -> None:
    scene = Scene({})
    scene.store.put(service("ops/a", WEB))
    assert scene.names("web") == ["ops/a"]
    scene.store.remove("ops/a")
    assert scene.names("web") == ["built-in"]


def test_a_service_that_may_not_plan_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene({"shop/evil": WEB})
    for _ in range(3):
        scene.names("web")
    assert len(caplog.records) == 1
    assert "service=shop/evil" in caplog.records[0].getMessage()
    scene.store.remove("shop/evil")
    scene.names("web")
    scene.store.put(service("shop/evil", WEB))
    scene.names("web")
    assert len(caplog.records) == 2


def test_the_label_of_a_set() -> None:
    assert planner_label("web") == "planner.ciena.io/web"
    assert planner_label("_bad_") == "planner.ciena.io/default"


PODS = [pod("a"), pod("b")]
NODES = [node("n1"), node("n2")]


@pytest.mark.anyio
async def test_all_are_asked_and_the_best_plan_is_taken() -> None:
    worse = FixedPlanner("ops/a", Plan("ops/a", {"a": "n1"}, score=1000))
    better = FixedPlanner("ops/b", Plan("ops/b", {"a": "n1", "b": "n1"}))
    scene = Scene({"ops/a": DEFAULT, "ops/b": DEFAULT}, worse, better)
    assert (await scene.planners.plan(problem(NODES, PODS))).planner == "ops/b"
    assert sorted(scene.calls) == [("ops/a", "success"), ("ops/b", "success")]


class Slow(FixedPlanner):
    """Answers when others have had the time to, and notes what is requested in its snapshot then."""

    async def plan(self, problem: Problem) -> Plan:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        self.requested = [int(problem.snapshot.table.resources[CPU].requested.sum())]
        return await super().plan(problem)


@pytest.mark.anyio
async def test_the_built_in_planner_competes_and_disturbs_nobody() -> None:
    other = Slow("ops/a", Plan("ops/a"))
    scene = Scene({"ops/a": DEFAULT, "planner-system/podset-planner": DEFAULT}, other)
    plan = await scene.planners.plan(problem(NODES, PODS))
    assert plan.planner == "built-in"
    assert other.requested == [0]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        pytest.param(PlannerError("planner ops/a: down"), "planner ops/a: down", id="fails"),
        pytest.param(ValueError("a bug"), "planner ops/a broke: a bug", id="breaks"),
    ],
)
async def test_a_planner_that_fails_is_passed_over(
    caplog: pytest.LogCaptureFixture, failure: Exception, cause: str
) -> None:
    scene = Scene(
        {"ops/a": DEFAULT, "ops/b": DEFAULT},
        FixedPlanner("ops/a", failure),
        FixedPlanner("ops/b", Plan("ops/b", {"a": "n1"})),
    )
    assert (await scene.planners.plan(problem(NODES, PODS))).planner == "ops/b"
    assert sorted(scene.calls) == [("ops/a", "error"), ("ops/b", "success")]
    assert f'pod_set=shop/web causes="{cause}"' in caplog.text


@pytest.mark.anyio
async def test_when_all_fail_every_cause_is_told() -> None:
    scene = Scene(
        {"ops/a": DEFAULT, "ops/b": DEFAULT},
        FixedPlanner("ops/a", PlannerError("planner ops/a: down")),
        FixedPlanner("ops/b", PlannerError("planner ops/b: slow")),
    )
    with pytest.raises(PlannerError) as caught:
        await scene.planners.plan(problem(NODES, PODS))
    assert str(caught.value) == "no plan for set shop/web: planner ops/a: down; planner ops/b: slow"


@pytest.mark.anyio
async def test_a_set_without_planner_cannot_be_planned() -> None:
    with pytest.raises(PlannerError, match="no plan for set shop/web: it has no planner"):
        await Scene({}, embedded=False).planners.plan(problem(NODES, PODS))
