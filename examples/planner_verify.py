#!/usr/bin/env python3
"""Compare the plans of a namespace with where its pods are.

Needs kubectl, and asks the cluster that it is set up for. Exit status: 0 if every planned pod is on its
planned node and every bound pod of a set is in the plan, 1 if not, 2 if the cluster cannot be asked.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

POD_SET_LABEL = "planner.ciena.io/pod-set"
COLUMNS = ("POD", "NODE", "PLANNED", "PLAN", "RESULT")

Objects = Sequence[Mapping[str, Any]]


class Row(NamedTuple):
    """What there is to say about one pod."""

    pod: str
    node: str
    planned: str
    plan: str
    result: str


def verify(pods: Objects, plans: Objects) -> Iterator[Row]:
    """Yield a row for each entry of each plan, and for each bound pod of a set that no plan names.

    A row's result is "ok", or says what is wrong.
    """
    nodes = {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in pods}
    unplanned = {pod["metadata"]["name"] for pod in pods if _is_bound_member(pod)}
    for plan in plans:
        plan_name = plan["metadata"]["name"]
        for entry in plan["spec"].get("plan") or ():
            pod, planned = entry["pod"], entry["node"]
            unplanned.discard(pod)
            yield Row(pod, nodes.get(pod, ""), planned, plan_name, _judge(nodes.get(pod), planned))
    for pod in sorted(unplanned):
        yield Row(pod, nodes[pod], "", "", "not in a plan")


def main() -> int:
    """Print the comparison and return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compare the plans of a namespace with where its pods are.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("-n", "--namespace", default="default", help="the namespace to look at")
    namespace = parser.parse_args().namespace
    try:
        plans = _get("scheduleplans.planner.ciena.io", namespace)
        rows = list(verify(_get("pods", namespace), plans))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(f"Cannot ask the cluster: {str(reason).strip()}", file=sys.stderr)
        return 2
    if not plans:
        print(f"No scheduleplan instances found in namespace {namespace}")
    if rows:
        _print_table([COLUMNS, *rows])
    wrong = [row for row in rows if row.result != "ok"]
    if wrong:
        print(f"Planner assignment verification failed: {len(wrong)} of {len(rows)} pods")
        return 1
    print("Planner assignment verification success")
    return 0


def _judge(node: str | None, planned: str) -> str:
    if node is None:
        return "no such pod"
    if not node:
        return "not bound"
    return "ok" if node == planned else "on another node"


def _is_bound_member(pod: Mapping[str, Any]) -> bool:
    """Whether a plan should name it: a pod of a set that is on a node, not ending, and not another's."""
    return bool(
        pod["metadata"].get("labels", {}).get(POD_SET_LABEL)
        and pod["spec"].get("nodeName")
        and pod["spec"].get("schedulerName") != "default-scheduler"
        and "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
    )


def _get(resource: str, namespace: str) -> Objects:
    command = ["kubectl", "get", resource, f"--namespace={namespace}", "--output=json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - no shell
    items: Objects = json.loads(answer.stdout)["items"]
    return items


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    table = [[cell or "<none>" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("   ".join(map(str.ljust, row, widths)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
