"""What is running, as the metric kubernetes_build_info shows it."""

import platform

from pallet.framework.instruments import Instruments


def show_build(instruments: Instruments, version: str, commit: str) -> None:
    """Add the metric. What Go builds have and this has not is empty."""
    major, minor, *_ = version.split(".")
    labels = {
        "major": major,
        "minor": minor,
        "git_version": f"v{version}",
        "git_commit": commit,
        "git_tree_state": "",
        "build_date": "",
        "go_version": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system()}/{platform.machine()}".lower(),
    }
    info = instruments.gauge(
        "kubernetes_build_info", "The version of this scheduler; the value is always 1.", *labels
    )
    info[tuple(labels.values())].set(1)
