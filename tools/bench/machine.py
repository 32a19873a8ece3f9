"""The machine and the versions that figures belong to; nothing that tells whose machine it is."""

import os
import platform
from pathlib import Path

import pallet
from tools.controlplane import binaries


def describe() -> dict[str, str]:
    """Processor, memory, kernel, versions; the load is what ran beside the benchmark when it started."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor(Path("/proc/cpuinfo").read_text()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 1024**3:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load at start": f"{os.getloadavg()[0]:.1f}",
        "kube-apiserver": binaries.version("kube-apiserver"),
        "kube-scheduler": binaries.version("kube-scheduler"),
        "etcd": binaries.version("etcd"),
        "Python": platform.python_version(),
        "pallet": pallet.__version__,
    }


def processor(cpuinfo: str) -> str:
    """The processor's name, from /proc/cpuinfo; the architecture where that does not tell."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
