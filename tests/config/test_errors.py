import pytest

from pallet.config.errors import ConfigError, FieldPath, refuse, suggestion


def test_a_path_reads_as_it_stands_in_the_file() -> None:
    path = FieldPath("c.yaml").field("profiles").item(0).field("plugins")
    assert str(path) == "c.yaml: profiles[0].plugins"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (FieldPath("c.yaml", "a"), "c.yaml: a: is wrong"),
        (FieldPath("c.yaml"), "c.yaml: is wrong"),
        (FieldPath("", "a"), "a: is wrong"),
        (FieldPath(), "is wrong"),
    ],
)
def test_a_mistake_names_what_is_known_of_its_place(path: FieldPath, line: str) -> None:
    assert str(path.mistake("is wrong")) == line


def test_an_error_has_a_line_for_each_mistake() -> None:
    root = FieldPath("c.yaml")
    with pytest.raises(ConfigError) as caught:
        refuse([root.field("a").mistake("is wrong"), root.field("b").mistake("is wrong too")])
    assert str(caught.value) == "c.yaml: a: is wrong\nc.yaml: b: is wrong too"
    assert len(caught.value.mistakes) == 2


def test_a_mistake_is_one_line_whatever_the_file_holds() -> None:
    mistake = FieldPath("c.yaml").field("a\nb").mistake('got "\x1b[31m"')
    assert str(mistake) == 'c.yaml: a\\nb: got "\\x1b[31m"'


def test_no_mistake_is_no_error() -> None:
    refuse([])


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("nam", ', did you mean "name"?'),
        ("PRIORITYSORT", ', did you mean "PrioritySort"?'),
        ("zzz", ""),
    ],
)
def test_a_near_word_is_suggested(word: str, hint: str) -> None:
    assert suggestion(word, ["name", "weight", "PrioritySort"]) == hint
