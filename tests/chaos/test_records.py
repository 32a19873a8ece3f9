"""What is read from the audit log and from etcd."""

import json
from pathlib import Path

import yaml

from tools.chaos import audit, observer
from tools.chaos.history import Change, History, Node, Plan, Pod, Trigger, Write
from tools.chaos.load import node

RECEIVED, DONE = "2026-03-01T10:00:00.250000Z", "2026-03-01T10:00:01.750000Z"


def event(stage: str = "ResponseComplete", **changes: object) -> dict[str, object]:
    return {
        "auditID": "1",
        "stage": stage,
        "verb": "create",
        "userAgent": "pallet/a-3",
        "objectRef": {"resource": "pods", "subresource": "binding", "namespace": "ns", "name": "p"},
        "requestReceivedTimestamp": RECEIVED,
        "stageTimestamp": RECEIVED if stage == "RequestReceived" else DONE,
        **changes,
    }


ANSWERED = event(
    responseStatus={"code": 201}, requestObject={"metadata": {"uid": "u"}, "target": {"name": "n"}}
)


def test_a_binding_is_one_write() -> None:
    (write,) = audit.writes([event("RequestReceived"), ANSWERED])
    assert write == Write(
        1772359200.25, "a-3", "create", "pods/binding", "ns", "p", 201, seconds=1.5, uid="u", node="n"
    )


def test_a_write_without_an_answer_has_no_code() -> None:
    (write,) = audit.writes([event("RequestReceived")])
    assert write.code is None
    assert not write.done


def test_a_lease_has_a_holder() -> None:
    lease = event(
        verb="update",
        objectRef={"resource": "leases", "namespace": "ns", "name": "l"},
        requestObject={"spec": {"holderIdentity": "me"}},
    )
    (write,) = audit.writes([lease])
    assert (write.resource, write.holder, write.uid) == ("leases", "me", "")


def test_others_do_not_matter() -> None:
    assert not list(audit.writes([event(userAgent="kubectl/1")]))


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    lines = [json.dumps(ANSWERED), '{"auditID": "2", "sta']
    (tmp_path / "audit.log").write_text("\n".join(lines))
    assert len(list(audit.read(tmp_path))) == 1


def test_only_the_writes_of_the_replicas_are_logged() -> None:
    rules = yaml.safe_load(audit.policy("me"))["rules"]
    assert [rule["level"] for rule in rules] == ["None", "Request", "Metadata", "None"]


def test_a_pod_as_it_is_stored() -> None:
    stored = {
        "metadata": {
            "namespace": "ns",
            "name": "p",
            "uid": "u",
            "labels": {"planner.ciena.io/pod-set": "s"},
            "deletionTimestamp": RECEIVED,
        },
        "spec": {
            "schedulerName": "podset-planner-scheduler",
            "nodeName": "n",
            "nodeSelector": {"size": "tight"},
            "tolerations": [{"key": "size"}],
            "containers": [
                {
                    "resources": {"requests": {"cpu": "1500m", "memory": "1Ki"}},
                    "ports": [{"hostPort": 80}, {"containerPort": 81}],
                },
                {},
            ],
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchLabels": {"app": "x"}}}
                    ]
                }
            },
        },
        "status": {"phase": "Failed"},
    }
    assert observer.pod(stored) == Pod(
        "ns",
        "p",
        "u",
        node="n",
        labels={"planner.ciena.io/pod-set": "s"},
        pod_set="s",
        ours=True,
        finished=True,
        terminating=True,
        cpu=1500,
        memory=1024,
        ports=(80,),
        apart={"app": "x"},
        selector={"size": "tight"},
        tolerated=("size",),
    )


def test_a_node_as_it_is_stored() -> None:
    stored = node("tight-1")
    stored["metadata"]["uid"] = "u"
    stored["spec"]["taints"].append({"key": "soft", "effect": "PreferNoSchedule"})
    found = observer.node(stored)
    assert isinstance(found, Node)
    assert (found.cpu, found.memory, found.pods, found.taints) == (4000, 8 * 2**30, 20, ("size",))


def test_a_trigger_and_a_plan_as_they_are_stored() -> None:
    meta = {"namespace": "ns", "name": "t", "uid": "u"}
    labels = {"planner.ciena.io/pod-set": "s", "planner.ciena.io/quiet-time": "1m1s"}
    stored = {"metadata": {**meta, "labels": labels}, "spec": {"state": "Planning"}}
    assert observer.trigger(stored) == Trigger("ns", "t", "u", "s", "Planning", quiet=61.0)
    stored = {"metadata": {**meta, "labels": labels}, "spec": {"plan": [{"pod": "p", "node": "n"}]}}
    assert observer.plan(stored) == Plan("ns", "t", "u", "s", {"p": "n"})


def test_a_change_that_was_told_of_late_is_no_later_than_the_next_one() -> None:
    told = [
        Change(3.0, 8, "/pods/a", None),
        Change(9.0, 7, "/plans/a", None),
        Change(2.0, 6, "/pods/b", None),
    ]
    ordered = History.of(told).changes
    assert [(change.revision, change.at) for change in ordered] == [(6, 2.0), (7, 3.0), (8, 3.0)]
