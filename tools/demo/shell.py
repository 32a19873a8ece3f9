"""A terminal in which commands are typed, run and shown, as a user would see them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
"""The source tree; commands run in it."""

COMMAND_SECONDS = 60.0


class StepError(Exception):
    """A step of the demo did not go as it should; the message says what was expected."""


class Shell:
    """Runs shell commands against one cluster and prints them with what they print."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        """Prints the heading of a step."""
        print(f"\n{self._coloured('1;36', f'== {text}')}", flush=True)

    def say(self, text: str) -> None:
        """Prints a remark."""
        print(self._coloured("2", f"# {text}"), flush=True)

    def good(self, text: str) -> None:
        """Prints something that went well."""
        print(self._coloured("32", text), flush=True)

    def tick(self, text: str) -> None:
        """Prints a line that the next one overwrites, on a terminal; elsewhere nothing."""
        if self._colour:
            print(f"\r\033[K{self._coloured('33', text)}", end="", flush=True)

    def run(self, command: str, seconds: float = COMMAND_SECONDS) -> str:
        """Shows a command, runs it, shows its output, and returns that.

        Raises `StepError` when it fails or takes too long.
        """
        print(f"{self._coloured('1', f'$ {command}')}", flush=True)
        output = self._output(command, seconds, subprocess.STDOUT)
        print(output, end="" if output.endswith("\n") or not output else "\n", flush=True)
        return output

    def ask(self, command: str) -> Any:
        """Runs a command out of sight and returns the JSON it prints; raises `StepError` when it fails."""
        return json.loads(self._output(command, COMMAND_SECONDS, subprocess.DEVNULL))

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        """Starts a command out of sight."""
        return subprocess.Popen(
            _words(command),
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait_until(self, what: str, done: Callable[[], bool], seconds: float) -> None:
        """Waits until `done()`; raises `StepError` after `seconds`."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise StepError(f"after {seconds:.0f} s still waiting for {what}")
            time.sleep(0.1)

    def _output(self, command: str, seconds: float, errors: int) -> str:
        process = subprocess.Popen(
            _words(command),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            process_group=0,  # so that the whole of a pipeline can be ended
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise StepError(f"`{command}` took longer than {seconds:g} s") from error
            raise
        if process.returncode:
            raise StepError(f"`{command}` failed with status {process.returncode}:\n{output}")
        return output

    def _coloured(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text


def _words(command: str) -> Sequence[str]:
    return ["/bin/sh", "-c", command]
