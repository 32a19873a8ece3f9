"""One extender, asked by this scheduler and by the real kube-scheduler on the same API server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.workload import eventually
from tests.running import running
from tools.controlplane import ControlPlane
from tools.controlplane.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.time_limit(120)]

Document = dict[str, Any]

NODES = ("bare", "old", "plain", "best")
GPU = "example.com/gpu"
SLOT = "example.com/slot"

PRIORITIES = {"low": 1, "middle": 2, "high": 3}


class Service:
    """Refuses `bare`, and `old` for good; likes `best`; leaves pods called `picky…` no node.

    It spares all pods on `plain`, and binds.
    """

    def __init__(self, cluster: ControlPlane) -> None:
        self._client = cluster.client
        self.asked: list[tuple[str, Document]] = []

    def filter(self, args: Document) -> Document:
        picky = args["Pod"]["metadata"]["name"].startswith("picky")
        nodes = args["Nodes"]["items"]
        left = [each for each in nodes if each["metadata"]["name"] in ("plain", "best") and not picky]
        here = {each["metadata"]["name"] for each in nodes}
        return {
            "nodes": {"items": left},
            "failedNodes": dict.fromkeys(
                here & ({"bare", "plain", "best"} if picky else {"bare"}), "no disk"
            ),
            "failedAndUnresolvableNodes": dict.fromkeys(here & {"old"}, "too old"),
        }

    def prioritize(self, args: Document) -> list[Document]:
        names = [each["metadata"]["name"] for each in args["Nodes"]["items"]]
        return [{"Host": name, "Score": 10 if name == "best" else 0} for name in names]

    def preempt(self, args: Document) -> Document:
        agreed = {
            node: {"pods": [{"uid": each["metadata"]["uid"]} for each in victims["Pods"]]}
            for node, victims in args["NodeNameToVictims"].items()
            if node != "plain"
        }
        return {"nodeNameToMetaVictims": agreed}

    def bind(self, args: Document) -> Document:
        namespace, name = args["PodNamespace"], args["PodName"]
        self._client.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/pods/{name}/binding",
            {
                "metadata": {"name": name, "uid": args["PodUID"]},
                "target": {"kind": "Node", "name": args["Node"]},
            },
        )
        return {}


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own: all of its nodes are counted in what is said."""
    with ControlPlane(kwok=False) as created:
        created.add_nodes(NODES, capacity={"cpu": "8", GPU: "4", SLOT: "1"})
        for name, value in PRIORITIES.items():
            body = {"metadata": {"name": name}, "value": value}
            created.client.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body)
        yield created


@pytest.fixture(scope="module")
def service(cluster: ControlPlane) -> Iterator[tuple[Service, str]]:
    service = Service(cluster)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            verb = self.path.rpartition("/")[2]
            args = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.asked.append((verb, args))
            body = json.dumps(getattr(service, verb)(args)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield service, f"http://127.0.0.1:{server.server_port}/scheduler"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=["pallet", "kube-scheduler"])
def scheduler(
    request: pytest.FixtureRequest, cluster: ControlPlane, service: tuple[Service, str]
) -> Iterator[str]:
    """The name of a scheduler that runs with three extenders, one of which is away."""
    _, url = service
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "profiles": [{"schedulerName": request.param}],
        "extenders": [
            {"urlPrefix": f"http://127.0.0.1:{free_port()}", "filterVerb": "filter", "ignorable": True},
            {
                "urlPrefix": url,
                "filterVerb": "filter",
                "prioritizeVerb": "prioritize",
                "preemptVerb": "preempt",
                "weight": 100,
            },
            {
                "urlPrefix": url,
                "bindVerb": "bind",
                "managedResources": [{"name": GPU, "ignoredByScheduler": True}],
            },
        ],
    }
    if request.param == "pallet":
        kubeconfig = cluster.kubeconfig_for("pallet", ["system:masters"])
        with running(cluster, config, kubeconfig=kubeconfig):
            yield request.param
        return
    process = cluster.start_kube_scheduler(config)
    try:
        yield request.param
    finally:
        process.terminate()


class Created:
    """A pod of a scheduler, or one that is on a node already and leaves it at once when told to."""

    def __init__(
        self,
        cluster: ControlPlane,
        scheduler: str,
        name: str,
        *,
        priority: str = "",
        on: str = "",
        **requests: str,
    ) -> None:
        self._client = cluster.client
        self.name = f"{name}-{scheduler}"
        self._path = f"/api/v1/namespaces/default/pods/{self.name}"
        asked = {{"gpu": GPU, "slot": SLOT}.get(key, key): value for key, value in requests.items()}
        container = {"name": "main", "image": "pause", "resources": {"requests": asked, "limits": asked}}
        spec = {
            "schedulerName": scheduler,
            "containers": [container],
            "priorityClassName": priority,
            "nodeName": on,
            "terminationGracePeriodSeconds": 0,
        }
        body = {"metadata": {"name": self.name}, "spec": spec}
        self._client.request("POST", "/api/v1/namespaces/default/pods", body)

    def node(self) -> str:
        """Where it is bound, once it is."""
        found: str = eventually(
            f"a node for {self.name}", lambda: self._client.request("GET", self._path)["spec"].get("nodeName")
        )
        return found

    def delete(self) -> None:
        """Have it gone."""
        self._client.request("DELETE", self._path)

    def message(self) -> str:
        """Why it is not bound, once that is said."""

        def find() -> str:
            conditions = self._client.request("GET", self._path)["status"].get("conditions", [])
            return next((each["message"] for each in conditions if each["type"] == "PodScheduled"), "")

        found: str = eventually(f"a condition of {self.name}", find)
        return found


def test_a_pod_goes_where_the_extender_likes_it_best(cluster: ControlPlane, scheduler: str) -> None:
    assert Created(cluster, scheduler, "web").node() == "best"


def test_a_refusal_is_said_in_the_extenders_words(cluster: ControlPlane, scheduler: str) -> None:
    message = Created(cluster, scheduler, "picky").message()
    assert message == (
        "0/4 nodes are available: 1 too old, 3 no disk. preemption: "
        "0/4 nodes are available: 1 Preemption is not helpful for scheduling, "
        "3 No preemption victims found for incoming pod."
    )


def test_what_a_plugin_refuses_is_not_asked_about(
    cluster: ControlPlane, scheduler: str, service: tuple[Service, str]
) -> None:
    pod = Created(cluster, scheduler, "huge", cpu="9")
    assert pod.message().startswith("0/4 nodes are available: 4 Insufficient cpu.")
    assert all(args["Pod"]["metadata"]["name"] != pod.name for _, args in service[0].asked if "Pod" in args)


def test_whole_objects_are_sent(cluster: ControlPlane, scheduler: str, service: tuple[Service, str]) -> None:
    pod = Created(cluster, scheduler, "whole")
    pod.node()
    asked = [
        args
        for verb, args in service[0].asked
        if verb == "filter" and args["Pod"]["metadata"]["name"] == pod.name
    ]
    assert asked[0]["Pod"]["spec"]["restartPolicy"] == "Always"
    assert sorted(each["metadata"]["name"] for each in asked[0]["Nodes"]["items"]) == sorted(NODES)
    assert all(each["status"]["capacity"] for each in asked[0]["Nodes"]["items"])


def test_the_extender_binds_what_asks_for_its_resource_which_plugins_do_not_count(
    cluster: ControlPlane, scheduler: str, service: tuple[Service, str]
) -> None:
    pod = Created(cluster, scheduler, "trainer", gpu="5")
    assert pod.node() == "best"
    bound = [args["PodName"] for verb, args in service[0].asked if verb == "bind"]
    assert bound.count(pod.name) == 1


def test_nobody_is_preempted_where_the_extender_does_not_agree(
    cluster: ControlPlane, scheduler: str, service: tuple[Service, str]
) -> None:
    ranks = {"bare": "high", "old": "high", "plain": "low", "best": "middle"}
    sitting = {
        node: Created(cluster, scheduler, f"on-{node}", priority=rank, on=node, slot="1")
        for node, rank in ranks.items()
    }
    pod = Created(cluster, scheduler, "preemptor", priority="high", slot="1")
    assert pod.node() == "best"
    assert sitting.pop("best").name not in cluster.kubectl("get", "pods", "-o", "name")
    for each in (pod, *sitting.values()):
        each.delete()
    [asked] = [args for verb, args in service[0].asked if verb == "preempt" and pod.name in str(args["Pod"])]
    assert sorted(asked["NodeNameToVictims"]) == ["best", "plain"]
    assert asked["NodeNameToVictims"]["plain"]["Pods"][0]["spec"]["restartPolicy"] == "Always"
    assert asked["NodeNameToVictims"]["plain"]["NumPDBViolations"] == 0
