import pytest

from pallet.planner.interface import PlannerError
from pallet.planner.resolver import Resolver, Rule
from tests.planner.cluster import Cluster


@pytest.mark.parametrize(
    ("rule", "cluster_ip", "address"),
    [
        pytest.param("Service", "10.96.0.9", "planner.ops.svc:7309", id="whatever the domain (fault 11)"),
        pytest.param("ClusterIP", "10.96.0.9", "10.96.0.9:7309", id="its cluster IP"),
        pytest.param("ClusterIP", "fd00::9", "[fd00::9]:7309", id="one of version 6"),
    ],
)
def test_where_a_planner_is_dialled(rule: Rule, cluster_ip: str, address: str) -> None:
    cluster = Cluster()
    cluster.put_service({}, name="planner", namespace="ops", cluster_ip=cluster_ip)
    resolve = Resolver(cluster.services.store, rule, {"ops/other": "127.0.0.1:7777"})
    assert resolve("ops", "planner") == address
    assert resolve("ops", "other") == "127.0.0.1:7777"


@pytest.mark.parametrize("cluster_ip", ["", "None"])
def test_a_service_without_a_cluster_ip_has_no_address(cluster_ip: str) -> None:
    cluster = Cluster()
    cluster.put_service({}, name="planner", namespace="ops", cluster_ip=cluster_ip)
    with pytest.raises(PlannerError, match=r"planner ops/planner: .* give its address in planner\.addresses"):
        Resolver(cluster.services.store, "ClusterIP", {})("ops", "planner")
