"""The arguments of PodSetPlanner, as they stand in a configuration."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pallet.config.errors import ConfigError, FieldPath
from pallet.config.load import load
from pallet.podset.plugin import PodSetPlannerArgs, args_of


def args(folder: Path, *profiles: dict[str, Any]) -> PodSetPlannerArgs | None:
    """The arguments that are read from a file with these arguments in one profile each."""
    file = folder / "config.yaml"
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [
            {
                "schedulerName": f"scheduler-{number}",
                "plugins": {"multiPoint": {"enabled": [{"name": "PodSetPlanner"}]}},
                "pluginConfig": [{"name": "PodSetPlanner", "args": each}],
            }
            for number, each in enumerate(profiles)
        ],
    }
    file.write_text(yaml.safe_dump(document))
    return args_of(load(file).profiles)


@pytest.mark.parametrize("address", ["127.0.0.1:7777", "[::]:7777", "planner.example:7777"])
def test_an_address_has_a_host_and_a_port(tmp_path: Path, address: str) -> None:
    found = args(tmp_path, {"planner": {"address": address, "addresses": {"ops/planner": address}}})
    assert found is not None
    assert found.planner.address == address


@pytest.mark.parametrize(
    "address", ["127.0.0.1", ":7777", "::1:7777", "host:", "host:0", "host:port", "http://host:1"]
)
def test_an_address_without_a_port_is_refused_with_its_place(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        args(tmp_path, {"planner": {"address": address}})
    place = f"{tmp_path}/config.yaml: profiles[0].pluginConfig[0].args.planner"
    wanted = 'address must be "host:port", such as "0.0.0.0:7777"'
    assert str(caught.value) == f'{place}: {wanted}, got "{address}"'
    with pytest.raises(ConfigError, match=r"args\.planner: addresses\[ops/p\] must be"):
        args(tmp_path, {"planner": {"addresses": {"ops/p": address}}})


def test_the_arguments_know_where_they_stand(tmp_path: Path) -> None:
    found = args(tmp_path, {})
    assert found is not None
    assert found.path == FieldPath(f"{tmp_path}/config.yaml", "profiles[0].pluginConfig[0].args")


def test_all_profiles_must_give_the_same(tmp_path: Path) -> None:
    same = args(tmp_path, {"callTimeout": "5s"}, {"callTimeout": "5s"})
    assert same is not None
    assert same.call_timeout == 5.0
    with pytest.raises(ConfigError, match=r"profiles\[1\].*must be the same in all profiles that enable it"):
        args(tmp_path, {"callTimeout": "5s"}, {})
