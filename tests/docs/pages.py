"""The commands and files in a page of the documentation, as a script."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w.-]+\.(?:py|toml|yaml))`")
COMMANDS = "sh"


def script_of(page: Path) -> str:
    """What somebody does who follows the page.

    Blocks of `sh` are run. Any other block is the content of the file that was named last before it.
    """
    return "\n".join(("set -eux", *_steps(page.read_text())))


def _steps(text: str) -> Iterator[str]:
    for block in BLOCK.finditer(text):
        language, content = block.groups()
        if language == COMMANDS:
            yield content
        else:
            name = FILE.findall(text, 0, block.start())[-1]
            yield f"printf %s {shlex.quote(content)} > {shlex.quote(name)}"
