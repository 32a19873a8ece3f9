"""What a run has found: counts, and each difference with the state that leads to it."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pallet.api.pod import Pod
from tools.parity.match import Step
from tools.parity.scenario import Manifest, Scenario, key_of
from tools.parity.subjects.basics import DELETED

VERDICTS = ("placed", "refused", "preempting")


class Report:
    """Takes steps; prints what differs and a line for each cluster; writes files to replay to a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.pods = 0
        self.differing = 0
        self.left_out = 0
        self._folder = folder
        self._started = time.monotonic()
        self._by_subject: Counter[tuple[str, str]] = Counter()
        self._in_scenario: Counter[str] = Counter()

    def take(self, step: Step) -> None:
        """Take the next step of a scenario, or the first of the next."""
        if not step.number:
            self._in_scenario.clear()
        self.pods += 1
        verdict = _verdict(step)
        self._in_scenario[verdict] += 1
        for subject in step.scenario.subjects:
            self._by_subject[subject, verdict] += 1
        if not step.comparable:
            self.left_out += 1
        elif step.differences:
            self._show(step)
        if step.number == len(step.scenario.pods) - 1:
            print(self._line(step.scenario), flush=True)

    def summary(self) -> str:
        """The verdicts by subject, and how many pods differ."""
        subjects = sorted({subject for subject, _ in self._by_subject})
        rows = [["subject", *VERDICTS]]
        rows += [[name, *(str(self._by_subject[name, verdict]) for verdict in VERDICTS)] for name in subjects]
        table = "\n".join("".join(f"{cell:<14}" for cell in row).rstrip() for row in rows)
        left_out = f" ({self.left_out} not comparable: see Step)" if self.left_out else ""
        compared = f"{self.pods - self.left_out:,} pods compared{left_out}"
        return f"\n{table}\n\n{compared}, {self.differing} differ"

    def _line(self, scenario: Scenario) -> str:
        counts = ", ".join(f"{self._in_scenario[verdict]} {verdict}" for verdict in VERDICTS)
        nodes = sum(each["kind"] == "Node" for each in scenario.objects)
        rate = self.pods / (time.monotonic() - self._started)
        subjects = ", ".join(scenario.subjects)
        return f"seed {scenario.seed} ({subjects}; {nodes} nodes): {counts}; {rate:.0f} pods/s"

    def _show(self, step: Step) -> None:
        self.differing += 1
        scenario = step.scenario
        print(f"seed {scenario.seed} step {step.number}, pod {key_of(step.pod)}:")
        for difference in step.differences:
            print(f"  {difference}")
        if self._folder:
            file = self._folder / f"{scenario.name}-{step.number}.json"
            _state_at(step).write(file, differences=step.differences)
            print(f"  python -m tools.parity --replay {file}")


def _state_at(step: Step) -> Scenario:
    """The scenario in which the step would be the first."""
    scenario = step.scenario
    pods = {key_of(each): each for each in (*scenario.objects, *scenario.pods) if each["kind"] == "Pod"}
    others = [each for each in scenario.objects if each["kind"] != "Pod"]
    changes = [each for each in scenario.changes if each["before"] <= step.number]
    said = {key_of(each["object"]): each["patch"].get("status", {}) for each in changes if "patch" in each}
    placed = [
        _as_it_was(pods[pod.key], pod, said.get(pod.key, {})) for pod in step.there if pod.spec.node_name
    ]
    nominated = {pod.key: pod.status.nominated_node_name for pod in step.there if not pod.spec.node_name}
    coming = [step.pod, *(pods[key] for key in nominated if key != key_of(step.pod))]
    return replace(
        scenario,
        objects=[*others, *placed],
        pods=[_waiting(pod, nominated.get(key_of(pod), "")) for pod in coming],
        changes=[{**each, "before": 0} for each in changes if each["object"]["kind"] != "Pod"],
    )


def _as_it_was(manifest: Manifest, pod: Pod, said: Manifest) -> Manifest:
    """The manifest of a pod that has a node, with what has come to it since, or was `said` in its status."""
    metadata = {**manifest["metadata"], **({"deletionTimestamp": DELETED} if pod.terminating else {})}
    spec = {**manifest["spec"], "nodeName": pod.spec.node_name}
    status = {**manifest.get("status", {}), **said, "conditions": _conditions(pod)}
    status.pop("nominatedNodeName", None)
    if started := pod.status.start_time:
        status |= {"phase": "Running", "startTime": started.isoformat()}
    return {**manifest, "metadata": metadata, "spec": spec, "status": status}


def _conditions(pod: Pod) -> list[Manifest]:
    return [
        {"type": each.type, "status": each.status, "reason": each.reason} for each in pod.status.conditions
    ]


def _waiting(manifest: Manifest, nominated: str) -> Manifest:
    """The manifest of a pod without a node, nominated as it was; it comes nominated, or after others."""
    status = {"nominatedNodeName": nominated} if nominated else {}
    return {**manifest, "status": status}


def _verdict(step: Step) -> str:
    if step.theirs.node:
        return "placed"
    return "preempting" if step.theirs.victims else "refused"
