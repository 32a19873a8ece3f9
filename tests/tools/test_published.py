"""Programs as Kubernetes' site publishes them: taken with the right checksum, built in all other cases."""

import hashlib
import http.server
import platform
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.conftest import Compiler
from tools.controlplane import build, published

PUBLISHED = [program.name for program in build.PROGRAMS if program.published]
BUILT = [program.package for program in build.PROGRAMS if not program.published]
MACHINE = published.ARCHITECTURES.get(platform.machine(), platform.machine())
PATH = f"/release/v{build.RELEASES[0]}/bin/{platform.system().lower()}/{MACHINE}"


class Site(http.server.ThreadingHTTPServer):
    """Serves `files` by their paths; of those in `cut` only the first byte, though it promises all."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        for name in PUBLISHED:
            self.publish(f"{PATH}/{name}", f"{name} as published".encode())

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, path: str, content: bytes) -> None:
        self.files[path] = content
        self.files[f"{path}.sha256"] = hashlib.sha256(content).hexdigest().encode()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        content = self._answer()
        self.wfile.write(content[:1] if self.path in self.server.cut else content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is logged."""

    def _answer(self) -> bytes:
        content = self.server.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        return content or b""


@pytest.fixture
def site(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with Site() as server:
        monkeypatch.setenv("KUBERNETES_DOWNLOADS", server.address)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def build_all(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Provides the programs; returns the lines that tell what happens, without those of single programs."""
    build.build()
    told = capsys.readouterr().err.splitlines()
    return [line.removeprefix("control plane: ") for line in told if not line.startswith("control plane: [")]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_published_programs_are_taken_and_the_others_built(
    site: Site, compiler: Compiler, capsys: pytest.CaptureFixture[str]
) -> None:
    told = build_all(capsys)
    folder = build.folder()
    for name in PUBLISHED:
        assert (folder / name).read_bytes() == site.files[f"{PATH}/{name}"]
        assert (folder / name).stat().st_mode & 0o111
    assert compiler.calls.read_text().split() == BUILT
    assert told[0].startswith(
        f"fetching, once, {', '.join(PUBLISHED)} of Kubernetes {build.RELEASES[0]} from"
    )
    assert told[1].startswith("building, once, etcd, kwok: ")
    assert len(told) == 3


def test_a_program_that_is_there_is_not_fetched_again(site: Site, compiler: Compiler) -> None:
    build.build()
    (build.folder() / "kubectl").unlink()
    site.files = {path: content for path, content in site.files.items() if "/kubectl" in path}
    build.build()
    assert (build.folder() / "kubectl").read_bytes() == b"kubectl as published"
    assert compiler.calls.read_text().split() == BUILT


@pytest.mark.parametrize(
    ("change", "taken", "reason"),
    [
        ("another content", 2, "cannot take kube-controller-manager from .* SHA-256"),
        ("cut", 2, "cannot take kube-controller-manager from .*: 1 of 36 bytes came"),
        ("gone", 0, "cannot take programs from .* 404"),
        ("no checksum", 0, "cannot take programs from .* 404"),
        ("a checksum that is none", 0, "cannot take programs from .*: .*holds no SHA-256"),
        ("not listening", 0, "cannot take programs from .* refused"),
        ("not answering", 0, "cannot take programs from .*: no answer in time"),
        ("no address", 0, "cannot take programs from .* unknown url type"),
    ],
)
def test_what_cannot_be_taken_is_built_and_one_line_says_so(
    change: str,
    taken: int,
    reason: str,
    site: Site,
    compiler: Compiler,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = f"{PATH}/kube-controller-manager"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        match change:
            case "another content":
                site.files[path] = b"something else"
            case "cut":
                site.cut.add(path)
            case "gone":
                del site.files[path]
            case "no checksum":
                del site.files[f"{path}.sha256"]
            case "a checksum that is none":
                site.files[f"{path}.sha256"] = b"<html>"
            case "not listening":
                with socket.create_server(("127.0.0.1", 0)) as closed:
                    port = closed.getsockname()[1]
                monkeypatch.setenv("KUBERNETES_DOWNLOADS", f"http://127.0.0.1:{port}")
            case "not answering":
                monkeypatch.setattr(published, "ANSWER_SECONDS", 0.05)
                monkeypatch.setenv("KUBERNETES_DOWNLOADS", f"http://127.0.0.1:{silent.getsockname()[1]}")
            case "no address":
                monkeypatch.setenv("KUBERNETES_DOWNLOADS", "dl.example.com")
        told = build_all(capsys)

    folder = build.folder()
    assert files(folder) == {program.name for program in build.PROGRAMS}
    assert files(folder.parent) == {"bin"}
    as_published = [name for name in PUBLISHED if b"as published" in (folder / name).read_bytes()]
    assert as_published == PUBLISHED[:taken]
    assert len(compiler.calls.read_text().split()) == len(build.PROGRAMS) - taken
    lines = [line for line in told if "cannot take" in line]
    assert len(lines) == 1
    assert lines[0].partition("; building, once, etcd, ")[1]
    assert re.match(reason, lines[0])
    assert len(told) == 2 + bool(taken)


@pytest.mark.usefixtures("empty_cache")
def test_without_an_address_nothing_is_asked(compiler: Compiler, capsys: pytest.CaptureFixture[str]) -> None:
    told = build_all(capsys)
    assert len(compiler.calls.read_text().split()) == len(build.PROGRAMS)
    assert told[0] == (
        f"building, once, etcd, kubectl, kube-apiserver, kube-controller-manager, kube-scheduler, kwok "
        f"(Kubernetes {build.RELEASES[0]}): where nothing is cached, 148 MB of Go modules to fetch "
        "and 8 minutes on 2 cores"
    )
