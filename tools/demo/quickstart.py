"""The quickstart: a set of two pods waits for its trigger, is planned, bound, verified, and deleted."""

import datetime as dt
import re
import time
from subprocess import Popen
from typing import Any

from pallet.api.duration import parse_duration
from tools.demo.shell import Shell, StepError

EXAMPLE_QUIET_TIME = "2m0s"
REACTION_SECONDS = 15.0
"""How long to wait for what should take well under a second."""

PODS = "kubectl get pods"
TRIGGER = "kubectl get scheduletriggers/customtrigger"
REASONS = (
    "custom-columns='POD:.metadata.name,"
    'REASON:.status.conditions[?(@.type=="PodScheduled")].reason,'
    'MESSAGE:.status.conditions[?(@.type=="PodScheduled")].message\''
)


def walk_through(shell: Shell, quiet_time: str) -> None:
    """Goes through all steps; raises `StepError` at the first that goes wrong."""
    _hold_back(shell, quiet_time)
    _create_pods(shell)
    _switch(shell, parse_duration(quiet_time))
    _show_plan(shell)
    _clean_up(shell)


def _hold_back(shell: Shell, quiet_time: str) -> None:
    shell.title("A trigger holds the set planner-podset back")
    if quiet_time == EXAMPLE_QUIET_TIME:
        shell.run("kubectl apply -f examples/wt-scheduletrigger.yaml")
    else:
        change = f"sed 's/{EXAMPLE_QUIET_TIME}/{quiet_time}/' examples/wt-scheduletrigger.yaml"
        shell.run(f"{change} | kubectl apply -f -")
    shell.run(f"{TRIGGER} -o wide")


def _create_pods(shell: Shell) -> None:
    shell.title("The pods of the set come, and wait")
    shell.run("kubectl apply -f examples/wt-deploy.yaml")
    shell.wait_until("two pods that wait for the trigger", lambda: _waiting(shell), REACTION_SECONDS)
    shell.run(PODS)
    shell.run(f"{PODS} -o {REASONS}")
    shell.run(f"{TRIGGER} -o jsonpath='{{.status}}'")
    if nodes := _nodes(shell):
        raise StepError(f"the trigger says Planning, and yet pods are bound to {nodes}")


def _switch(shell: Shell, quiet_seconds: float) -> None:
    shell.title("The quiet time passes, and the trigger switches to Schedule")
    limit = quiet_seconds + REACTION_SECONDS
    switched = shell.start(
        "exec kubectl wait --for=jsonpath='{.spec.state}'=Schedule "
        f"scheduletriggers/customtrigger --timeout={limit:.0f}s"
    )
    bound = shell.start(
        "exec kubectl wait --for=condition=PodScheduled pods "
        f"-l planner.ciena.io/pod-set=planner-podset --timeout={limit:.0f}s"
    )
    try:
        seconds = _watch(shell, switched, bound, limit)
    finally:
        for process in (switched, bound):
            process.kill()
            process.wait()
    shell.run(f"{TRIGGER} -o wide")
    shell.good(f"Both pods were bound {max(seconds, 0) * 1000:.0f} ms after the switch, as kubectl saw it.")


def _show_plan(shell: Shell) -> None:
    shell.title("Each pod is on the node that the plan says")
    shell.run(f"{PODS} -o wide")
    shell.run("kubectl get st,sp -o wide")
    shell.run("examples/planner_verify.py")


def _clean_up(shell: Shell) -> None:
    shell.title("With the last pod the plan goes")
    shell.run("kubectl delete -f examples/wt-deploy.yaml")
    shell.wait_until("the plan to go", lambda: not _items(shell, "kubectl get sp"), REACTION_SECONDS)
    shell.run("kubectl get sp -o wide")


def _watch(shell: Shell, switched: Popen[bytes], bound: Popen[bytes], limit: float) -> float:
    """Counts down until both have ended; returns the seconds between their ends."""
    quiet_until = _quiet_until(shell)
    deadline = time.monotonic() + limit
    ended: dict[str, float] = {}
    while len(ended) < 2:
        for name, process in (("the switch to Schedule", switched), ("the bindings", bound)):
            status = process.poll()
            if status is not None:
                ended.setdefault(name, time.monotonic())
            if status or time.monotonic() > deadline:
                shell.tick("")
                raise StepError(f"waited for {name} for {limit:.0f} s, in vain")
        if quiet_until and not ended:
            shell.tick(f"{max((quiet_until - _now()).total_seconds(), 0):4.1f} s to go")
        time.sleep(0.01)
    shell.tick("")
    return ended["the bindings"] - ended["the switch to Schedule"]


def _quiet_until(shell: Shell) -> dt.datetime | None:
    """When the trigger says that it will switch."""
    status = shell.ask(f"{TRIGGER} -o json").get("status", {})
    if "quietUntil" not in status:
        return None
    shell.say(f"quiet until {status['quietUntil']}")
    return dt.datetime.fromisoformat(status["quietUntil"])


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _waiting(shell: Shell) -> bool:
    conditions = [pod["status"].get("conditions", []) for pod in _items(shell, PODS)]
    gated = shell.ask(f"{TRIGGER} -o json").get("status", {}).get("gated")
    return gated == len(conditions) == 2 and all(
        any(condition.get("reason") == "AwaitingTrigger" for condition in of_pod) for of_pod in conditions
    )


def _nodes(shell: Shell) -> list[str]:
    return [pod["spec"]["nodeName"] for pod in _items(shell, PODS) if "nodeName" in pod["spec"]]


def _items(shell: Shell, command: str) -> list[Any]:
    items: list[Any] = shell.ask(f"{command} -o json")["items"]
    return items


def check_quiet_time(text: str) -> str:
    """Returns a Go duration as it is; raises `ValueError` for anything else, and for signs."""
    parse_duration(text)
    if not re.fullmatch(r"[0-9a-zµ.]+", text):
        raise ValueError(f"{text!r} is not a quiet time; write it like 10s or 2m0s")
    return text
