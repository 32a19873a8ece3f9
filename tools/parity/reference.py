"""The real kube-scheduler, and what its log says about its decisions."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.controlplane import ControlPlane
from tools.parity.scenario import Manifest

QPS = 5000.0
ALL_CANDIDATES = {"minCandidateNodesPercentage": 100, "minCandidateNodesAbsolute": 100_000}

VERBOSITY = ("-v=2", "--vmodule=schedule_one=10,eventhandlers=4")
"""Scores and events are in the log, bodies of requests are not."""

_LINE = re.compile(r'\] "(?P<what>[^"]+)" (?P<fields>.*)')
_FIELD = re.compile(r'(\w+)="?([^"\s]*)"?')


@dataclass(slots=True)
class Attempt:
    """What the log says about a pod: of several scores of one node, the first."""

    totals: dict[str, int] = field(default_factory=dict)
    shares: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    target: str = ""
    """The node of the first preemption."""
    victims: set[str] = field(default_factory=set)
    """Of the first preemption, those that were told to go, and those that were going already."""
    targets: int = 0
    """How many times others were to be preempted."""
    to_tell: int = 0
    """How many victims of the first preemption are still to be told."""
    preempting: bool = False
    """Whether there are victims to be told to go."""
    evicting: int = 0
    """How many times victims are being told at the moment."""
    refusals: int = 0
    """How many times no node was found."""


class DecisionLog:
    """What a kube-scheduler writes to its log file, taken in as it grows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._attempts: dict[str, Attempt] = defaultdict(Attempt)
        self._events: Counter[str] = Counter()

    def events(self, key: str) -> int:
        """How many times a node was new, changed or gone, or a pod changed."""
        self._take_in()
        return self._events[key]

    def attempt(self, pod: str) -> Attempt:
        """The attempt on a pod, given as namespace/name, as far as it is in the log."""
        self._take_in()
        return self._attempts[pod]

    def _take_in(self) -> None:
        """Read the complete lines that are new."""
        with self._file.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        end = text.rfind(b"\n") + 1
        self._read += end
        for line in text[:end].decode(errors="replace").splitlines():
            found = _LINE.search(line)
            if found:
                self._take(found["what"], dict(_FIELD.findall(found["fields"])))

    def _take(self, what: str, fields: dict[str, str]) -> None:
        match what:
            case "Plugin scored node for pod":
                shares = self._attempts[fields["pod"]].shares[fields["plugin"]]
                shares.setdefault(fields["node"], int(fields["score"]))
            case "Calculated node's final score for pod":
                self._attempts[fields["pod"]].totals.setdefault(fields["node"], int(fields["score"]))
            case "Add event for node" | "Update event for node" | "Delete event for node":
                self._events[fields["node"]] += 1
            case "Update event for unscheduled pod" | "Update event for scheduled pod":
                self._events[fields["pod"]] += 1
            case "Unable to schedule pod; no fit; waiting":
                self._attempts[fields["pod"]].refusals += 1
            case "the target node for the preemption is determined":
                attempt = self._attempts[fields["pod"]]
                attempt.target = attempt.target or fields["node"]
                attempt.targets += 1
            case _ if "preemptor" in fields:
                self._take_preemption(what, self._attempts[fields["preemptor"]], fields)

    def _take_preemption(self, what: str, attempt: Attempt, fields: dict[str, str]) -> None:
        match what:
            case "Start the preemption asynchronously":
                if not attempt.preempting:
                    attempt.to_tell = int(fields["numVictimsToDelete"])
                attempt.preempting = True
                attempt.evicting += 1
            case "Victim Pod is already being deleted, skipping the API call for it":
                if attempt.targets == 1:
                    attempt.victims.add(fields["victim"])
            case "Preemptor Pod preempted victim Pod" | "Victim Pod is already deleted":
                if attempt.to_tell:
                    attempt.victims.add(fields["victim"])
                    attempt.to_tell -= 1
            case "Async Preemption finished completely":
                attempt.evicting -= 1


def configuration(profiles: Iterable[Manifest], extenders: Iterable[Manifest] = ()) -> Manifest:
    """A KubeSchedulerConfiguration with some profiles and extenders. All nodes are looked at, always."""
    all_candidates = {"name": "DefaultPreemption", "args": ALL_CANDIDATES}
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"qps": QPS, "burst": int(QPS)},
        "percentageOfNodesToScore": 100,
        "profiles": [
            {**profile, "pluginConfig": [all_candidates, *profile["pluginConfig"]]} for profile in profiles
        ],
        "extenders": list(extenders),
    }


@contextmanager
def kube_scheduler(control_plane: ControlPlane, configured: Manifest) -> Iterator[DecisionLog]:
    """Run a kube-scheduler while the block runs."""
    process = control_plane.start_kube_scheduler(configured, args=VERBOSITY)
    try:
        yield DecisionLog(process.log)
    finally:
        process.kill()  # there is nothing it would have to finish
        process.log.unlink()
