"""Container images without a Docker engine and without a registry: built by buildah, kept as OCI archives."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.controlplane import build, toolchain
from tools.node import machine, programs
from tools.node.node import PAUSE_IMAGE

IMAGES = Path(__file__).parent / "images"
ROOT = Path(__file__).parents[2]

BASE_PACKAGES = (
    "ca-certificates", "libbz2-1.0", "libffi8", "liblzma5", "libncursesw6", "libreadline8", "libsqlite3-0",
    "libssl3", "zlib1g",
)  # fmt: skip
"""What Python needs of Debian."""


def waiting(name: str = PAUSE_IMAGE, program: str = "pause") -> Path:
    """The archive of an image that only waits, under the name of one that cannot be pulled.

    `program` is what pods of it may run by name, whatever its arguments.
    """
    return _archive(name, programs.folder(), lambda folder: _compile_pause(folder / program))


def of_program(name: str) -> Path:
    """The archive of `localhost/NAME:1`, an image with one of the programs that are built for nodes."""
    return _archive(
        f"localhost/{name}:1", programs.folder(programs.group(name)), lambda _: programs.find(name)
    )


def build_scheduler(name: str, commit: str) -> None:
    """Build the project's own image from its Dockerfile. Raises `MachineError`."""
    build_from(ROOT, name, COMMIT=commit)


def build_from(folder: Path, name: str, **arguments: str) -> None:
    """Build an image from the Dockerfile in a folder, with build arguments. Raises `MachineError`."""
    _have_base()
    given = [f"--build-arg={argument}={value}" for argument, value in arguments.items()]
    _buildah("build", "--quiet", "--pull-never", "--network=host", *given, f"--tag={name}", str(folder))


@contextmanager
def exported(name: str) -> Iterator[Path]:
    """An OCI archive of an image of buildah, under the name that a pod asks for, while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "image.tar")
        _buildah("push", "--quiet", name, f"oci-archive:{archive}:{full_name(name)}")
        yield archive


def full_name(name: str) -> str:
    """An image's name with the registry and the folder that a kubelet adds where there is none.

    buildah calls what it has built without a registry `localhost/…`, and finds it by the short name.
    """
    registry, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if re.search(r"[.:]|^localhost$", registry) else f"docker.io/{name}"


def _have_base() -> None:
    """Have the base image of the Dockerfile: from its registry, or, without one, from Debian's packages.

    The latter has the Python of this machine, which must be of the same minor version.
    """
    name = _base_name()
    if _is_there(name):
        return
    try:
        _buildah("pull", "--quiet", name)
    except machine.MachineError:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            _make_base(root, name)
            container = _buildah("from", "scratch").strip()
            _buildah("add", "--quiet", container, str(root), "/")
            _buildah("config", "--env=PATH=/usr/local/bin:/usr/bin:/bin", container)
            _buildah("commit", "--quiet", "--rm", container, name)


def _make_base(root: Path, name: str) -> None:
    """A root file system like that of a base image: Debian's packages, and the Python of this machine."""
    machine.run("mmdebstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", "bookworm", root)
    local = root / "usr" / "local"
    machine.run("cp", "--recursive", f"{_python(name)}/.", local)
    (library,) = local.glob("lib/python3.*")
    for folder in ("test", "site-packages"):
        shutil.rmtree(library / folder)
    (library / "site-packages").mkdir()
    for file in ("/etc/pip.conf", "/etc/ssl/certs", "/etc/resolv.conf"):
        if Path(file).exists():
            to = f"{root}{Path(file).parent}"
            machine.run("cp", "--recursive", "--dereference", "--remove-destination", file, to)
    machine.run("chroot", root, "ldconfig")
    machine.run("chroot", root, "/usr/local/bin/python3", "-m", "ensurepip", "--default-pip")


def _base_name() -> str:
    """The base image that the Dockerfile names."""
    stages = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(stages[-1])


def _python(base: str) -> Path:
    """The folder of this machine's Python of the version of a base image. Raises `MachineError`."""
    version = base.partition(":")[2].partition("-")[0]
    found = shutil.which(f"python{version}")
    if found is None:
        raise machine.MachineError(
            f"no registry has {base} for us, and no python{version} is on PATH to make it of"
        )
    return Path(machine.run(found, "-c", "import sys; print(sys.base_prefix)").strip())


def _is_there(name: str) -> bool:
    try:
        _buildah("inspect", "--type=image", name)
    except machine.MachineError:
        return False
    return True


def _archive(name: str, beside: Path, find: Callable[[Path], Path]) -> Path:
    """An image with one program, which it runs; kept beside a folder. The program may be made in another."""
    archive = beside.parent / (re.sub(r"\W", "-", name) + ".tar")
    if not archive.exists():
        with tempfile.TemporaryDirectory() as folder:
            program = find(Path(folder))
            container = _buildah("from", "scratch").strip()
            inside = f"/bin/{program.name}"
            _buildah("copy", "--quiet", container, str(program), inside)
            _buildah("config", "--entrypoint", f'["{inside}"]', container)
            _buildah("commit", "--quiet", "--rm", container, name)
            archive.parent.mkdir(parents=True, exist_ok=True)
            partial = archive.with_suffix(".partial")  # whole, or not there at all
            _buildah("push", "--quiet", name, f"oci-archive:{partial}:{name}")
            partial.replace(archive)
    return archive


def _compile_pause(program: Path) -> Path:
    source = IMAGES / "pause"
    go = toolchain.find(source / "go.mod", build.cache() / "go", print)
    machine.run(go, "build", "-C", source, "-trimpath", "-ldflags=-s -w", f"-o={program}", ".")
    return program


def _buildah(*arguments: str) -> str:
    """Run buildah without a daemon, a registry, or privileges of the kernel that a machine may lack."""
    settings = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    return machine.run("buildah", *arguments, environment=settings)
