"""What must hold, as pure functions over a recorded history.

I1, I2... are the numbers of these rules in docs/reliability.md. A binding that was decided before a change
was visible is the price of an asynchronous world and no violation; `visibility` says when exactly.
"""

from collections.abc import Iterator

from tools.chaos.checks.bindings import bound_once, legal_place, not_overcommitted
from tools.chaos.checks.leases import no_write_after_the_deadline
from tools.chaos.checks.sets import obeys_plan, switched_in_time, waits_for_trigger
from tools.chaos.history import History, Violation

CHECKS = (
    bound_once,
    not_overcommitted,
    legal_place,
    waits_for_trigger,
    obeys_plan,
    switched_in_time,
    no_write_after_the_deadline,
)
"""Those over the whole history."""


def violations(history: History) -> Iterator[Violation]:
    """Everything that was wrong at any moment."""
    for check in CHECKS:
        yield from check(history)
