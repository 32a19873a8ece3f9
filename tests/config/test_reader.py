from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pallet.config.errors import ConfigError
from pallet.config.reader import MAX_DEPTH, read


def lines(text: str) -> list[str]:
    """Every mistake of a text, without the file's name."""
    try:
        _, mistakes = read(text, "f")
    except ConfigError as error:
        mistakes = list(error.mistakes)
    return [str(mistake).removeprefix("f: ") for mistake in mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("a: 1", {"a": 1}),
        ("a: ~\nb: null\nc:", {}),
        ("a: [1, ~]", {"a": [1, None]}),
        ("a: 2001-12-14", {"a": "2001-12-14"}),
        ("a: [yes, off, 1.5, 0x10, '1', \"x\"]", {"a": [True, False, 1.5, 16, "1", "x"]}),
        ("a: !!str 1\nb: !!int '2'", {"a": "1", "b": 2}),
        ("1: a\non: b", {"1": "a", "on": "b"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("d: {<<: [{a: 1}, {a: 2, b: 2}]}", {"d": {"a": 1, "b": 2}}),
        ("'<<': a", {"<<": "a"}),
        ('{\n\t"a": [\n\t\t1,\n\t\t{"b": "\\u00e9"}\n\t]\n}\n', {"a": [1, {"b": "é"}]}),
    ],
)
def test_yaml_and_json_become_plain_data(text: str, value: object) -> None:
    assert read(text, "f") == (value, [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: {b: [{c: 1, c: 2}]}", "a.b[0].c: is given twice"),
        ('{"a": 1, "a": 1}', "a: is given twice"),
        ("a: .nan", "a: '.nan' cannot be read as float"),
        ("a: [.inf]", "a[0]: '.inf' cannot be read as float"),
        ("a: !!int x", "a: 'x' cannot be read as int"),
        ("a: !!bool x", "a: 'x' cannot be read as bool"),
        ("a: !!binary eA==", "a: 'eA==' cannot be read as binary"),
        ("a: !secret x", "a: 'x' cannot be read as !secret"),
        ("a: {<<: 1}", "a.<<: must be a mapping, or a list of mappings"),
        ("a: *b", "a: *b stands for nothing that is complete before it"),
        ("a: &b [*b]", "a[0]: *b stands for nothing that is complete before it"),
        ("a: {[b]: c}", "a: has a key that is not a plain word"),
        ("a: 1\n---\nb: 2", "holds more than one document: remove all but one"),
        ("a: [1", "line 2, column 1: did not find expected ',' or ']'"),
        ("a: 1\n b: 2", "line 2, column 3: mapping values are not allowed in this context"),
        ("a: \x00", "unacceptable character #x0000: control characters are not allowed"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, line: str) -> None:
    assert lines(text) == [line]


def test_all_mistakes_are_found_at_once() -> None:
    assert lines("a: .nan\nb: 1\nb: 2") == ["a: '.nan' cannot be read as float", "b: is given twice"]


@pytest.mark.parametrize("open_", ["- ", "[", "{a: ", "? "])
def test_deep_nesting_is_refused(open_: str) -> None:
    assert len(lines(open_ * 100_000)) == 1


def test_nesting_to_the_limit_is_read() -> None:
    assert lines("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert "levels deep" in lines("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[0]


def test_aliases_that_multiply_are_refused() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 20))
    assert lines(text) == ["holds more than 100000 values"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key or "": without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list) else value


@given(JSON)
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    # Quoted and tagged: what a plain scalar is taken for is not the same everywhere.
    assert read(yaml.safe_dump({"a": [value]}, default_style='"'), "f") == ({"a": [without_nulls(value)]}, [])


@given(st.text() | st.text("[]{}:,-&*a!?|>'\"# \n\t<~0.") | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    lines(text)


@given(st.text("[]{}:,-&*ab?'\"\n "))
def test_structure_is_read_as_by_pyyaml(text: str) -> None:
    try:
        value, mistakes = read(text, "f")
    except ConfigError:
        return
    if not mistakes:
        assert value == without_nulls(yaml.load(text, yaml.CSafeLoader))
