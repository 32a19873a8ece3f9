"""In-place resize: what a pod weighs while spec, admitted and actual requests differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pallet.api.codec import decoder, encode
from pallet.api.pod import Pod
from pallet.api.requests import requests_of

GI = 1024**3
Quantities = Mapping[str, str]


def container(asked: Quantities, *, name: str = "c", sidecar: bool = False) -> dict[str, Any]:
    restart = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": name, "resources": {"requests": asked, "limits": {"cpu": "64"}}} | restart


def status(got: Quantities | None, admitted: Quantities | None = None, *, name: str = "c") -> dict[str, Any]:
    """What the kubelet says of a container; nothing about resources without `got`."""
    resources = {} if got is None else {"resources": {"requests": got, "limits": {"cpu": "64"}}}
    allocated = {} if admitted is None else {"allocatedResources": admitted}
    return {"name": name, "ready": True} | resources | allocated


def pod(
    containers: Sequence[dict[str, Any]],
    statuses: Sequence[dict[str, Any]],
    *,
    init: Sequence[dict[str, Any]] = (),
    init_statuses: Sequence[dict[str, Any]] = (),
    whole: Quantities | None = None,
    whole_status: Mapping[str, Any] | None = None,
    pending: str = "",
) -> Pod:
    conditions = [{"type": "PodResizePending", "status": "True", "reason": pending}] if pending else []
    given = {
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {"containers": containers, "initContainers": init}
        | ({} if whole is None else {"resources": {"requests": whole}}),
        "status": {
            "conditions": conditions,
            "containerStatuses": statuses,
            "initContainerStatuses": init_statuses,
            **(whole_status or {}),
        },
    }
    made: Pod = decoder(Pod)(encode(given))
    return made


ONE, TWO, THREE = {"cpu": "1"}, {"cpu": "2"}, {"cpu": "3"}


@pytest.mark.parametrize(
    ("given", "cpu"),
    [
        pytest.param(pod([container(TWO)], []), 2000, id="no status"),
        pytest.param(pod([container(TWO)], [status(None)]), 2000, id="a status without resources"),
        pytest.param(
            pod([container(TWO)], [status(None, THREE)]), 3000, id="it was admitted with more, and has it"
        ),
        pytest.param(pod([container(TWO)], [status(TWO, TWO)]), 2000, id="all the same"),
        pytest.param(pod([container(ONE)], [status(TWO, ONE)]), 2000, id="shrinking: it still has more"),
        pytest.param(pod([container(ONE)], [status(ONE, TWO)]), 2000, id="it was admitted with more"),
        pytest.param(pod([container(THREE)], [status(ONE, TWO)]), 3000, id="growing: it asks for more"),
        pytest.param(
            pod([container(THREE)], [status(ONE, TWO)], pending="Deferred"), 3000, id="growing later"
        ),
        pytest.param(
            pod([container(THREE)], [status(ONE, TWO)], pending="Infeasible"), 2000, id="growing never"
        ),
        pytest.param(pod([container({})], [status(ONE)]), 1000, id="it asks for nothing any more"),
        pytest.param(
            pod([container(ONE), container(ONE, name="d")], [status(TWO), status(THREE, name="d")]),
            5000,
            id="container by container",
        ),
        pytest.param(pod([container(ONE)], [status(TWO, name="other")]), 1000, id="of another container"),
        pytest.param(
            pod(
                [container(ONE)],
                [],
                init=[container(ONE, name="side", sidecar=True)],
                init_statuses=[status(THREE, name="side")],
            ),
            4000,
            id="a sidecar",
        ),
        pytest.param(
            pod(
                [container(ONE)],
                [],
                init=[container(ONE, name="first")],
                init_statuses=[status(THREE, name="first")],
            ),
            3000,
            id="an init container that ends",
        ),
        pytest.param(
            pod([container(ONE)], [], whole=TWO, whole_status={"resources": {"requests": THREE}}),
            3000,
            id="the whole pod still has more",
        ),
        pytest.param(
            pod([container(ONE)], [], whole=TWO, whole_status={"allocatedResources": THREE}),
            2000,
            id="the whole pod: admitted alone says nothing",
        ),
        pytest.param(
            pod(
                [container(ONE)],
                [],
                whole=THREE,
                whole_status={"resources": {"requests": ONE}, "allocatedResources": TWO},
                pending="Infeasible",
            ),
            2000,
            id="the whole pod grows never",
        ),
        pytest.param(
            pod([container(THREE)], [], whole_status={"resources": {"requests": ONE}}),
            3000,
            id="a pod without requests of its own",
        ),
    ],
)
def test_the_largest_of_what_is_asked_for_admitted_and_given_counts(given: Pod, cpu: int) -> None:
    assert dict(requests_of(given).amounts)["cpu"] == cpu


@pytest.mark.parametrize(
    ("given", "cpu"),
    [
        pytest.param(
            pod([container(ONE), container(THREE, name="d")], [status(THREE), status(ONE, name="d")]),
            4000,
            id="one container grows, another shrinks",
        ),
        pytest.param(
            pod(
                [container(ONE)], [], whole_status={"resources": {"requests": TWO}, "allocatedResources": ONE}
            ),
            2000,
            id="the status of the pod is the sum, without requests of the whole pod too",
        ),
        pytest.param(
            pod(
                [container(ONE)],
                [status(THREE, THREE)],
                whole_status={"resources": {"requests": TWO}, "allocatedResources": ONE},
            ),
            2000,
            id="and its containers' statuses do not count then",
        ),
        pytest.param(
            pod([container(ONE), container(ONE, name="d")], [status(ONE, ONE)], pending="Infeasible"),
            1000,
            id="growing never: a container without a status has nothing",
        ),
        pytest.param(
            pod(
                [container(ONE)],
                [],
                whole=ONE,
                whole_status={"resources": {"requests": {"memory": "1Gi"}}, "allocatedResources": TWO},
            ),
            2000,
            id="all resources of the status of a pod with requests of its own",
        ),
    ],
)
def test_change_5_the_largest_of_three_sums_over_the_containers_counts(given: Pod, cpu: int) -> None:
    assert dict(requests_of(given).amounts)["cpu"] == cpu


def test_change_5_the_minimum_for_scores_counts_in_each_sum_of_containers() -> None:
    resized = pod([container(ONE), container({}, name="d")], [status(TWO), status(ONE, name="d")])
    assert requests_of(resized).scored_cpu == 3000
    assert requests_of(pod([container(ONE), container({}, name="d")], [status(ONE)])).scored_cpu == 1100


def test_each_resource_counts_for_itself() -> None:
    resized = pod([container({"cpu": "1", "memory": "2Gi"})], [status({"cpu": "2", "memory": "1024Mi"})])
    assert dict(requests_of(resized).amounts) == {"cpu": 2000, "memory": 2 * GI}


def test_statuses_that_say_nothing_new_are_not_kept() -> None:
    asked = {"cpu": "1", "memory": "1Gi"}
    plain = pod(
        [container(asked)],
        [status(asked, asked)],
        init=[container(ONE, name="side", sidecar=True)],
        init_statuses=[status(ONE, name="side")],
    )
    assert plain.status.container_statuses == ()
    assert plain.status.init_container_statuses == ()
