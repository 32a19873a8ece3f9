"""What kind is told, and what its API server gets, without a Docker engine."""

from pathlib import Path

from tools.node.kind import configuration, with_arguments

FOLDERS = [Path("/logs"), Path("/keys")]
POD = {
    "kind": "Pod",
    "spec": {
        "containers": [
            {
                "name": "kube-apiserver",
                "command": ["kube-apiserver", "--secure-port=6443"],
                "volumeMounts": [{"name": "k8s-certs", "mountPath": "/etc/kubernetes/pki"}],
            }
        ],
        "volumes": [{"name": "k8s-certs", "hostPath": {"path": "/etc/kubernetes/pki"}}],
        "hostNetwork": True,
    },
}


def test_the_control_plane_has_the_folders_at_their_own_paths() -> None:
    control_plane, worker = configuration(FOLDERS)["nodes"]
    assert (control_plane["role"], worker) == ("control-plane", {"role": "worker"})
    assert [(each["hostPath"], each["containerPath"]) for each in control_plane["extraMounts"]] == [
        ("/logs", "/logs"),
        ("/keys", "/keys"),
    ]


def test_the_api_server_gets_arguments_and_folders_beside_its_own() -> None:
    spec = with_arguments(POD, ["--audit-log-path=/logs/audit.log"], FOLDERS)["spec"]
    [container] = spec["containers"]
    assert container["command"] == [
        "kube-apiserver",
        "--secure-port=6443",
        "--audit-log-path=/logs/audit.log",
    ]
    paths = {each["name"]: each["hostPath"]["path"] for each in spec["volumes"]}
    mounted = {each["mountPath"]: paths[each["name"]] for each in container["volumeMounts"]}
    assert mounted == {path: path for path in ("/etc/kubernetes/pki", "/logs", "/keys")}
    assert spec["hostNetwork"]
