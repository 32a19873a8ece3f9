"""What the image must hold to, beyond what a linter of Dockerfiles knows."""

import re
import shlex

from tests.manifests.documents import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Each instruction and what follows it, on one line."""
    lines = (line for line in DOCKERFILE.splitlines() if line and not line.startswith("#"))
    logical = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest) for word, rest in (line.split(maxsplit=1) for line in logical)]


def last(word: str) -> str:
    return [rest for instruction, rest in instructions() if instruction == word][-1]


def test_runs_pallet_as_a_user_without_rights() -> None:
    assert last("ENTRYPOINT") == '["pallet"]'
    assert last("USER") == "65532:65532"
    order = [word for word, _ in instructions()]
    assert order.index("USER") > len(order) - 1 - order[::-1].index("FROM")


def test_all_that_is_downloaded_is_pinned() -> None:
    assert not [rest for word, rest in instructions() if word == "ADD"]
    for base in (rest.split()[0] for word, rest in instructions() if word == "FROM"):
        assert re.fullmatch(r"docker\.io/library/python:\d+\.\d+-slim-\w+", base)
    installs = [
        words
        for word, rest in instructions()
        if word == "RUN"
        for words in map(shlex.split, rest.split("&&"))
        if words[0] == "pip"
    ]
    assert len(installs) == 4
    for words in installs:
        assert {"--require-hashes", "--no-index", "--no-build-isolation"} & set(words)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert "pallet" in copied
    for source in copied:
        assert (ROOT / source).exists()
        assert source.split("/")[0] in allowed
