"""Configurations other than the installed one, each with a process of its own."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.documents import ORIGINAL
from tests.e2e.workload import Workload
from tests.running import configuration, running

pytestmark = pytest.mark.e2e


def test_the_configuration_of_the_original_starts_and_gates(
    workload: Workload, service_account: Path
) -> None:
    workload.pool.add(1)
    config: dict[str, Any] = yaml.safe_load(ORIGINAL)
    with running(workload.control_plane, config, kubeconfig=service_account):
        workload.add_trigger("web", "Planning")
        workload.add_pods("a b", "web")
        workload.await_reason("a b", "AwaitingTrigger")
        workload.let_a_plain_pod_pass("plain")
        assert workload.bindings("web") == {}
        workload.switch("Schedule")
        workload.await_plan_as_bound("web", "a b")


def test_without_the_embedded_planner_a_set_is_gated_and_then_scheduled_as_usual(
    workload: Workload, service_account: Path
) -> None:
    workload.pool.add(1)
    config = configuration()
    # The Service of the installation is a planner for every set: the label is what makes it one.
    service = "/api/v1/namespaces/planner-system/services/podset-planner"
    label = "planner.ciena.io/default"
    [profile] = config["profiles"]
    profile["pluginConfig"][0]["args"]["planner"]["embedded"] = False
    workload.request("PATCH", service, {"metadata": {"labels": {label: None}}})
    try:
        with running(workload.control_plane, config, kubeconfig=service_account):
            workload.add_trigger("web", "Planning")
            workload.add_pods("a b", "web")
            workload.await_reason("a b", "AwaitingTrigger")
            workload.switch("Schedule")
            workload.await_bound("a b")
            workload.await_status(total=2, gated=0, planned=0, bound=2)
            assert workload.plan_object("web") is None
    finally:
        workload.request("PATCH", service, {"metadata": {"labels": {label: "enabled"}}})
