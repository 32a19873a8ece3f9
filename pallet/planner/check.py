"""Checking plans: what a planner answers is advice, and only what passes every filter is used."""

from collections.abc import Mapping
from dataclasses import replace

from pallet.loop_budget import LoopBudget
from pallet.planner.interface import Plan, Problem
from pallet.planner.placement import place

_MAX_REASON = 1024
"""Characters kept of a reason in a planner's words: it ends up in conditions and events."""


async def check(
    problem: Problem,
    planner: str,
    assignments: Mapping[str, str],
    reasons: Mapping[str, str],
    budget: LoopBudget,
) -> Plan:
    """Make a plan of a planner's answer: node by pod name, and the planner's reasons for pods it left out.

    The pods are placed as answered on a fork of the problem's snapshot, in an order in which each step is
    legal if there is one. What holds is kept; every other pod gets the reason. Pods that are not part of the
    problem are passed over: a planner may well answer for pods that have their place already.
    """
    known = problem.snapshot.table
    refused: dict[str, str] = {}
    chosen = []
    for info in problem.pods:
        name = info.pod.metadata.name
        node = assignments.get(name)
        if node is None:
            why = f": {reasons[name][:_MAX_REASON]}" if reasons.get(name) else ""
            refused[name] = f"planner {planner} named no node for this pod{why}"
        elif node not in known.row_of or not known.live[known.row_of[node]]:
            refused[name] = f"planner {planner} chose node {_shown(node)}, which does not exist"
        else:
            chosen.append(info)
    with problem.snapshot.fork() as fork:
        placed = await place(replace(problem, snapshot=fork), chosen, budget, assignments)
    for name, reason in placed.refused.items():
        refused[name] = f"planner {planner} chose node {assignments[name]}: {reason}"
    return Plan(planner, placed.assignments, refused, placed.score)


def best(plans: list[Plan]) -> Plan:
    """The plan that places most pods; among those the highest score, then the planner's name, decide."""
    return min(plans, key=lambda plan: (-len(plan.assignments), -plan.score, plan.planner))


def _shown(name: str) -> str:
    """A name that may be anything, fit to be shown."""
    return ascii(name[:253])
