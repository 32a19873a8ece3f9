import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.cli.arguments import UsageError, parse_run, parse_version
from pallet.cli.kube_scheduler_flags import NOT_APPLICABLE

KUBE_SCHEDULER_FLAGS = """
--config --master --write-config-to
--bind-address --cert-dir --disable-http2-serving --http2-max-streams-per-connection --permit-address-sharing
--permit-port-sharing --secure-port --tls-cert-file --tls-cipher-suites --tls-curve-preferences
--tls-min-version --tls-private-key-file --tls-sni-cert-key
--authentication-kubeconfig --authentication-skip-lookup --authentication-token-webhook-cache-ttl
--authentication-tolerate-lookup-failure --client-ca-file --requestheader-allowed-names
--requestheader-client-ca-file --requestheader-extra-headers-prefix --requestheader-group-headers
--requestheader-uid-headers --requestheader-username-headers
--authorization-always-allow-paths --authorization-kubeconfig --authorization-webhook-cache-authorized-ttl
--authorization-webhook-cache-unauthorized-ttl
--contention-profiling --kube-api-burst --kube-api-content-type --kube-api-qps --kubeconfig
--pod-max-in-unschedulable-pods-duration --profiling
--leader-elect --leader-elect-lease-duration --leader-elect-renew-deadline --leader-elect-resource-lock
--leader-elect-resource-name --leader-elect-resource-namespace --leader-elect-retry-period
--emulated-version --feature-gates --min-compatibility-version
--allow-metric-labels --allow-metric-labels-manifest --disabled-metrics --show-hidden-metrics-for-version
--log-flush-frequency --log-json-info-buffer-size --log-json-split-stream --log-text-info-buffer-size
--log-text-split-stream --logging-format --v --vmodule
--version
"""
"""What `kube-scheduler --help` of 1.37.2 lists."""


@pytest.mark.parametrize(
    "words",
    [
        ["--config", "c.yaml", "--kubeconfig", "k", "--leader-elect=false", "-v", "2"],
        ["--config=c.yaml", "--kubeconfig=k", "--leader-elect=false", "--v=2"],
        ["-config", "c.yaml", "-kubeconfig", "k", "-leader-elect=false", "-v=2"],
        ["-config=c.yaml", "-kubeconfig=k", "-leader-elect=F", "-v2"],
    ],
)
def test_flags_are_read_in_the_spellings_of_gnu_and_go(words: list[str]) -> None:
    arguments = parse_run(words)
    assert (arguments.config, arguments.kubeconfig, arguments.leader_elect, arguments.v) == (
        "c.yaml",
        "k",
        False,
        2,
    )


@pytest.mark.parametrize(
    "spelling", ["--leader-elect", "-leader-elect", "--leader-elect=true", "-leader-elect=1"]
)
def test_a_boolean_flag_by_itself_is_true(spelling: str) -> None:
    arguments = parse_run([spelling, "--config", "c.yaml"])
    assert arguments.leader_elect is True
    assert arguments.config == "c.yaml"


def test_serving_and_master_are_read() -> None:
    arguments = parse_run(
        ["--secure-port=0", "--bind-address=127.0.0.1", "--master", "http://localhost:9090"]
    )
    assert (arguments.secure_port, arguments.bind_address) == (0, "127.0.0.1")
    assert arguments.master == "http://localhost:9090"


def test_what_is_not_given_is_none() -> None:
    assert set(vars(parse_run([])).values()) == {None}


@pytest.mark.parametrize(
    "flag", ["check-plugins", "default-config", "ignore-kube-scheduler-lease", "leader-elect", "version"]
)
def test_boolean_flags_are_spelt_as_in_go(flag: str) -> None:
    name = flag.replace("-", "_")
    assert getattr(parse_run([f"--{flag}"]), name) is True
    assert getattr(parse_run([f"-{flag}=false"]), name) is False


def test_each_flag_of_kube_scheduler_is_read_or_named_with_what_to_do_instead() -> None:
    known = parse_run([])
    for flag in KUBE_SCHEDULER_FLAGS.split():
        name = flag.removeprefix("--").replace("-", "_")
        assert (flag in NOT_APPLICABLE) != hasattr(known, name), flag
    assert set(NOT_APPLICABLE) <= set(KUBE_SCHEDULER_FLAGS.split())


def test_flags_of_kubeadm_that_do_not_apply_are_all_named_at_once() -> None:
    """Each with its value as the next word, or behind the equals sign."""
    with pytest.raises(UsageError) as caught:
        parse_run(
            [
                "--authentication-kubeconfig=/etc/kubernetes/scheduler.conf",
                "--kubeconfig=/etc/kubernetes/scheduler.conf",
                "--leader-elect=true",
                "--emulated-version",
                "1.36",
            ]
        )
    assert caught.value.args == (
        f"--authentication-kubeconfig does not apply: {NOT_APPLICABLE['--authentication-kubeconfig']}",
        f"--emulated-version does not apply: {NOT_APPLICABLE['--emulated-version']}",
    )


def test_version_can_be_json() -> None:
    assert parse_version(["--json"]).json
    assert parse_version(["-json"]).json
    assert not parse_version([]).json


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--confg", "x"], 'unknown argument --confg, did you mean "--config"?'),
        (["-confg=x"], 'unknown argument --confg, did you mean "--config"?'),
        (["--conf", "x"], 'unknown argument --conf, did you mean "--config"?'),
        (["start"], "unknown argument start (see pallet --help)"),
        (["--leader-elect", "false"], "unknown argument false (see pallet --help)"),
        (["--leader-elect=maybe"], "argument --leader-elect: must be true or false, got 'maybe'"),
        (["--config"], "argument --config: expected one argument"),
        (
            ["--master", "localhost"],
            "argument --master: must be a URL such as http://localhost:8001, got 'localhost'",
        ),
        (["--secure-port", "65536"], "argument --secure-port: must be a port, 0 to 65535, got '65536'"),
        (["-v", "high"], "argument -v/--v: must be a number from 0, got 'high'"),
    ],
)
def test_a_mistake_is_a_line_that_names_the_flag(words: list[str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_run(words)
    assert str(caught.value) == line


def test_version_takes_no_flag_of_run() -> None:
    with pytest.raises(UsageError, match=r"^unknown argument --config \(see pallet version --help\)$"):
        parse_version(["--config=x"])


WORDS = st.sampled_from(
    ["-", "--", "-v", "=", "--config", "-config=", "--leader-elect=", "--master=http://", ""]
)


@given(st.lists(WORDS | st.text()))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    if any(word in {"-h", "--help", "-help"} for word in words):
        return
    with contextlib.suppress(UsageError):
        parse_run(words)
