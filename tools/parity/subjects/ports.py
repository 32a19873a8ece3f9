"""Host ports."""

from tools.parity.draft import Draft, Subject, is_bound, nothing
from tools.parity.scenario import Manifest


def _dress(draft: Draft, pod: Manifest) -> None:
    spec = pod["spec"]
    if is_bound(pod):
        if spec["nodeName"] in draft.nodes_with_ports:
            return
        draft.nodes_with_ports.add(spec["nodeName"])
    if draft.chance(0.15):
        spec["hostNetwork"] = True
        spec["containers"][0]["ports"] = [{"containerPort": draft.pick((80, 443))}]
    elif draft.chance(0.6):
        ports: Manifest = {}
        for _ in range(draft.rng.randint(1, 2)):
            number, protocol = draft.pick((80, 443)), draft.pick(("TCP", "TCP", "UDP"))
            address = draft.pick(("", "", "0.0.0.0", "127.0.0.1", "10.0.0.1"))  # noqa: S104 - a pod's
            ports[f"{number}/{protocol}"] = {
                "containerPort": 8000 + len(ports),
                "hostPort": number,
                "protocol": protocol,
                **({"hostIP": address} if address else {}),
            }
        spec["containers"][0]["ports"] = list(ports.values())
        if draft.chance(0.2):
            sidecar = {"name": "proxy", "image": "pause", "restartPolicy": "Always"}
            port = {"containerPort": 9000, "hostPort": draft.pick((80, 443))}
            spec.setdefault("initContainers", []).append({**sidecar, "ports": [port]})


SUBJECT = Subject("ports", nothing, _dress)
