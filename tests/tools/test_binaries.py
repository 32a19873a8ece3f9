import os
from pathlib import Path

import pytest

from tools.controlplane import binaries, build, toolchain

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit; fi
verb="$1"
for argument; do package="$argument"; done
while [ "$1" != -o ]; do shift; done
if [ "$package" = "{refused}" ]; then echo "it does not compile"; exit 1; fi
echo "$verb $package" > "$2"; chmod +x "$2"; echo "$package" >> "{calls}"
"""


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pallet" / "controlplane"


class Compiler:
    """A `go` on PATH that writes its command and the package's name, and remembers the packages."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.program = folder / "go"
        self.calls = folder / "calls"
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.behave()

    def behave(self, *, version: str = "go1.99.0", refused: str = "") -> None:
        executable(self.program, FAKE_GO.format(version=version, refused=refused, calls=self.calls))


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    return Compiler(tmp_path / "compiler", monkeypatch)


def executable(path: Path, content: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


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
    build.build_into(empty_cache / "bin", programs, "a while")
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


def test_a_change_of_versions_changes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.folder()
    for module in (".", "kwok"):
        for name in ("go.mod", "go.sum"):
            copy = tmp_path / module / name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes((build.MODULES / module / name).read_bytes())
    monkeypatch.setattr(build, "MODULES", tmp_path)
    assert build.folder() == before

    with (tmp_path / "kwok" / "go.sum").open("a") as sums:
        sums.write("\n")
    assert build.folder() != before


def test_the_module_names_the_version_that_the_servers_report() -> None:
    assert f"k8s.io/kubernetes {build.KUBERNETES_VERSION} " in (build.MODULES / "go.mod").read_text()


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
