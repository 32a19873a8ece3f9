import re
from pathlib import Path

import pytest

from tests.tools.conftest import Compiler, executable
from tools.controlplane import __main__, binaries, build, toolchain


def test_what_is_missing_is_built_once(empty_cache: Path, compiler: Compiler) -> None:
    first = [binaries.find(program.name) for program in build.PROGRAMS]
    again = [binaries.find(program.name) for program in build.PROGRAMS]

    assert first == again == [build.folder() / program.name for program in build.PROGRAMS]
    assert all(path.is_relative_to(empty_cache) for path in first)
    assert compiler.calls.read_text().split() == [program.package for program in build.PROGRAMS]


def test_a_failed_build_says_why_and_the_next_one_goes_on_from_there(
    empty_cache: Path, compiler: Compiler
) -> None:
    refused = build.PROGRAMS[2]
    compiler.behave(refused=refused.package)
    with pytest.raises(build.BuildError, match=rf"cannot build {refused.name} .*\n.*does not compile"):
        build.build()
    assert not (build.folder() / refused.name).exists()
    assert not list(empty_cache.glob("*/building-*"))

    compiler.behave()
    build.build()
    assert compiler.calls.read_text().split() == [program.package for program in build.PROGRAMS]


@pytest.mark.usefixtures("compiler")
def test_a_program_may_be_the_tests_of_a_package(empty_cache: Path) -> None:
    programs = (build.Program("server", "x/server"), build.Program("suite", "x/suite", tests=True))
    build.build_into(empty_cache / "bin", programs)
    written = [(empty_cache / "bin" / program.name).read_text() for program in programs]
    assert written == ["build x/server\n", "test x/suite\n"]


@pytest.mark.usefixtures("empty_cache")
def test_the_assets_folder_comes_first_and_the_cache_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    etcd = executable(assets / "etcd")
    executable(build.folder() / "etcd")
    kwok = executable(build.folder() / "kwok")

    assert binaries.find("etcd") == etcd
    assert binaries.find("kwok") == kwok


@pytest.mark.usefixtures("empty_cache")
def test_a_program_that_is_nowhere_is_named_with_the_places_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(binaries.MissingBinaryError, match=rf"kwok is neither in .*={tmp_path}.*build"):
        binaries.find("kwok")


def test_a_change_of_versions_changes_the_folder(tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_text(name)
    programs = (build.Program("kwok", "x/kwok", tmp_path),)
    before = build.folder_in(tmp_path, programs)
    assert build.folder_in(tmp_path, programs) == before

    (tmp_path / "go.sum").write_text("another")
    assert build.folder_in(tmp_path, programs) != before


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize(
    ("asked", "used"), [("", build.RELEASES[0]), ("1.36.3", "1.36.3"), ("v1.37.2", "1.37.2")]
)
def test_one_variable_says_which_release_is_used(
    asked: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_VERSION", asked)
    assert build.release() == used
    kubectl, kwok = (program for program in build.PROGRAMS if program.name in {"kubectl", "kwok"})
    assert kubectl.folder.name == used
    assert f"k8s.io/client-go/pkg/version.gitVersion=v{used}" in kubectl.linker_flags
    assert (kwok.folder.name, kwok.linker_flags) == ("kwok", "-s -w")


def test_releases_stand_side_by_side(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()
    for release in build.RELEASES:
        monkeypatch.setenv("KUBERNETES_VERSION", release)
        folders.add(build.folder())
    assert len(folders) == len(build.RELEASES)
    assert all(folder.is_relative_to(empty_cache) for folder in folders)


@pytest.mark.usefixtures("empty_cache")
def test_another_release_is_refused_with_those_that_are_supported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBERNETES_VERSION", "1.35.0")
    monkeypatch.setattr("sys.argv", ["controlplane", "build"])
    assert __main__.main() == 1
    assert capsys.readouterr().err == (
        "error: KUBERNETES_VERSION=1.35.0 is not supported: say 1.37.2 or 1.36.3\n"
    )


@pytest.mark.parametrize("release", build.RELEASES)
def test_the_module_of_a_release_pins_it(release: str) -> None:
    module = (build.MODULES / "kubernetes" / release / "go.mod").read_text()
    staging = release.replace("1.", "0.", 1)
    assert f"k8s.io/kubernetes v{release} " in module
    assert set(re.findall(r"=> k8s.io/\S+ v(\S+)", module)) == {staging}


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize(
    ("printed", "version"),
    [("Kubernetes v1.37.2", "v1.37.2"), ("etcd Version: 3.7.0\nGit SHA: none", "3.7.0")],
)
def test_a_version_is_what_the_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, version: str
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    executable(tmp_path / "kube-apiserver", f"#!/bin/sh\necho '{printed}'\n")
    assert binaries.version("kube-apiserver") == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8\n", (1, 26, 8)),
        ("go1.27rc1", (1, 27, 0)),
        ("module controlplane\n\ngo 1.26.0\n", (1, 26, 0)),
        ("no such thing", (0, 0, 0)),
    ],
)
def test_go_versions_are_read(text: str, version: tuple[int, ...]) -> None:
    assert toolchain.version(text) == version


@pytest.mark.parametrize("older", ["go1.25.9", "unknown"])
def test_an_older_toolchain_on_path_is_passed_over(tmp_path: Path, compiler: Compiler, older: str) -> None:
    module = tmp_path / "go.mod"
    module.write_text("go 1.26.0\n")
    installed = executable(tmp_path / "go" / "bin" / "go", "#!/bin/sh\necho go1.26.6\n")

    assert toolchain.find(module, tmp_path / "go", print) == compiler.program
    compiler.behave(version=older)
    assert toolchain.find(module, tmp_path / "go", print) == installed
