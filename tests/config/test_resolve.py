"""The order and weights of plugins, as kube-scheduler resolves them."""

from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pallet.config.errors import ConfigError
from pallet.config.resolve import Weighted, resolve_plugins, unknown_plugins
from pallet.config.schema import ExtensionPoint, Profile
from tests.config.documents import configuration

POINTS = {
    "All": set(ExtensionPoint),
    "Sort": {ExtensionPoint.QUEUE_SORT},
    "Bind": {ExtensionPoint.BIND},
    "Score1": {ExtensionPoint.PRE_SCORE, ExtensionPoint.SCORE},
    "Score2": {ExtensionPoint.SCORE},
    "Score3": {ExtensionPoint.SCORE},
    "Filter": {ExtensionPoint.FILTER},
}
BASE: Sequence[Weighted] = [("Sort", 0), ("Bind", 0)]


def profile(**points: str) -> Profile:
    """A profile: `A=5` enables A with that weight, `-A` disables it."""
    sets: dict[str, dict[str, list[object]]] = {point: {"enabled": [], "disabled": []} for point in points}
    for point, words in points.items():
        for word in words.split():
            name, _, weight = word.removeprefix("-").partition("=")
            ref = {"name": name, "weight": int(weight or 0)}
            sets[point]["disabled" if word.startswith("-") else "enabled"].append(ref)
    return configuration(yaml.safe_dump({"profiles": [{"plugins": sets}]})).profiles[0]


def resolved(made: Profile, defaults: Sequence[Weighted] = BASE) -> dict[str, str]:
    """The points that have plugins, these as a row of words; score plugins with their weights."""
    result = resolve_plugins(made, defaults, POINTS.__getitem__)
    assert list(result) == list(ExtensionPoint)
    return {
        point: " ".join(f"{name}={weight}" if weight else name for name, weight in entries)
        for point, entries in result.items()
        if entries
    }


def test_a_plugin_runs_wherever_it_can() -> None:
    expected = dict.fromkeys(map(str, ExtensionPoint), "All") | {"score": "All=5"}
    assert resolved(profile(multiPoint="All=5"), []) == expected


def test_without_a_word_in_the_file_the_defaults_run() -> None:
    assert resolved(profile(), [*BASE, ("Score1", 2), ("Filter", 0)]) == {
        "queueSort": "Sort",
        "filter": "Filter",
        "preScore": "Score1",
        "score": "Score1=2",
        "bind": "Bind",
    }


def test_a_point_can_disable_one_plugin() -> None:
    found = resolved(profile(preScore="-All", score="-All"), [("All", 0)])
    assert found.keys() == set(ExtensionPoint) - {"preScore", "score"}


def test_a_point_can_disable_all_plugins() -> None:
    found = resolved(profile(score="-*"), [*BASE, ("Score1", 0), ("Score2", 0)])
    assert found == {"queueSort": "Sort", "preScore": "Score1", "bind": "Bind"}


@pytest.mark.parametrize(
    ("multi_point", "score", "defaults", "expected"),
    [
        # several of them keep their order; a weight that is not given is 1
        ("Score2 Score1", "", "", "Score2=1 Score1=1"),
        # what the file adds comes after the defaults
        ("Score2", "", "Score1=2", "Score1=2 Score2=1"),
        # a default named again keeps its place and takes the weight
        ("Score3 Score1=7", "", "Score1=2 Score2=2", "Score1=7 Score2=2 Score3=1"),
        # the point's own order goes first
        ("Score3 Score1 Score2", "Score2 Score1", "", "Score2=1 Score1=1 Score3=1"),
        # but only of those that run everywhere; the others come last
        ("Score1 Score2", "Score3 Score2 Score1", "", "Score2=1 Score1=1 Score3=1"),
        # the point's weight goes before the general one
        ("Score1=9 Score2", "Score2=5 Score1=3", "", "Score2=5 Score1=3"),
        # even where it is not given
        ("", "Score1", "Score1=9 Score2=9", "Score1=1 Score2=9"),
        # nobody runs twice
        ("Score1", "Score1=5 Score2=5", "", "Score1=5 Score2=5"),
        # disabled and enabled at a point: moved to its end
        ("", "-Score1 Score1=4", "Score1=1 Score2=1", "Score2=1 Score1=4"),
        # all disabled at a point: only what it enables, in its order
        ("", "-* Score3 Score1", "Score1=6 Score2=1", "Score3=1 Score1=1"),
        # a default disabled everywhere
        ("-Score1", "", "Score1=1 Score2=1", "Score2=1"),
        # and enabled again, at the end
        ("-Score1 Score1=2", "", "Score1=1 Score2=1", "Score2=1 Score1=2"),
        # what multiPoint enables, it does not disable
        ("-Score1 Score1", "", "", "Score1=1"),
        # a default disabled everywhere runs where a point enables it
        ("-Score1", "Score1=3", "Score1=1 Score2=1", "Score2=1 Score1=3"),
    ],
)
def test_order_and_weight_follow_the_rules(
    multi_point: str, score: str, defaults: str, expected: str
) -> None:
    given_ = [(name, int(weight)) for name, _, weight in (word.partition("=") for word in defaults.split())]
    assert resolved(profile(multiPoint=multi_point, score=score), [*BASE, *given_])["score"] == expected


def test_all_defaults_can_be_replaced() -> None:
    assert resolved(profile(multiPoint="-* Sort Bind Score1"), [("All", 3), ("Filter", 0)]) == {
        "queueSort": "Sort",
        "preScore": "Score1",
        "score": "Score1=1",
        "bind": "Bind",
    }


@pytest.mark.parametrize(
    ("made", "defaults", "line"),
    [
        (
            profile(filter="Filter Score1"),
            BASE,
            'filter.enabled[1].name: plugin "Score1" does not implement filter',
        ),
        (profile(), [("Bind", 0)], "queueSort: exactly one plugin must sort the queue, got none"),
        (profile(multiPoint="All"), BASE, "queueSort: exactly one plugin must sort the queue, got Sort, All"),
        (profile(), [("Sort", 0)], "bind: at least one plugin must bind, got none"),
    ],
)
def test_what_cannot_run_is_refused(made: Profile, defaults: Sequence[Weighted], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_plugins(made, defaults, POINTS.__getitem__)
    assert str(caught.value) == f"c.yaml: profiles[0].plugins.{line}"


def test_unknown_plugins_are_named_with_their_places() -> None:
    (made,) = configuration("""
profiles:
- plugins:
    multiPoint: {enabled: [{name: Filtre}], disabled: [{name: Gone}]}
    score: {enabled: [{name: Score1}, {name: my.module:Plugin}]}
  pluginConfig: [{name: All}, {name: Nobody}]
""").profiles
    lines = [str(mistake).removeprefix("c.yaml: profiles[0].") for mistake in unknown_plugins(made, POINTS)]
    assert lines == [
        'plugins.multiPoint.enabled[0].name: unknown plugin "Filtre", did you mean "Filter"?',
        'plugins.score.enabled[1].name: unknown plugin "my.module:Plugin"',
        'pluginConfig[1].name: unknown plugin "Nobody"',
    ]


NAMES = st.sampled_from(["Score1", "Score2", "Score3"])
SETS = st.fixed_dictionaries(
    {
        "enabled": st.lists(NAMES, unique=True).map(lambda names: [{"name": name} for name in names]),
        "disabled": st.lists(NAMES | st.just("*")).map(lambda names: [{"name": name} for name in names]),
    }
)


@given(SETS, SETS, st.lists(NAMES, unique=True))
def test_each_plugin_runs_once_and_what_a_point_enables_runs(
    multi: dict[str, list[dict[str, str]]], point: dict[str, list[dict[str, str]]], defaults: list[str]
) -> None:
    base = {"queueSort": {"enabled": [{"name": "Sort"}]}, "bind": {"enabled": [{"name": "Bind"}]}}
    plugins = base | {"multiPoint": multi, "score": point}
    made = configuration(yaml.safe_dump({"profiles": [{"plugins": plugins}]}))
    everything = [(name, 1) for name in defaults]
    entries = resolve_plugins(made.profiles[0], everything, POINTS.__getitem__)[ExtensionPoint.SCORE]
    names = [name for name, _ in entries]
    assert len(set(names)) == len(names)
    assert {ref["name"] for ref in point["enabled"]} <= set(names)
    assert all(weight >= 1 for _, weight in entries)
