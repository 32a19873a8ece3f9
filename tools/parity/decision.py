"""What was decided on one pod, by whomever, and what makes two decisions differ."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tools.parity.preemption import Rank

_ERRORS = re.compile(r"\[(expected at least one victim pod on node [^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Decision:
    """A node, or a message that says why there is none.

    `totals` are the totals of all feasible nodes, `shares` the plugins' weighted scores in them by node;
    kube-scheduler has none where only one node was feasible. `nominated` is the node that the pod is
    nominated to afterwards, as it was before or as `victims` make room there; `rank` tells how good the
    choice of these is.
    """

    node: str = ""
    message: str = ""
    totals: Mapping[str, int] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    nominated: str = ""
    victims: frozenset[str] = frozenset()
    rank: Rank = ()

    def without_scores(self) -> "Decision":
        """The same with a total of 0 for each feasible node."""
        return replace(self, totals=dict.fromkeys(self.totals, 0), shares={})


def differences(ours: Decision, theirs: Decision) -> list[str]:
    """What differs, in words; nothing when both decided alike."""
    if bool(ours.node) != bool(theirs.node):
        return [f"verdict: ours {_verdict(ours)}; theirs {_verdict(theirs)}"]
    if theirs.node:
        return _scores(ours, theirs)
    found = []
    if _in_order(ours.message) != _in_order(theirs.message):
        found.append(f"message: ours {ours.message!r}; theirs {theirs.message!r}")
    same_node = ours.nominated == theirs.nominated
    standing = not ours.victims and not same_node
    if ours.rank != theirs.rank or standing or (same_node and ours.victims != theirs.victims):
        found.append(f"preemption: ours {_preemption(ours)}; theirs {_preemption(theirs)}")
    return found


def _in_order(message: str) -> str:
    """A message with the errors that are in brackets sorted: kube-scheduler finds them in parallel."""
    return _ERRORS.sub(lambda errors: f"[{', '.join(sorted(errors[1].split(', ')))}]", message)


def _scores(ours: Decision, theirs: Decision) -> list[str]:
    totals = theirs.totals or {theirs.node: ours.totals.get(theirs.node, 0)}
    found = []
    if more := sorted(ours.totals.keys() - totals.keys()):
        found.append(f"feasible for us only: {', '.join(more)}")
    if fewer := sorted(totals.keys() - ours.totals.keys()):
        found.append(f"feasible for kube-scheduler only: {', '.join(fewer)}")
    different = {node for node in totals if ours.totals.get(node, totals[node]) != totals[node]}
    found += [
        f"total of {node}: ours {ours.totals[node]}, theirs {totals[node]}; {_shares(ours, theirs, node)}"
        for node in sorted(different)[:3]
    ]
    if ours.node in totals and totals[ours.node] < max(totals.values()):
        found.append(f"our node {ours.node} is not among the best, such as {theirs.node}")
    return found


def _shares(ours: Decision, theirs: Decision, node: str) -> str:
    plugins = sorted({*ours.shares, *theirs.shares})
    pairs = {
        name: (ours.shares.get(name, {}).get(node), theirs.shares.get(name, {}).get(node)) for name in plugins
    }
    unequal = [
        f"{name} {mine} for {other}" for name, (mine, other) in pairs.items() if (mine or 0) != (other or 0)
    ]
    return ", ".join(unequal) or "the shares are equal"


def _verdict(decision: Decision) -> str:
    return f"on {decision.node}" if decision.node else repr(decision.message)


def _preemption(decision: Decision) -> str:
    if not decision.nominated:
        return "none"
    return (
        f"of {', '.join(sorted(decision.victims)) or 'nobody'} on {decision.nominated}, rank {decision.rank}"
    )
