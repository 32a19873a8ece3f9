from pathlib import Path

from pallet.planner.protocol import METHOD, SERVICE
from pallet.planner.wire.planner_pb2 import SchedulePlanRequest, SchedulePlanResponse
from tools.generate_wire import FOLDER, ROOT, generate


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    generate(tmp_path)
    fresh = {path.name: path.read_text() for path in (tmp_path / FOLDER).iterdir()}
    assert fresh == {name: (ROOT / FOLDER / name).read_text() for name in fresh}
    assert set(fresh) == {"planner_pb2.py", "planner_pb2.pyi"}


def test_the_path_is_the_original_s() -> None:
    assert f"/{SERVICE}/{METHOD}" == "/planner.SchedulePlanner/BuildSchedulePlan"


def test_the_fields_have_the_original_s_numbers() -> None:
    request = SchedulePlanRequest(namespace="a", podSet="b", scheduledPod="c", eligibleNodes=["d", "e"])
    assert request.SerializeToString() == b'\n\x01a\x12\x01b\x1a\x01c"\x01d"\x01e'
    response = SchedulePlanResponse(assignments={"p": "n"})
    assert response.SerializeToString() == b"\n\x06\n\x01p\x12\x01n"
