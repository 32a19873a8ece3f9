"""Whether the Service `podset-planner` stands for the planner that is built in here."""

from collections.abc import Mapping, Sequence

import anyio
import pytest

from tests.planner.cluster import Cluster

US = {"app": "podset-planner-scheduler", "pod-template-hash": "abc"}


@pytest.mark.parametrize(
    ("selector", "our_labels", "endpoints", "ours"),
    [
        pytest.param({"app": "podset-planner-scheduler"}, US, [], True, id="it selects our pod"),
        pytest.param({"app": "podset-planner"}, US, [], False, id="it selects others, none of them there"),
        pytest.param({"app": "podset-planner"}, US, ["10.0.0.1"], False, id="it selects others"),
        pytest.param(
            {"app": "podset-planner-scheduler"}, None, [], False, id="we are not a pod of the cluster"
        ),
        pytest.param({}, US, [], True, id="no selector, no endpoints"),
        pytest.param({}, None, None, True, id="no selector, no endpoints, outside of the cluster"),
        pytest.param({}, US, ["10.0.0.1"], False, id="no selector, with endpoints"),
    ],
)
def test_who_answers_for_it(
    selector: Mapping[str, str],
    our_labels: Mapping[str, str] | None,
    endpoints: Sequence[str] | None,
    ours: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    cluster = Cluster(our_labels)
    cluster.put_endpoints(endpoints)
    assert cluster.own_service.is_ourselves(cluster.put_service(selector)) is ours


def test_where_endpoints_may_not_be_read_the_selector_decides() -> None:
    cluster = Cluster(US)
    assert cluster.own_service.is_ourselves(cluster.put_service({}))


def test_an_external_name_is_somebody_else() -> None:
    cluster = Cluster(US)
    assert not cluster.own_service.is_ourselves(cluster.put_service({}, external_name="planner.example.com"))


@pytest.mark.parametrize(("name", "namespace"), [("other", "planner-system"), ("podset-planner", "ops")])
def test_no_other_service_is_ours(name: str, namespace: str) -> None:
    cluster = Cluster(US)
    assert not cluster.own_service.is_ourselves(cluster.put_service(US, name=name, namespace=namespace))


@pytest.mark.anyio
async def test_a_change_of_the_selector_is_heard_of() -> None:
    cluster = Cluster(US)
    with anyio.fail_after(5):
        await cluster.own_service.selection(of_us=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: cluster.own_service.selection(of_us=True))
            await anyio.wait_all_tasks_blocked()
            cluster.put_service({"app": "podset-planner"})
            await anyio.wait_all_tasks_blocked()
            cluster.put_service({"app": "podset-planner-scheduler"})


@pytest.mark.anyio
async def test_the_endpoints_are_waited_for_only_where_the_answer_depends_on_them() -> None:
    cluster = Cluster(US)
    with anyio.fail_after(5):
        await cluster.own_service.known()
        cluster.put_service({"app": "podset-planner"})
        await cluster.own_service.known()
        cluster.put_service({})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.own_service.known)
            await anyio.wait_all_tasks_blocked()
            await cluster.slices.replace([])
