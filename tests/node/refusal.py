"""A set that is planned but not bound as a whole: the API server refuses to bind a pod."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.e2e.workload import Workload, eventually
from tools.controlplane import ApiError
from tools.node.cluster import KWOK
from tools.node.node import NAME

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"

REAL_FIRST: Mapping[str, Any] = {
    "nodeSelector": {},
    "tolerations": [
        {"key": "pool", "operator": "Exists"},
        {"key": KWOK.key, "operator": "Exists"},
    ],
    "affinity": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "preference": {
                        "matchExpressions": [
                            {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}
                        ]
                    },
                }
            ]
        }
    },
}
"""The part of a pod's spec that sends it to the real node if it can go there, else to one that pretends."""


def begin_with_one_bound(workload: Workload) -> None:
    """A set of two, both planned on the real node, of which `a` is bound."""
    workload.add_trigger("web", "Planning")
    workload.add_pods("a b", "web", cpu="1m", **REAL_FIRST)
    workload.await_reason("a b", "AwaitingTrigger")
    await_refusal(workload, "b")
    workload.switch("Schedule")
    eventually("a to be bound", lambda: workload.bindings("web") == {"a": NAME})
    eventually("b to be planned", lambda: workload.plan("web") == {"a": NAME, "b": NAME})


@contextmanager
def bindings_refused(workload: Workload, pod: str) -> Iterator[None]:
    """Have the API server refuse to bind a pod while the block runs, by a policy."""
    name = f"refuse-{workload.namespace}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]}
    constraints = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": workload.namespace}},
        "resourceRules": [rule],
    }
    validation = {"expression": f"object.metadata.name != '{pod}'", "reason": "Forbidden"}
    metadata = {"name": name}
    spec = {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": [validation]}
    workload.request("POST", POLICIES, {"metadata": metadata, "spec": spec})
    binding = {"policyName": name, "validationActions": ["Deny"]}
    workload.request("POST", BINDINGS, {"metadata": metadata, "spec": binding})
    try:
        yield
    finally:
        workload.request("DELETE", f"{BINDINGS}/{name}")
        workload.request("DELETE", f"{POLICIES}/{name}")


def await_refusal(workload: Workload, pod: str) -> None:
    """Wait until the API server knows the policy."""
    body = {"metadata": {"name": pod}, "target": {"kind": "Node", "name": NAME}}

    def is_refused() -> bool:
        try:
            workload.request("POST", f"{workload.pods_path}/{pod}/binding?dryRun=All", body)
        except ApiError as error:
            return error.code == 403
        return False

    eventually("the policy to be known", is_refused)
