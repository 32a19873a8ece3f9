"""The configuration as it is shown."""

import json
from typing import Any

from pallet.config.errors import FieldPath
from pallet.config.load import default_configuration
from pallet.config.schema import (
    Extender,
    ExtenderTLS,
    KubeSchedulerConfiguration,
    PluginConfig,
    Profile,
)
from pallet.server.configz import configz


def shown(configuration: KubeSchedulerConfiguration) -> Any:
    return json.loads(configz(configuration))["componentconfig"]


def test_it_reads_like_the_file() -> None:
    found = shown(default_configuration())
    assert found["apiVersion"] == "kubescheduler.config.k8s.io/v1"
    assert found["kind"] == "KubeSchedulerConfiguration"
    assert found["leaderElection"]["leaseDuration"] == "15s"
    assert found["profiles"][0]["schedulerName"] == "default-scheduler"


def test_arguments_are_shown_and_places_in_the_file_are_not() -> None:
    args = PluginConfig(name="PodSetPlanner", args={"callTimeout": "15s"}, path=FieldPath("file", "here"))
    profile = Profile(scheduler_name="one", plugin_config=(args,), path=FieldPath("file", "there"))
    found = shown(KubeSchedulerConfiguration(profiles=(profile,)))
    assert found["profiles"][0]["pluginConfig"] == [{"name": "PodSetPlanner", "args": {"callTimeout": "15s"}}]
    assert "path" not in found
    assert "path" not in found["profiles"][0]


def test_keys_are_withheld() -> None:
    tls = ExtenderTLS(key_data=b"secret key", key_file="/etc/key")
    found = shown(KubeSchedulerConfiguration(extenders=(Extender(tls_config=tls),)))
    assert found["extenders"][0]["tlsConfig"]["keyData"] == "(withheld)"
    assert found["extenders"][0]["tlsConfig"]["keyFile"] == "/etc/key"
    assert found["extenders"][0]["tlsConfig"]["caData"] == ""
