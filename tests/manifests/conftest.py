"""The control plane with everything that `config/` installs."""

import pytest

from tools.controlplane.controlplane import ControlPlane
from tools.installation import install


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane after `kubectl apply -k config/demo`."""
    install(control_plane)
    return control_plane
