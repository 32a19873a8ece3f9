import os
from pathlib import Path

import pytest

from tests.tools.conftest import executable
from tools import prometheus

APT_GET = """#!/bin/sh
echo "$*" >> "{calls}"
case "$*" in
*lists=*update) touch "{workspace}/lists" ;;
*download*) test -n "{known}" -o -e "{workspace}/lists" || {{ echo "E: no such package" >&2; exit 100; }}
    echo package > prometheus_1_all.deb ;;
esac
"""
DPKG_DEB = """#!/bin/sh
test "$1" = -x && grep -q package "$2" && mkdir -p "$3/usr/bin" && touch "$3/usr/bin/promtool"
"""


class Debian:
    """A machine without Prometheus, whose apt knows it or has to read its lists first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs = folder / "programs"
        self._calls = folder / "calls"
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        # /bin's tools without its apt, and without a Prometheus that may be installed.
        for tool in ("sh", "touch", "grep", "mkdir"):
            executable(self.programs / tool, f'#!/bin/sh\nPATH={os.environ["PATH"]} exec {tool} "$@"\n')
        monkeypatch.setenv("PATH", str(self.programs))

    def give_apt(self, *, known: bool) -> None:
        script = APT_GET.format(
            calls=self._calls, workspace=self.programs.parent, known="yes" if known else ""
        )
        executable(self.programs / "apt-get", script)
        executable(self.programs / "dpkg-deb", DPKG_DEB)

    @property
    def calls(self) -> list[str]:
        return [line.split()[-1] for line in self._calls.read_text().splitlines() if line]


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(tmp_path, monkeypatch)


def test_what_is_on_path_is_taken(debian: Debian) -> None:
    installed = executable(debian.programs / "promtool")
    assert prometheus.find("promtool") == installed


def test_the_package_is_unpacked_once(debian: Debian) -> None:
    debian.give_apt(known=True)
    found = prometheus.find("promtool")
    assert found == prometheus.find("promtool") == prometheus.folder() / "usr" / "bin" / "promtool"
    assert found.exists()
    assert debian.calls == ["prometheus"]
    assert sorted(path.name for path in prometheus.folder().parent.iterdir()) == [
        "prometheus",
        "prometheus.lock",
    ]


def test_package_lists_are_read_where_there_are_none(debian: Debian) -> None:
    debian.give_apt(known=False)
    assert prometheus.find("promtool").exists()
    assert debian.calls == ["prometheus", "update", "prometheus"]


def test_without_apt_the_error_names_the_remedy(debian: Debian) -> None:
    with pytest.raises(prometheus.NoPrometheusError, match=r"apt-get'?\n.*apt-get install prometheus"):
        prometheus.find("promtool")
    assert not prometheus.folder().exists()


def test_what_apt_says_is_passed_on(debian: Debian) -> None:
    executable(debian.programs / "apt-get", "#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    with pytest.raises(prometheus.NoPrometheusError, match=r"cannot be had: E: no network\nInstall"):
        prometheus.find("promtool")
