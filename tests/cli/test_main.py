"""The command as users start it, in its three forms."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest

import pallet
from pallet.cli.arguments import UsageError, parse_run
from pallet.cli.main import main, settings_of
from pallet.config.errors import ConfigError, FieldPath
from pallet.config.load import default_configuration
from pallet.config.settings import Settings
from tests.config.documents import V1

ROOT = Path(__file__).parents[2]
FORMS = {
    "pallet": [str(Path(sys.executable).with_name("pallet"))],
    "python -m pallet": [sys.executable, "-m", "pallet"],
    "python pallet.py": [sys.executable, str(ROOT / "pallet.py")],
}


def start(form: str, *words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, away from the source tree unless the form needs it."""
    environment = os.environ | variables
    if form == "python -m pallet":
        environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [*FORMS[form], *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
        timeout=50,
    )


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """Each way to start the command; `make setup` installs the first."""
    name: str = request.param
    return name


def test_version_names_what_is_running(form: str, tmp_path: Path) -> None:
    ended = start(form, "version", "--json", cwd=tmp_path, PALLET_COMMIT="abc123")
    assert (ended.returncode, ended.stderr) == (0, "")
    facts = json.loads(ended.stdout)
    assert facts == {
        "version": pallet.__version__,
        "commit": "abc123",
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def test_each_mistake_in_the_file_is_a_line(form: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(V1 + "parallelism: x\nprofils: []\n", "utf-8")
    ended = start(form, "-config", "c.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines() == [
        'c.yaml: parallelism: must be an integer, got "x"',
        'c.yaml: profils: unknown field, did you mean "profiles"?',
    ]


def test_an_unknown_argument_is_a_line(form: str, tmp_path: Path) -> None:
    ended = start(form, "--confg=c.yaml", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == 'pallet: unknown argument --confg, did you mean "--config"?\n'


MUTUAL_TLS = """
profiles:
  - schedulerName: mine
    plugins: {multiPoint: {enabled: [{name: PodSetPlanner}]}}
    pluginConfig:
      - name: PodSetPlanner
        args: {planner: {tls: {caFile: /gone/ca, certFile: /gone/cert, keyFile: /gone/key}}}
"""


def test_files_that_are_missing_are_found_before_anything_is_asked_of_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(V1 + MUTUAL_TLS, "utf-8")
    ended = start("python -m pallet", "--config=c.yaml", "--master=http://127.0.0.1:1", cwd=tmp_path)
    place = "c.yaml: profiles[0].pluginConfig[0].args.planner.tls"
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"{place}.caFile: /gone/ca cannot be read: no such file or directory",
        f"{place}.certFile: /gone/cert cannot be read: no such file or directory",
        f"{place}.keyFile: /gone/key cannot be read: no such file or directory",
    ]


def test_a_port_that_is_taken_is_a_line_with_the_flags(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(V1 + "profiles: [{schedulerName: mine}]", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = [f"--secure-port={port}", "--bind-address=127.0.0.1", "--master=http://127.0.0.1:1"]
        ended = start("python -m pallet", "--config=c.yaml", *flags, cwd=tmp_path)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in line
    assert "--bind-address and --secure-port" in line


def test_help_shows_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--config FILE", "--kubeconfig FILE", "--leader-elect", "-v N"))


def test_help_tells_in_which_order_a_cluster_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """As `Credentials.load` does, whose tests show it: the ServiceAccount comes before $KUBECONFIG."""
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out.partition("The cluster is that of")[2]
    order = ["--kubeconfig", "clientConnection.kubeconfig", "ServiceAccount", "$KUBECONFIG", "~/.kube/config"]
    places = [told.index(place) for place in order]
    assert places == sorted(places)


def test_version_is_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    line = f"pallet {pallet.__version__}, Python {platform.python_version()} on {platform.platform()}\n"
    assert capsys.readouterr().out == line


def test_version_is_a_flag_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"pallet {pallet.__version__}, Python ")


@pytest.mark.parametrize(
    "words", [[], ["--kubeconfig", "k"], ["--leader-elect=false"], ["--default-config=false"]]
)
def test_the_defaults_are_taken_only_where_they_are_asked_for(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("k").touch()
    assert main(words) == 1
    assert capsys.readouterr().err == (
        "pallet: neither --config nor --master is given: name a configuration with --config FILE; or, to "
        "schedule the pods of default-scheduler in the place of kube-scheduler, give --default-config\n"
    )


def test_a_file_and_the_defaults_exclude_each_other() -> None:
    with pytest.raises(UsageError, match=r"^--config FILE and --default-config exclude each other"):
        settings_of(parse_run(["--config=c.yaml", "--default-config"]))


def test_a_master_stands_for_the_defaults_too() -> None:
    settings = settings_of(parse_run(["--master=http://m"]))
    assert settings.configuration == default_configuration()


def test_the_defaults_when_asked_for() -> None:
    assert settings_of(parse_run(["--default-config"])) == Settings(
        default_configuration(),
        kubeconfig="",
        master="",
        verbosity=0,
        secure_port=10259,
        bind_address="0.0.0.0",  # noqa: S104 - the default under test
        ignore_kube_scheduler_lease=False,
        check_plugins=False,
        tls_cert_file="",
        tls_private_key_file="",
        version=pallet.__version__,
    )


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    file, of_file, of_flag = tmp_path / "c.yaml", tmp_path / "a", tmp_path / "b"
    file.write_text(V1 + f"clientConnection: {{kubeconfig: {of_file}}}", "utf-8")
    of_file.touch()
    of_flag.touch()
    assert settings_of(parse_run(["--config", str(file)])).kubeconfig == str(of_file)
    flags = ["--config", str(file), "--kubeconfig", str(of_flag), "--leader-elect=false", "-v=4"]
    settings = settings_of(parse_run([*flags, "--master=http://m", "--secure-port=1", "--bind-address=::1"]))
    assert not settings.configuration.leader_election.leader_elect
    assert (settings.kubeconfig, settings.master, settings.verbosity) == (str(of_flag), "http://m", 4)
    assert (settings.secure_port, settings.bind_address) == (1, "::1")


def test_plugins_are_checked_when_that_is_asked_for() -> None:
    assert settings_of(parse_run(["--default-config", "--check-plugins"])).check_plugins


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(V1 + "clientConnection: {kubeconfig: /none}", "utf-8")
    with pytest.raises(ConfigError, match=r"c\.yaml: clientConnection\.kubeconfig: /none: no such file$"):
        settings_of(parse_run(["--config", str(tmp_path / "c.yaml")]))
    with pytest.raises(ConfigError, match=r"^--kubeconfig: /gone: no such file$"):
        settings_of(parse_run(["--default-config", "--kubeconfig=/gone"]))


def test_the_scheduler_runs_and_its_status_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    async def run(settings: Settings) -> int:
        ran.append(settings)
        return 7

    app = types.ModuleType("pallet.app")
    app.run = run  # type: ignore[attr-defined] # a module is open to any name
    monkeypatch.setitem(sys.modules, "pallet.app", app)
    assert main(["--default-config", "-v", "3"]) == 7
    assert [settings.verbosity for settings in ran] == [3]


def test_what_only_the_scheduler_can_find_is_a_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_: Settings) -> int:
        raise ConfigError(FieldPath("c.yaml", "profiles[0]").mistake("unknown plugin"))

    app = types.ModuleType("pallet.app")
    app.run = run  # type: ignore[attr-defined] # a module is open to any name
    monkeypatch.setitem(sys.modules, "pallet.app", app)
    assert main(["--default-config"]) == 1
    assert capsys.readouterr().err == "c.yaml: profiles[0]: unknown plugin\n"


def test_it_ends_by_sigterm_while_it_starts(tmp_path: Path) -> None:
    """By a handler of its own: the first process of a container has no other way to end."""
    file = tmp_path / "config.yaml"
    os.mkfifo(file)
    with (
        subprocess.Popen([sys.executable, "-m", "pallet", f"--config={file}"]) as process,
        file.open("w"),  # it has opened it, too, and waits for its content
    ):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
