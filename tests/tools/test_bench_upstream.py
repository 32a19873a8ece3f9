"""The benchmark with upstream's workloads: reading, templates, throughput. None needs upstream's files."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tools.bench.upstream import manifests
from tools.bench.upstream.operations import CreateNodes, CreatePods, operation, resolved
from tools.bench.upstream.pods import Pod, PodLine, PodMetadata, Pods, PodStatus, Selection
from tools.bench.upstream.run import Result, table
from tools.bench.upstream.templating import TemplateError, render
from tools.bench.upstream.throughput import average, geometric_mean, samples
from tools.bench.upstream.workloads import UpstreamError, chosen, module, read, seconds, skipped

CASES = """
- name: Basic
  defaultPodTemplatePath: ../templates/pod.yaml
  workloadTemplate:
  - opcode: createNodes
    countParam: $initNodes
    labelNodePrepareStrategy: {labelKey: zone, labelValues: [a, b]}
  - opcode: createPods
    countParam: $measurePods
    collectMetrics: true
  workloads:
  - name: Small
    labels: [integration-test]
    params: {initNodes: 5, measurePods: 10}
  - name: Large
    labels: [performance]
    threshold: 680
    params: {initNodes: 5000, measurePods: 10000}
  - name: Unusual
    labels: [performance]
    threshold: 680
    featureGates: {SchedulerAsyncAPICalls: true}
    params: {initNodes: 5000, measurePods: 10000}
  - name: WithoutThreshold
    labels: [performance]
    params: {initNodes: 6000, measurePods: 10000}
  - name: Huge
    labels: [performance]
    threshold: 680
    params: {initNodes: 15000, measurePods: 10000}
- name: Groups
  featureGates: {GenericWorkload: true}
  workloadTemplate: []
  workloads: [{name: One, labels: [performance]}]
- name: New
  workloadTemplate: [{opcode: createSomethingNew}]
  workloads: [{name: One, labels: [performance]}]
"""
WORKLOADS = list(read(Path("/upstream/misc/performance-config.yaml"), yaml.safe_load(CASES)))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("name: pod", "name: pod"),
        ("pod-{{.Index}}-{{ .Count }}", "pod-7-10"),
        ("{{DivideInt .Index 2}} {{ Mod .Index 4 }}", "3 3"),
        ("{{AddInt 7000 (Mod .Index (DivideInt .Count 2))}}", "7002"),
        ("{{if .cpu}}cpu: {{.cpu}}{{else}}none{{end}}!", "cpu: 1m!"),
        ("{{if .missing}}{{DivideInt .missing 2}}{{else}}none{{end}}", "none"),
        ("{{if .cpu}}{{if .missing}}a{{else}}b{{end}}c{{end}}", "bc"),
        ('{{if eq .mode "single"}}one{{else}}all{{end}}', "one"),
    ],
)
def test_render(template: str, expected: str) -> None:
    assert render(template, {"Index": 7, "Count": 10, "cpu": "1m", "mode": "single"}) == expected


@pytest.mark.parametrize("template", ["{{range .a}}", "{{if .a}}", "{{end}}", "{{Mod (DivideInt 4 2 2}}"])
def test_render_refuses(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, {"a": 1})


@pytest.mark.parametrize(
    ("bound", "stop", "expected"),
    [
        pytest.param([], 5.0, [], id="nothing bound"),
        pytest.param([0.5, 0.6], 5.0, [], id="all in the first interval, which is skipped"),
        pytest.param([0.5, 1.2, 1.3, 2.5], 3.5, [2.0, 1.0], id="one sample for each later interval"),
        pytest.param([0.5, 3.5, 3.6], 4.0, [2 / 3] * 3, id="empty intervals count with the next one"),
        pytest.param([0.5, 1.5], 9.0, [1.0], id="nothing after the last pod"),
        pytest.param([2.5, 3.5], 4.0, [1.0], id="nothing before the first pod"),
        pytest.param([0.5, 1.5], 1.9, [], id="no tick before the stop"),
    ],
)
def test_samples(bound: list[float], stop: float, expected: list[float]) -> None:
    shifted = [at + 100.0 for at in bound]
    assert samples(shifted, 100.0, stop + 100.0) == pytest.approx(expected)


def test_means() -> None:
    assert average([1.0, 3.0]) == 2.0
    assert average([]) is None
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert geometric_mean([]) is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"opcode": "sleep", "durationParam": "$time"}, {"opcode": "sleep", "duration": "5s"}),
        ({"countParam": "$pods", "countMultiplierParam": "$groups"}, {"count": 30}),
        ({"createPodsOp": {"countParam": "$pods"}}, {"createPodsOp": {"count": 10}}),
        ({"templateParams": {"a": "$pods", "b": 1000}}, {"templateParams": {"a": 10, "b": 1000}}),
    ],
)
def test_parameters_are_filled_in(document: dict[str, Any], expected: dict[str, Any]) -> None:
    assert resolved(document, {"pods": 10, "groups": 3, "time": "5s"}) == expected


def test_read() -> None:
    small = WORKLOADS[0]
    nodes, pods = small.operations
    assert (small.name, small.nodes, small.pod_template) == ("Basic/Small", 5, "../templates/pod.yaml")
    assert isinstance(nodes, CreateNodes)
    assert isinstance(pods, CreatePods)
    assert (pods.count, pods.collect_metrics) == (10, True)


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        operation({"opcode": "createPods", "count": 1, "steadyState": True}, {})


def test_by_default_one_workload_of_each_test_case_is_run() -> None:
    taken = chosen(WORKLOADS, [])
    assert [each.name for each in taken] == ["Basic/Large"]
    reasons = skipped(WORKLOADS, taken)
    assert reasons["Groups"] == "the feature gate GenericWorkload=true is not supported"
    assert "createSomethingNew" in reasons["New"]


def test_named_workloads() -> None:
    assert [each.name for each in chosen(WORKLOADS, ["Basic/Small"])] == ["Basic/Small"]
    with pytest.raises(UpstreamError, match="Basic/Other"):
        chosen(WORKLOADS, ["Basic/Other"])


def test_a_missing_module_is_named_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"go mod download k8s\.io/kubernetes@v1\.37\.2"):
        module("v1.37.2", {"GOMODCACHE": str(tmp_path)})
    folder = tmp_path / "pkg/mod/k8s.io/kubernetes@v1.37.2/test/integration/scheduler_perf"
    folder.mkdir(parents=True)
    assert module("v1.37.2", {"GOPATH": str(tmp_path)}) == folder


@pytest.mark.parametrize(("duration", "expected"), [("5s", 5.0), ("1m30s", 90.0), ("250ms", 0.25)])
def test_durations(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


def test_nodes_follow_the_strategy_of_their_operation() -> None:
    strategy = {
        "nodeAllocatable": {"volumes": "39"},
        "csiNodeAllocatable": {"ebs": {"count": 39}},
        "migratedPlugins": ["aws"],
    }
    step = operation({"opcode": "createNodes", "count": 1, "nodeAllocatableStrategy": strategy}, {})
    assert isinstance(step, CreateNodes)
    node = manifests.named_node(manifests.plain_node(), 3, 0, step)
    assert node["metadata"]["name"] == node["metadata"]["labels"]["kubernetes.io/hostname"] == "node-00003"
    assert node["status"]["allocatable"] == {**manifests.CAPACITY, "volumes": "39"}
    csi_node = manifests.csi_node("node-00003", step)
    assert csi_node is not None
    assert csi_node["spec"]["drivers"] == [
        {"name": "ebs", "nodeID": "node-00003", "allocatable": {"count": 39}}
    ]


def test_labels_of_nodes_take_turns() -> None:
    step = WORKLOADS[0].operations[0]
    assert isinstance(step, CreateNodes)
    nodes = [manifests.named_node(manifests.plain_node(), 5 + each, each, step) for each in range(3)]
    assert [node["metadata"]["labels"]["zone"] for node in nodes] == ["a", "b", "a"]


def test_volumes_and_claims_are_bound_to_each_other() -> None:
    volume, claim = manifests.bound_volume({"spec": {"csi": {"driver": "ebs"}}}, {"spec": {}}, "ns", 4)
    assert volume["spec"]["csi"]["volumeHandle"] == claim["spec"]["volumeName"] == "ns-vol-4"
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"] == "pvc-4"


@pytest.mark.parametrize(
    ("version", "kind", "expected"),
    [
        ("v1", "Pod", "/api/v1/namespaces/ns/pods"),
        ("v1", "Node", "/api/v1/nodes"),
        ("storage.k8s.io/v1", "StorageClass", "/apis/storage.k8s.io/v1/storageclasses"),
    ],
)
def test_collections(version: str, kind: str, expected: str) -> None:
    assert manifests.collection({"apiVersion": version, "kind": kind}, "ns") == expected


def test_bindings_are_counted_once_and_by_selection() -> None:
    pods = Pods()
    for at, kind, namespace, node in (
        (1.0, "ADDED", "a", ""),
        (2.0, "MODIFIED", "a", "n"),
        (3.0, "MODIFIED", "a", "n"),
        (4.0, "ADDED", "b", "n"),
        (5.0, "DELETED", "a", "n"),
    ):
        pods.take(at, PodLine(kind, _pod(namespace, node)))
    assert pods.bound(Selection(("a",)), 0.0) == [2.0]
    assert pods.bound(Selection(labels={"app": "x"}), 0.0) == [2.0, 4.0]
    assert pods.bound(Selection(labels={"app": "y"}), 0.0) == []
    assert (pods.scheduled(Selection(("a",))), pods.scheduled(Selection())) == (0, 1)


def test_table() -> None:
    results = [
        Result("A/x", name, 680.0, rate) for name, rate in (("kube-scheduler", 400.0), ("pallet", 800.0))
    ]
    text = table([*results, Result("B/y", "kube-scheduler", 0.0, None, "failed")])
    assert "680             400     800   2.00" in text
    assert text.splitlines()[-1].endswith("2.00")


def _pod(namespace: str, node: str) -> Pod:
    pod = Pod(metadata=PodMetadata(name="p", namespace=namespace, labels={"app": "x"}), status=PodStatus())
    pod.spec.node_name = node
    return pod
