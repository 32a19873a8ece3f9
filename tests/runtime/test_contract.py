"""Misspelt and incomplete plugins are found out before they are made."""

import re
from pathlib import Path
from typing import Any

import pytest

import pallet
from pallet.framework import hooks, interface
from pallet.plugins.registry import BUILT_IN
from pallet.podset.plugin import PodSetPlanner
from pallet.runtime.contract import HOOKS, PROTOCOLS, problems


def plugin(*attributes: str) -> type[Any]:
    return type("Mine", (), dict.fromkeys(("name", *attributes)))


FILTER = ("filter_rows", "filter_reads", "filter_signature", "explain")
SCORE = ("score_rows", "score_reads", "score_signature")


@pytest.mark.parametrize(
    ("attributes", "wrong", "right"),
    [
        (("filter", "prescore"), "prescore", "pre_score"),
        (("filter", "postfilter"), "postfilter", "post_filter"),
        (("filter", "PreFilter"), "PreFilter", "pre_filter"),
        (("filter", "permits"), "permits", "permit"),
        (("score", "normalise"), "normalise", "normalize"),
        (("score", "normalize_score"), "normalize_score", "normalize"),
        ((*FILTER, "filter_row_quick"), "filter_row_quick", "filter_row"),
        ((*FILTER, "filter_read_sums"), "filter_read_sums", "filter_reads_sums"),
        ((*FILTER, "filterbeside"), "filterbeside", "filter_beside"),
        ((*FILTER, "filter_nodes"), "filter_nodes", "filter_rows"),
        (("filter", "events_to_registers"), "events_to_registers", "events_to_register"),
        (("filter", "arg_type"), "arg_type", "args_type"),
    ],
)
def test_a_misspelt_hook_is_named_with_the_nearest_right_one(
    attributes: tuple[str, ...], wrong: str, right: str
) -> None:
    (problem,) = problems(plugin(*attributes))
    assert problem == (
        f'Mine.{wrong} is not a hook of plugins, did you mean "{right}"? '
        f'(if it is the plugin\'s own, name it "_{wrong}")'
    )


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (("filter_rows",), "Mine has filter_rows, but no explain, filter_reads, filter_signature"),
        (("score_rows", "score_signature"), "Mine has score_signature, but no score_reads"),
        (("filter", "explain_row"), "Mine has explain_row, but no explain, filter_reads, filter_rows"),
        (("reserve",), "Mine has reserve, but no unreserve"),
        ((*FILTER, "filter_topic"), "Mine has filter_topic, but no filter_changes"),
        (("has_to_prepare",), "Mine has has_to_prepare, but no pre_bind"),
        (("scheduled_note",), "Mine has scheduled_note, but no post_bind"),
        (("filter", "normalize"), "Mine has normalize, but neither score nor score_rows"),
        ((*FILTER, "filter"), "Mine has both filter and filter_rows: one is enough"),
        ((*SCORE, "score"), "Mine has both score and score_rows: one is enough"),
    ],
)
def test_what_a_hook_goes_with_is_asked_for(attributes: tuple[str, ...], problem: str) -> None:
    assert problem in "\n".join(problems(plugin(*attributes)))


def test_a_plugin_has_a_name() -> None:
    assert problems(type("Mine", (), {"filter": None})) == ["Mine has no name"]


def test_a_method_takes_what_it_is_called_with() -> None:
    class Mine:
        name = "Mine"

        def filter(self, pod: Any, node: Any) -> None: ...

        def post_bind(self, *_: Any) -> None: ...

        def counted(self, info: Any, snapshot: Any, more: int = 0) -> None: ...

    problem = "Mine.filter takes (self, pod, node), and is called with (self, state, info, node)"
    assert problems(Mine) == [problem]


def test_what_objects_are_declared_to_have_counts() -> None:
    kind = type("Mine", (), {"__annotations__": {"name": str, "score_reads": Any}, "score": None})
    assert problems(kind) == ["Mine has score_reads, but no score_signature"]


@pytest.mark.parametrize("own", ["args", "cache", "pods", "kind", "decide", "factory", "names", "_prescore"])
def test_other_attributes_are_the_plugins_own(own: str) -> None:
    assert problems(plugin("filter", own)) == []


@pytest.mark.parametrize("kind", [*(each.kind for each in BUILT_IN.values()), PodSetPlanner])
def test_built_in_plugins_keep_the_contract(kind: type[Any]) -> None:
    assert problems(kind) == []


def test_every_hook_is_one_of_a_protocol_that_is_listed() -> None:
    declared = {
        each
        for module in (interface, hooks)
        for each in vars(module).values()
        if isinstance(each, type)
        and getattr(each, "_is_protocol", False)
        and each.__module__ == module.__name__
    }
    assert declared - set(PROTOCOLS) == {interface.Filters, interface.Refusal}


def test_nothing_but_hooks_is_looked_up_on_a_plugin() -> None:
    sources = "".join(path.read_text() for path in Path(pallet.__file__).parent.rglob("*.py"))
    looked_up = set(re.findall(r'(?:getattr|hasattr)\((?:self\.)?(?:plugin|kind), "(\w+)"', sources))
    assert {"filter_row", "explain_row", "filter_regardless", "normalize", "args_type"} & looked_up
    assert looked_up <= HOOKS
