"""The page for those who change pallet names files and classes: they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PAGE = (ROOT / "docs" / "architecture.md").read_text()
FILES = sorted({*re.findall(r"`(pallet/[\w/]+(?:\.py|/))`", PAGE)})
NAMED = re.findall(r"`(pallet/[\w/]+\.py)` \(`(\w+)`\)", PAGE)


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_class_or_function_that_it_names_is_in_that_file(path: str, name: str) -> None:
    assert re.search(rf"^(class|def|async def) {name}\b", Path(ROOT / path).read_text(), re.MULTILINE)


def test_the_page_names_enough_to_be_checked() -> None:
    assert len(FILES) > 60
    assert len(NAMED) >= 8
