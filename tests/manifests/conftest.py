"""The control plane with everything that `config/` installs."""

import pytest

from tests.manifests.documents import ROOT
from tools.controlplane.controlplane import ControlPlane


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane after `kubectl apply -k config/demo`."""
    control_plane.kubectl("apply", "-k", str(ROOT / "config" / "demo"))
    crds = [f"crd/{plural}.planner.ciena.io" for plural in ("scheduletriggers", "scheduleplans")]
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    return control_plane
