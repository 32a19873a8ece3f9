"""Files that the configuration names: each that cannot be used is a line with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pallet.app.files import file_mistakes
from pallet.config.load import parse
from pallet.server.certificate import self_signed
from tests.config.documents import V1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a certificate and its key, another certificate, and what is neither."""
    (tmp_path / "good.pem").write_bytes(self_signed("a"))
    (tmp_path / "other.pem").write_bytes(self_signed("a"))
    (tmp_path / "broken.pem").write_text("no certificate")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mistakes(text: str) -> list[str]:
    return [str(mistake) for mistake in file_mistakes(parse(V1 + text, "c.yaml"))]


def extender(tls: str) -> str:
    return f'extenders: [{{urlPrefix: "https://e", filterVerb: f, tlsConfig: {tls}}}]'


def planner(tls: str) -> str:
    return f"profiles: [{{pluginConfig: [{{name: PodSetPlanner, args: {{planner: {{tls: {tls}}}}}}}]}}]"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("of", [extender, planner])
def test_files_that_can_be_used_are_no_mistake(of: Callable[[str], str]) -> None:
    assert mistakes(of("{caFile: other.pem, certFile: good.pem, keyFile: good.pem}")) == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("of", "place"),
    [
        (extender, "c.yaml: extenders[0].tlsConfig"),
        (planner, "c.yaml: profiles[0].pluginConfig[0].args.planner.tls"),
    ],
)
@pytest.mark.parametrize(
    ("tls", "lines"),
    [
        (
            "{caFile: /gone, certFile: good.pem, keyFile: /gone2}",
            [
                "{}.caFile: /gone cannot be read: no such file or directory",
                "{}.keyFile: /gone2 cannot be read: no such file or directory",
            ],
        ),
        (
            "{caFile: good.pem, certFile: ., keyFile: good.pem}",
            ["{}.certFile: . cannot be read: is a directory"],
        ),
        (
            "{caFile: broken.pem, certFile: good.pem, keyFile: good.pem}",
            ["{}.caFile: broken.pem cannot be used: it must hold certificates in PEM"],
        ),
        (
            "{caFile: good.pem, certFile: good.pem, keyFile: other.pem}",
            ["{}.certFile: good.pem and other.pem cannot be used: they must hold a certificate and its key"],
        ),
    ],
)
def test_each_file_that_cannot_be_used_is_a_line_with_its_place(
    of: Callable[[str], str], place: str, tls: str, lines: list[str]
) -> None:
    found = mistakes(of(tls))
    assert len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert line.startswith(expected.replace("{}", place))


@pytest.mark.usefixtures("folder")
def test_data_goes_before_the_file_of_an_extender() -> None:
    assert (
        mistakes(extender("{caFile: /gone, caData: eA==, certFile: /gone, certData: eA==, keyData: eA==}"))
        == []
    )
