"""Builds the control plane's programs once, into a folder of the user's cache.

The versions are pinned by the two Go modules in this folder, and a hash of them names the cache's folder,
so that a change of version makes a new one.
"""

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane import toolchain

KUBERNETES_VERSION = "v1.36.3"

MODULES = Path(__file__).parent
PROGRESS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """One program: the Go package it is built from, and the folder of the module that pins its version.

    `tests` says that the package's tests are the program (`go test -c`); `tags` are build tags, separated by
    commas.
    """

    name: str
    package: str
    module: Path = MODULES
    tests: bool = False
    tags: str = ""


PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3"),
    Program("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    # A module of its own, since kwok is written against an older Kubernetes.
    Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", MODULES / "kwok"),
)

# Kubernetes learns its version from the linker; without it, it calls itself v0.0.0-master.
LINKER_FLAGS = " ".join(
    (
        "-s -w",
        f"-X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}",
        f"-X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}",
        "-X k8s.io/component-base/version.gitMajor=1",
        "-X k8s.io/component-base/version.gitMinor=36",
    )
)


class BuildError(Exception):
    """A program could not be built; the message ends with what the compiler said."""


def cache() -> Path:
    """The folder for everything that outlives a run: programs, toolchain."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pallet" / "controlplane"


def folder() -> Path:
    """Where the programs of these very versions are, or will be, for this kind of machine."""
    return folder_in(cache(), (MODULES, MODULES / "kwok"))


def folder_in(base: Path, modules: Iterable[Path]) -> Path:
    """Where below `base` the programs are that these Go modules pin, for this kind of machine."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {LINKER_FLAGS}".encode())
    for module in modules:
        for name in ("go.mod", "go.sum"):
            digest.update((module / name).read_bytes())
    return base / digest.hexdigest()[:16] / "bin"


def build() -> Path:
    """Builds the control plane's programs that the cache lacks; returns their folder. Raises `BuildError`."""
    return build_into(folder(), PROGRAMS, "cold: about 8 minutes on 2 cores")


def build_into(target: Path, programs: Sequence[Program], duration: str) -> Path:
    """Builds the programs that a folder lacks, telling on stderr how far it is; returns the folder.

    Safe to interrupt, and to run twice at once: a program gets its name when it is complete, and a second
    process waits for the first. Raises `BuildError`.
    """
    if _missing(target, programs):
        target.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time():
            _build(_missing(target, programs), target, duration)
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


def _build(programs: list[Program], target: Path, duration: str) -> None:
    if not programs:
        return  # another process built them while this one waited
    _say(f"building {len(programs)} programs, once, into {target} ({duration})")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as workspace:
        for number, program in enumerate(programs, start=1):
            output = Path(workspace) / program.name
            go = toolchain.find(program.module / "go.mod", cache() / "go", _say)
            _compile(go, program, output, f"[{number}/{len(programs)}] {program.name}")
            output.replace(target / program.name)
    _say(f"built in {time.monotonic() - started:.0f} s")


def _compile(go: Path, program: Program, output: Path, label: str) -> None:
    # Vet would go through all that the tests import, for longer than the build takes.
    verb = ("test", "-c", "-vet=off") if program.tests else ("build",)
    options = ("-trimpath", "-buildvcs=false", f"-tags={program.tags}", f"-ldflags={LINKER_FLAGS}")
    command = [str(go), *verb, *options, "-o", str(output)]
    settings = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}
    started = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [*command, program.package],
            cwd=program.module,
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
