"""The first thing a user does, on a real node: deploy, and go through the quickstart."""

from pathlib import Path

import pytest

from tools.demo.kind import deploy
from tools.demo.quickstart import walk_through
from tools.demo.shell import Shell

pytestmark = pytest.mark.time_limit(1200)


def test_deployed_with_the_shipped_manifests_it_places_a_set(shell: Shell, tmp_path: Path) -> None:
    deploy(shell, tmp_path)
    walk_through(shell, "5s")
