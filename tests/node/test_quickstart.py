"""The first thing a user does, on a real node: deploy, and go through the quickstart."""

import pytest

from tools.demo.quickstart import walk_through
from tools.demo.shell import Shell

pytestmark = pytest.mark.time_limit(1200)


@pytest.mark.usefixtures("deployed")
def test_deployed_with_the_shipped_manifests_it_places_a_set(shell: Shell) -> None:
    walk_through(shell, "5s")
