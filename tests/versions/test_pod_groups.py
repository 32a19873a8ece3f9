"""Pods of pod groups, beside an API server that serves groups, as only 1.37 can be told to."""

from collections.abc import Iterator

import pytest

from tests.e2e.workload import eventually
from tests.running import running
from tools.controlplane import ControlPlane, build

pytestmark = [pytest.mark.e2e, pytest.mark.time_limit(1800)]

NAME = "groups-measured"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def serving_groups() -> Iterator[ControlPlane]:
    arguments = ("--feature-gates=GenericWorkload=true", "--runtime-config=scheduling.k8s.io/v1beta1=true")
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("KUBEBUILDER_ASSETS", raising=False)
        environment.setenv(build.RELEASE_VARIABLE, "1.37.2")
        with ControlPlane(apiserver_args=arguments) as control_plane:
            yield control_plane


@pytest.mark.parametrize(
    ("flags", "reason"),
    [((), "SchedulingGroupNotSupported"), (("--feature-gates=GenericWorkload=false",), "Unschedulable")],
)
def test_a_pod_of_a_group_is_held_back_unless_groups_are_off(
    serving_groups: ControlPlane, flags: tuple[str, ...], reason: str
) -> None:
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": NAME}],
    }
    request = serving_groups.client.request
    name = reason.lower()
    pod = {
        "metadata": {"name": name},
        "spec": {
            "schedulerName": NAME,
            "containers": [{"name": "main", "image": "main:1"}],
            "schedulingGroup": {"podGroupName": "workers"},
        },
    }
    kubeconfig = serving_groups.kubeconfig_for("system:kube-scheduler")
    with running(serving_groups, config, kubeconfig=kubeconfig, flags=flags):
        request("POST", PODS, pod)

        def said() -> str:
            found = request("GET", f"{PODS}/{name}")
            conditions = found["status"].get("conditions", [])
            return next((each.get("reason", "") for each in conditions), "")

        assert eventually("a condition", said) == reason
