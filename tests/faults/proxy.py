"""The proxy of `tools.faults`, under the name that tests know it by."""

from tools.faults.proxy import (
    Exchange,
    Fault,
    FaultProxy,
    answer,
    cut,
    edit_watch,
    freeze,
    hold,
    lose_answer,
    pass_on,
)

__all__ = [
    "Exchange",
    "Fault",
    "FaultProxy",
    "answer",
    "cut",
    "edit_watch",
    "freeze",
    "hold",
    "lose_answer",
    "pass_on",
]
