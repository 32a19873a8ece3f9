"""The workload in a real process."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXPERIMENT = Path(__file__).parents[3] / "examples" / "load-experiment"


@contextmanager
def serving() -> Iterator[int]:
    """Have it serve on loopback, until the block is left; gives its port."""
    process = subprocess.Popen(
        [sys.executable, str(EXPERIMENT / "app" / "workload.py")],
        env={**os.environ, "HOST": "127.0.0.1", "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("workload: serving at "), line
            yield int(line.rsplit(":", 1)[1])
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


def get(port: int, path: str) -> tuple[int, str]:
    """The status and body of its answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
