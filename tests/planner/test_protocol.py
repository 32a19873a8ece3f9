from pathlib import Path

import pytest

from pallet.planner.protocol import TLSFiles
from tools.controlplane.certificates import Authority


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that serve, by the field of the configuration."""
    authority = Authority.create()
    pair = authority.server()
    contents = {"caFile": authority.pair.certificate, "certFile": pair.certificate, "keyFile": pair.key}
    paths = {field: tmp_path / field for field in contents}
    for field, content in contents.items():
        paths[field].write_bytes(content)
    return paths


def problems(files: dict[str, Path]) -> dict[str, str]:
    return dict(TLSFiles(*map(str, files.values())).problems())


def test_files_that_serve_have_no_problems(files: dict[str, Path]) -> None:
    assert problems(files) == {}


def test_each_missing_file_is_named(files: dict[str, Path]) -> None:
    files["caFile"].unlink()
    files["keyFile"].unlink()
    assert problems(files) == {
        field: f"cannot read {files[field]}: No such file or directory" for field in ("caFile", "keyFile")
    }


@pytest.mark.parametrize(("field", "blamed"), [("caFile", "caFile"), ("keyFile", "certFile")])
def test_what_is_no_certificate_or_key_is_found(files: dict[str, Path], field: str, blamed: str) -> None:
    files[field].write_text("nothing\n")
    assert problems(files).keys() == {blamed}


def test_a_key_of_another_certificate_is_found(files: dict[str, Path]) -> None:
    files["keyFile"].write_bytes(Authority.create().server().key)
    assert problems(files).keys() == {"certFile"}
