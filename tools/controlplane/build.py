"""Provides the control plane's programs once, in a folder of the user's cache.

Kubernetes' own programs are taken as published where they can be; everything else is built. The versions are
pinned by Go modules, one for each release of Kubernetes, and a hash of the modules names the cache's folder,
so that releases stand side by side and a change of version makes a new folder.
"""

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane import published, toolchain
from tools.controlplane.published import NotTakenError

RELEASES = ("1.37.2", "1.36.3")
"""The releases of Kubernetes that are supported; the first is the default."""
RELEASE_VARIABLE = "KUBERNETES_VERSION"

MODULES = Path(__file__).parent
PROGRESS_SECONDS = 30.0
STRIPPED = "-s -w"


class BuildError(Exception):
    """A program cannot be built; the message says why, or ends with what the compiler said."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: the Go package it is built from, and the folder of the module that pins its version.

    Without a folder, the module is that of the release of Kubernetes in use. `megabytes` of modules are
    fetched and `seconds` pass on two cores where the programs before it in its group are built and nothing
    else is cached. `tests` says that the package's tests are the program (`go test -c`); `tags` are build
    tags, separated by commas.
    """

    name: str
    package: str
    module: Path | None = None
    megabytes: int = 0
    seconds: int = 0
    tests: bool = False
    tags: str = ""

    @property
    def published(self) -> bool:
        """Whether each release of Kubernetes publishes it."""
        return self.package.startswith("k8s.io/kubernetes/cmd/")

    @property
    def folder(self) -> Path:
        """Where its go.mod is. Raises `BuildError`."""
        return self.module or MODULES / "kubernetes" / release()

    @property
    def linker_flags(self) -> str:
        """What the linker is told: Kubernetes learns its version from it. Raises `BuildError`."""
        if self.module:
            return STRIPPED
        major, minor, _ = release().split(".")
        values = {
            "component-base/version.gitVersion": f"v{release()}",
            "client-go/pkg/version.gitVersion": f"v{release()}",
            "component-base/version.gitMajor": major,
            "component-base/version.gitMinor": minor,
        }
        return " ".join((STRIPPED, *(f"-X k8s.io/{name}={value}" for name, value in values.items())))


PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3", megabytes=32, seconds=60),
    Program("kubectl", "k8s.io/kubernetes/cmd/kubectl", megabytes=46, seconds=90),
    Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", megabytes=14, seconds=150),
    Program(
        "kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", megabytes=3, seconds=80
    ),
    Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", seconds=20),
    # A module of its own, since kwok is written against an older Kubernetes.
    Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", MODULES / "kwok", megabytes=53, seconds=80),
)


def release() -> str:
    """The release of Kubernetes in use: that of `KUBERNETES_VERSION`, or the default. Raises `BuildError`."""
    asked = os.environ.get(RELEASE_VARIABLE) or RELEASES[0]
    if asked.removeprefix("v") not in RELEASES:
        raise BuildError(f"{RELEASE_VARIABLE}={asked} is not supported: say {' or '.join(RELEASES)}")
    return asked.removeprefix("v")


def cache() -> Path:
    """The folder for everything that outlives a run: programs, toolchain."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pallet" / "controlplane"


def folder() -> Path:
    """Where the control plane's programs are, or will be, for the release in use. Raises `BuildError`."""
    return folder_in(cache(), PROGRAMS)


def folder_in(base: Path, programs: Sequence[Program]) -> Path:
    """Where below `base` programs of these very versions are, or will be. Raises `BuildError`."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for module, linker_flags in dict.fromkeys((each.folder, each.linker_flags) for each in programs):
        digest.update(linker_flags.encode())
        for name in ("go.mod", "go.sum"):
            digest.update((module / name).read_bytes())
    return base / digest.hexdigest()[:16] / "bin"


def build() -> Path:
    """Provides the programs that the control plane lacks; returns their folder. Raises `BuildError`."""
    return build_into(folder(), PROGRAMS)


def build_into(target: Path, programs: Sequence[Program]) -> Path:
    """Provides the programs that a folder lacks, telling on stderr how far it is; returns the folder.

    Safe to interrupt, and to run twice at once: a program gets its name when it is complete, and a second
    process waits for the first. Raises `BuildError`.
    """
    if _missing(target, programs):
        target.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time():
            # Nothing is missing any more where another process built while this one waited.
            if missing := _missing(target, programs):
                _provide(missing, target)
    return target


def _missing(target: Path, programs: Sequence[Program]) -> list[Program]:
    return [program for program in programs if not (target / program.name).exists()]


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is building; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _provide(programs: Sequence[Program], target: Path) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as workspace:
        reason = ""
        try:
            _take([program.name for program in programs if program.published], target, Path(workspace))
        except NotTakenError as error:
            reason = f"{error}; "
        if missing := _missing(target, programs):
            names = ", ".join(program.name for program in missing)
            _say(f"{reason}building, once, {names}{_of_release(missing)}: {_cost(missing)}")
            _build(missing, target, Path(workspace))
    _say(f"all is in {target}, after {time.monotonic() - started:.0f} s")


def _take(names: Sequence[str], target: Path, workspace: Path) -> None:
    address = published.address()
    if not (names and address):
        return
    offers = published.look_up(f"{address}/release/v{release()}", names)
    megabytes = sum(offer.size for offer in offers) / 1e6
    _say(
        f"fetching, once, {', '.join(names)} of Kubernetes {release()} from {address}: "
        f"{megabytes:.0f} MB, {megabytes * 8 / 50:.0f} s at 50 Mbit/s"
    )
    for number, offer in enumerate(offers, start=1):
        published.take(offer, workspace / offer.name)
        (workspace / offer.name).replace(target / offer.name)
        _say(f"[{number}/{len(offers)}] {offer.name}: done")


def _of_release(programs: Sequence[Program]) -> str:
    return f" (Kubernetes {release()})" if any(program.published for program in programs) else ""


def _cost(programs: Sequence[Program]) -> str:
    megabytes = sum(program.megabytes for program in programs)
    minutes = max(1, round(sum(program.seconds for program in programs) / 60))
    return f"where nothing is cached, {megabytes} MB of Go modules to fetch and {minutes} minutes on 2 cores"


def _build(programs: Sequence[Program], target: Path, workspace: Path) -> None:
    for number, program in enumerate(programs, start=1):
        output = workspace / program.name
        go = toolchain.find(program.folder / "go.mod", cache() / "go", _say)
        _compile(go, program, output, f"[{number}/{len(programs)}] {program.name}")
        output.replace(target / program.name)


def _compile(go: Path, program: Program, output: Path, label: str) -> None:
    # Vet would go through all that the tests import, for longer than the build takes.
    verb = ("test", "-c", "-vet=off") if program.tests else ("build",)
    options = ("-trimpath", "-buildvcs=false", f"-tags={program.tags}", f"-ldflags={program.linker_flags}")
    command = [str(go), *verb, *options, "-o", str(output)]
    settings = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}
    started = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [*command, program.package],
            cwd=program.folder,
            env={**os.environ, **settings},
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as compiler,
    ):
        while compiler.poll() is None:
            try:
                compiler.wait(PROGRESS_SECONDS)
            except subprocess.TimeoutExpired:
                _say(f"{label}: {time.monotonic() - started:.0f} s ...")
            except BaseException:
                compiler.kill()
                raise
        if compiler.returncode:
            said.seek(0)
            raise BuildError(f"cannot build {program.name} with {go}:\n{said.read()[-3000:]}")
    _say(f"{label}: done, {time.monotonic() - started:.0f} s")


def _say(line: str) -> None:
    print(f"control plane: {line}", file=sys.stderr, flush=True)
