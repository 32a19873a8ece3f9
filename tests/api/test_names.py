import pytest

from pallet.api.names import is_label_key, is_label_value, is_subdomain


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a", True),
        ("web-1.example", True),
        ("a--b", True),
        ("0", True),
        ("a" * 253, True),
        ("a" * 254, False),
        ("", False),
        ("A", False),
        ("a_b", False),
        ("-a", False),
        ("a-", False),
        ("a..b", False),
        ("a.-b", False),
        ("a\n", False),
        ("é", False),
    ],
)
def test_a_subdomain(text: str, *, valid: bool) -> None:
    assert is_subdomain(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("", True),
        ("a", True),
        ("A_b.c-1", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("_a", False),
        ("a.", False),
        ("a b", False),
        ("a/b", False),
        ("a\n", False),
    ],
)
def test_a_label_value(text: str, *, valid: bool) -> None:
    assert is_label_value(text) is valid


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a", True),
        ("planner.ciena.io/pod-set", True),
        ("0.1.2.domain/99", True),
        ("a" * 253 + "/" + "B" * 63, True),
        ("a" * 254 + "/b", False),
        ("a/" + "b" * 64, False),
        ("", False),
        ("/a", False),
        ("a/", False),
        ("a/b/c", False),
        ("A/b", False),
        ("a b", False),
    ],
)
def test_a_label_key(text: str, *, valid: bool) -> None:
    assert is_label_key(text) is valid
