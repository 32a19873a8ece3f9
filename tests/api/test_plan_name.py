import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallet.api.names import is_subdomain
from pallet.api.plan_name import plan_name

LABEL_VALUES = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("namespace", "pod_set", "name"),
    [
        ("default", "planner-podset", "planner-podset-d4cd7dc68"),  # from the original's own repository
        ("default", "web", "web-759dc7fd44"),
        ("prod", "web", "web-79b9996574"),
        ("", "a", "a-7d6b446664"),
    ],
)
def test_a_plan_is_named_as_by_the_original(namespace: str, pod_set: str, name: str) -> None:
    assert plan_name(namespace, pod_set) == name


@pytest.mark.parametrize(
    ("pod_set", "name"),
    [
        ("Web_1", "web-1-56d94c97dd"),
        ("a.", "a-68f686996f"),
    ],
)
def test_a_set_that_makes_no_object_name_keeps_its_hash(pod_set: str, name: str) -> None:
    assert plan_name("default", pod_set) == name


@pytest.mark.parametrize(
    "pod_set", ["", "_", "..", "-a", "a..b", "a.-b", "ÄÖÜ", "İ", "K", "a" * 253, "Z" * 1000]
)
def test_any_set_has_a_valid_plan_name(pod_set: str) -> None:
    assert is_subdomain(plan_name("default", pod_set))


def test_sets_that_look_alike_have_plans_of_their_own() -> None:
    sets = ["web-1", "Web-1", "WEB-1", "web_1", "Web_1", "web.1", "web-1.", "-web-1", "web-1" + "_" * 300]
    assert len({plan_name("default", pod_set) for pod_set in sets}) == len(sets)


@given(st.text(), st.text() | LABEL_VALUES)
def test_a_plan_name_is_valid_and_begins_with_a_valid_set(namespace: str, pod_set: str) -> None:
    name = plan_name(namespace, pod_set)
    assert is_subdomain(name)
    if is_subdomain(pod_set) and len(pod_set) <= 240:
        assert name.startswith(f"{pod_set}-")
