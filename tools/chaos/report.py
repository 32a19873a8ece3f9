"""What a run showed, in short."""

from collections import Counter

from tools.chaos.history import Change, History, Pod, Violation
from tools.chaos.run import Outcome
from tools.chaos.timeline import PER_HOUR

SHOWN = 10
"""Violations that are shown of each rule."""

AROUND = 8
"""Changes and writes that are shown around a violation."""


def report(outcome: Outcome) -> str:
    """The whole report."""
    history, timeline = outcome.history, outcome.timeline
    met = Counter(fault.kind for fault in history.faults)
    bindings = sum(1 for _ in history.bindings())
    lines = [
        f"seed {timeline.seed}, {timeline.minutes:g} minutes, {timeline.nodes} nodes",
        f"{met.total()} faults, {bindings} bindings, {len(outcome.violations)} violations",
        *(f"  {kind:24} {met[kind]:5}" for kind in PER_HOUR),
        f"rest after {outcome.rest_seconds:.0f} s" if outcome.rest_seconds is not None else "no rest",
    ]
    by_rule = Counter(each.rule for each in outcome.violations)
    for rule, count in sorted(by_rule.items()):
        lines.append(f"{rule}: {count}")
        shown = [each for each in outcome.violations if each.rule == rule][:SHOWN]
        for each in shown:
            lines.append(f"  {each.at:.3f} {each.subject}: {each.text}")
            lines += (f"      {line}" for line in around(history, each))
    lines += outcome.remarks
    return "\n".join(lines)


def around(history: History, violation: Violation) -> list[str]:
    """What else was recorded of the subject, and the faults just before."""
    name = violation.subject
    found = [(each.at, _told(each)) for each in history.changes if each.key.endswith(f"/{name}")]
    found += [
        (each.at, f"{each.agent} {each.verb} {each.resource} {each.node} -> {each.code}")
        for each in history.writes
        if f"{each.namespace}/{each.name}" == name
    ]
    found += [
        (each.at, f"{each.kind} {each.replica} {each.detail}")
        for each in history.faults
        if -30 < each.at - violation.at < 1
    ]
    before = [each for each in sorted(found) if each[0] <= violation.at + 1]
    return [f"{at:.3f} {told}" for at, told in before[-AROUND:]]


def _told(change: Change) -> str:
    match change.object:
        case None:
            return f"r{change.revision} deleted"
        case Pod() as pod:
            return f"r{change.revision} pod on {pod.node or 'no node'}{', terminating' * pod.terminating}"
        case other:
            return f"r{change.revision} {other}"
