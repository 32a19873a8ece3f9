"""Dashboard, alert rules and scrape configuration, by the judgement of promtool."""

import re
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.manifests.documents import Document
from tests.manifests.monitoring import (
    MONITORING,
    OTHERS,
    alerts,
    load,
    metric_names,
    panels,
    queries,
    read_metrics,
)
from tools import prometheus


def check(*arguments: str | Path) -> None:
    """Runs promtool in the folder of the files, and fails with what it says."""
    command = [prometheus.find("promtool"), *arguments]
    result = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.usefixtures("prometheus_programs")
def test_the_rules_are_valid() -> None:
    check("check", "rules", "alerts.yaml")


@pytest.mark.usefixtures("prometheus_programs")
def test_the_rules_fire_when_they_should_and_only_then() -> None:
    check("test", "rules", "alerts_test.yaml")


@pytest.mark.usefixtures("prometheus_programs")
def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    check("check", "rules", file)


@pytest.mark.usefixtures("prometheus_programs")
@pytest.mark.parametrize("name", ["prometheus.yaml", "prometheus-local.yaml"])
def test_the_scrape_configuration_is_valid(tmp_path: Path, name: str) -> None:
    document = load(name)
    for job in document["scrape_configs"]:
        # Debian builds Prometheus without this kind of discovery; its fields are checked below.
        job.pop("kubernetes_sd_configs", None)
    file = tmp_path / name
    file.write_text(yaml.safe_dump(document))
    check("check", "config", "--syntax-only", file)


def test_the_scheduler_is_looked_for_where_it_is_installed() -> None:
    [job] = [job for job in load("prometheus.yaml")["scrape_configs"] if "kubernetes_sd_configs" in job]
    assert job["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["planner-system"]}}]


def test_each_alert_is_seen_to_fire() -> None:
    fires = re.findall(
        r'alertname="(\w+)", alertstate="firing"', (MONITORING / "alerts_test.yaml").read_text()
    )
    assert set(fires) == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_each_alert_says_what_it_is_and_what_to_do(rule: Document) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert "`kubectl " in rule["annotations"]["description"]


def test_both_queries_of_the_write_up_are_on_the_dashboard() -> None:
    assert {
        'count(kube_pod_container_status_running{container="wl-container"})',
        'kube_horizontalpodautoscaler_status_desired_replicas{horizontalpodautoscaler="wl-hpa"}',
    } <= set(queries())


def test_the_scheduler_is_always_told_from_others() -> None:
    """kube-scheduler has metrics of the same names."""
    [job] = [job["job_name"] for job in load("prometheus-local.yaml")["scrape_configs"]]
    for expression in (*queries(), *(rule["expr"] for rule in alerts())):
        ours = metric_names(expression) - OTHERS
        assert expression.count(f'{{job="{job}"') == len(ours | metric_names(expression) & {"up"})


def test_the_data_source_is_always_the_variable() -> None:
    charts = [panel for panel in panels() if panel["type"] != "row"]
    asked = [each["datasource"]["uid"] for chart in charts for each in (chart, *chart["targets"])]
    assert set(asked) == {"${datasource}"}


def test_no_two_panels_share_a_place_or_an_id() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for one, other in combinations([panel["gridPos"] for panel in panels()], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("a", {"a"}),
        ('sum by (label) (rate(a_total{job="no", x=~"b|c"}[5m])) > 2', {"a_total"}),
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[1m])))", {"a_bucket"}),
        ("a / on(pod) group_left(node) b unless c offset 5m", {"a", "b", "c"}),
        ("absent(up == 1) or vector(1e3)", {"up"}),
    ],
)
def test_metric_names_are_found(expression: str, names: set[str]) -> None:
    assert metric_names(expression) == names


def test_what_is_read_has_the_known_prefixes() -> None:
    ours = set(read_metrics()) - OTHERS
    assert len(ours) > 10
    known = ("scheduler_", "podset_", "pallet_", "leader_election_")
    assert all(name.startswith(known) for name in ours)
