"""Health as Kubernetes' components show it: named checks, each a function that gives the reason if it fails.

Unlike kube-scheduler, which answers "reason withheld", the reason is shown: the kubelet puts it into the
event of a failed probe, where an operator looks first. So a reason must hold no secrets.
"""

from collections.abc import Callable, Mapping

Check = Callable[[], str | None]
"""Gives None when all is well, else why not."""

Checks = Mapping[str, Check]
"""The checks of one endpoint by name, in the order in which they are listed."""


def report(endpoint: str, checks: Checks, *, verbose: bool) -> tuple[bool, str]:
    """Run all checks of an endpoint (`livez`, say); give whether all passed, and the text to answer.

    The text is `ok` when they did and nobody asks for more, else the list of checks as Kubernetes writes it.
    """
    reasons = {"ping": None, **{name: check() for name, check in checks.items()}}
    healthy = not any(reasons.values())
    if healthy and not verbose:
        return True, "ok"
    lines = [f"[-]{name} failed: {why}" if why else f"[+]{name} ok" for name, why in reasons.items()]
    lines.append(f"{endpoint} check {'passed' if healthy else 'failed'}")
    return healthy, "\n".join(lines) + "\n"
