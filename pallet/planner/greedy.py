"""The built-in planner: one pod after the other, each on the node that the scheduler would choose for it."""

from pallet.loop_budget import LoopBudget
from pallet.planner.interface import Plan, Problem
from pallet.planner.placement import place


class GreedyPlanner:
    """Places the pods with the profile's own plugins, and does not backtrack.

    What it finds is what ordinary scheduling would find, in a better order and all at once; where room is
    scarce it may miss a plan that exists.
    """

    def __init__(self, budget: LoopBudget, name: str = "greedy") -> None:
        self.name = name
        self._budget = budget

    async def plan(self, problem: Problem) -> Plan:
        """Place the pods, as many as will fit. The problem's fork is changed; never raises PlannerError."""
        placed = await place(problem, problem.pods, self._budget)
        return Plan(self.name, placed.assignments, placed.refused, placed.score)
