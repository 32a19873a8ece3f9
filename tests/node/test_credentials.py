"""The scheduler stays while its token expires, and while the cluster's authority is replaced."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pallet.client.credentials import REFRESH_PERIOD
from tests.e2e.workload import Document, Workload, eventually
from tests.node import by_name
from tests.node.deployment import DEPLOYMENT, NAMESPACE, await_rollout, leader, process_of, restarts
from tools.controlplane.certificates import Authority
from tools.demo.shell import Shell
from tools.node.kind import AnyCluster

pytestmark = pytest.mark.time_limit(1500)

CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
BUNDLE = "api-authorities"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 600
"""The shortest that there is."""

KUBELET_SECONDS = 150.0
"""The kubelet looks after the files of a pod every minute or so."""


@pytest.fixture
def authority(real_cluster: AnyCluster, serving: Path) -> Authority:
    """That of the certificate which the API server shows those who call it by its name."""
    authority = Authority.create()
    by_name.write(serving, authority)
    real_cluster.restart_apiserver()
    return authority


@pytest.fixture
def with_own_files(workload: Workload, shell: Shell, authority: Authority) -> Iterator[None]:
    """The Deployment with a token that is short-lived, and with a bundle of authorities of the test's own."""
    write_bundle(workload, "POST", authority)
    sources: list[Document] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": BUNDLE, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    before = workload.request("GET", DEPLOYMENT)["spec"]["template"]["spec"]
    [container] = before["containers"]
    mount = {"name": "account", "mountPath": FOLDER, "readOnly": True}
    change(
        workload,
        shell,
        {
            "automountServiceAccountToken": False,
            "volumes": [*before["volumes"], {"name": "account", "projected": {"sources": sources}}],
            "containers": [
                {
                    **container,
                    "env": [
                        *container["env"],
                        {"name": "KUBERNETES_SERVICE_HOST", "value": by_name.HOST},
                        {"name": "KUBERNETES_SERVICE_PORT", "value": "443"},
                    ],
                    "volumeMounts": [*container["volumeMounts"], mount],
                }
            ],
        },
    )
    yield
    same = {"volumes": before["volumes"], "containers": [container]}
    change(workload, shell, {"automountServiceAccountToken": None, **same})
    workload.request("DELETE", f"{CONFIG_MAPS}/{BUNDLE}")


def change(workload: Workload, shell: Shell, spec: Document) -> None:
    """Change the Deployment's pod, and wait until it is there."""
    workload.request("PATCH", DEPLOYMENT, {"spec": {"template": {"spec": spec}}})
    await_rollout(workload, shell)


def write_bundle(workload: Workload, method: str, *authorities: Authority) -> None:
    content = b"".join(each.pair.certificate for each in authorities).decode()
    path = CONFIG_MAPS if method == "POST" else f"{CONFIG_MAPS}/{BUNDLE}"
    workload.request(method, path, {"metadata": {"name": BUNDLE}, "data": {"ca.crt": content}})


def file(pid: int, name: str) -> str:
    """What the process reads; seen from here, its link /var/run would lead to the machine's."""
    return Path(f"/proc/{pid}/root/run/{FOLDER.removeprefix('/var/run/')}", name).read_text()


def claims(token: str) -> dict[str, Any]:
    """What a token says."""
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def place(workload: Workload, pod_set: str) -> None:
    """Have a set of two planned and bound."""
    names = f"{pod_set}-a {pod_set}-b"
    workload.add_trigger(pod_set, "Schedule", name=pod_set)
    workload.add_pods(names, pod_set, cpu="1m")
    workload.await_plan_as_bound(pod_set, names)


@pytest.mark.usefixtures("with_own_files")
def test_it_goes_on_when_the_authority_is_replaced_and_when_its_token_expires(
    workload: Workload, real_cluster: AnyCluster, serving: Path, authority: Authority
) -> None:
    pod = leader(workload)
    pid = process_of(pod)
    expiry = claims(file(pid, "token"))["exp"]
    place(workload, "before")

    added = Authority.create()
    write_bundle(workload, "PATCH", authority, added)
    eventually(
        "the kubelet to write the bundle",
        lambda: added.pair.certificate.decode() in file(pid, "ca.crt"),
        KUBELET_SECONDS,
    )
    read = time.time() + REFRESH_PERIOD + 1.0
    eventually("the process to read it", lambda: time.time() > read, 2 * REFRESH_PERIOD)
    by_name.write(serving, added)
    real_cluster.restart_apiserver()  # which ends the connections made with the certificate before
    place(workload, "replaced")

    eventually("the token to expire", lambda: time.time() > expiry, TOKEN_SECONDS)
    assert claims(file(pid, "token"))["exp"] > expiry
    real_cluster.restart_apiserver()
    place(workload, "expired")
    assert leader(workload)["metadata"]["uid"] == pod["metadata"]["uid"]
    assert restarts(workload, pod) == 0
