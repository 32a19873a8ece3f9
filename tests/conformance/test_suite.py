from tools.conformance import suite
from tools.controlplane import build


def test_the_suite_is_of_the_control_plane_s_version() -> None:
    module = (suite.MODULE / "go.mod").read_text()
    assert f"tool {suite.PROGRAM.package}\n" in module
    assert f"k8s.io/kubernetes {build.KUBERNETES_VERSION} " in module
