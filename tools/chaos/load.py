"""The load: what users do meanwhile, as plain requests, drawn from the seed without a look at the cluster.

Deployments, bare pods and sets come, change and go; triggers are switched to and fro; nodes are deleted (with
pods on them), added again under their names, cordoned and tainted. At the end every node is there and takes
pods.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import msgspec

from pallet.api.podset import POD_SET_LABEL, QUIET_TIME_LABEL
from tools.controlplane import nodes

Document = dict[str, Any]

SCHEDULER = "podset-planner-scheduler"
NAMESPACES = ("chaos-a", "chaos-b", "chaos-c")
TIGHT = "tight"
TIGHT_SHARE = 0.1
"""Share of the nodes that are small, and only for pods that nearly fill them: most of their room is taken, so
that who does not see what others have bound takes it twice."""

TRIGGERS = "/apis/planner.ciena.io/v1alpha1"
VOLUMES = "/api/v1/persistentvolumes"
STORAGE_CLASS = "chaos"
VOLUME_SHARE = 0.4
"""Share of the bare pods that have a volume each."""

LONG_TERMS = 80
"""So many terms more make a pod one that is scheduled alone."""

MOST_PODS = 420
MOST_TIGHT = 64
CONTENDERS = 6
"""Pods on each side of a contest."""
MOST_OF_A_NODE = "2500m"
"""What each of them asks: no small node has room for two, but most have for one."""
ACTS_PER_SECOND = 1.1


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request, `at` seconds after the start."""

    at: float
    method: str
    path: str
    body: Document | None = None


def node_names(count: int) -> tuple[list[str], list[str]]:
    """The names of the wide nodes and of the tight ones."""
    tight = round(count * TIGHT_SHARE)
    return nodes.numbered("wide", count - tight), nodes.numbered(TIGHT, tight)


def node(name: str) -> Document:
    """A node of a name, as kwok takes it."""
    tight = name.startswith(TIGHT)
    return nodes.manifest(
        name,
        labels={"size": TIGHT if tight else "wide"},
        taints=[nodes.Taint("size", "NoSchedule", TIGHT)] if tight else [],
        capacity={"cpu": "4", "memory": "8Gi", "pods": "20"} if tight else {},
        ready=True,
    )


def draw_load(seed: int, minutes: float, count: int) -> Iterator[Act]:
    """Draw the load of a seed."""
    return _Load(Random(f"{seed} load"), minutes * 60, count).run()  # noqa: S311 - it is to be repeated


def _spec(sort: str, cpu: str = "") -> Document:
    """The spec of a pod of a sort, without what is drawn."""
    cpu = cpu or {"small": "100m", "large": "3", "tight": "1500m"}.get(sort, "200m")
    requests = {"cpu": cpu, "memory": "256Mi"}
    spec: Document = {
        "schedulerName": SCHEDULER,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "main:1", "resources": {"requests": requests}}],
    }
    if sort == "tight":
        spec["nodeSelector"] = {"size": TIGHT}
        spec["tolerations"] = [{"key": "size", "value": TIGHT, "effect": "NoSchedule"}]
    return spec


def contest(name: str, since: float, meanwhile: float, switched: float, over: float) -> Iterator[Act]:
    """Pods that want the same room: those of a set, which wait for their trigger, and meanwhile others."""
    namespace = NAMESPACES[0]
    triggers = f"{TRIGGERS}/namespaces/{namespace}/scheduletriggers"
    pods = f"/api/v1/namespaces/{namespace}/pods"
    yield Act(since, "POST", triggers, _trigger(name, {POD_SET_LABEL: name}, "Planning"))
    for at, sort, labels in ((since, "waits", {POD_SET_LABEL: name}), (meanwhile, "comes", {})):
        for index in range(CONTENDERS):
            metadata = {"name": f"{name}-{sort}-{index}", "labels": {"app": name, **labels}}
            yield Act(at, "POST", pods, {"metadata": metadata, "spec": _spec(TIGHT, MOST_OF_A_NODE)})
            yield Act(over, "DELETE", f"{pods}/{metadata['name']}")
    yield Act(switched, "PATCH", f"{triggers}/{name}", {"spec": {"state": "Schedule"}})
    yield Act(over, "DELETE", f"{triggers}/{name}")


def _trigger(name: str, labels: Mapping[str, str], state: str) -> Document:
    return {
        "apiVersion": "planner.ciena.io/v1alpha1",
        "kind": "ScheduleTrigger",
        "metadata": {"name": name, "labels": labels},
        "spec": {"state": state},
    }


class _Load:
    def __init__(self, rng: Random, seconds: float, count: int) -> None:
        self._rng = rng
        self._seconds = seconds
        self._now = 0.0
        self._number = 0
        wide, tight = node_names(count)
        self._nodes = wide + tight
        self._broken: list[tuple[float, Act]] = []  # how and when a node is mended
        self._mending: set[str] = set()
        self._deployments: dict[str, int] = {}
        self._tight: dict[str, int] = {}  # tight pods of each Deployment or set
        self._pods: list[str] = []
        self._claims: dict[str, str] = {}  # by the path of their pod
        self._sets: dict[str, list[str]] = {}  # path of the trigger: paths of the pods
        self._states: dict[str, str] = {}

    def run(self) -> Iterator[Act]:
        acts: list[tuple[Callable[[], Iterator[Act]], float]] = [
            (self._deploy, 12),
            (self._scale, 14),
            (self._roll_out, 6),
            (self._undeploy, 8),
            (self._add_pods, 12),
            (self._delete_pods, 10),
            (self._add_set, 10),
            (self._switch, 16),
            (self._join, 8),
            (self._leave, 6),
            (self._delete_set, 8),
            (self._break_node, 10),
        ]
        functions, weights = zip(*acts, strict=True)
        while self._now < self._seconds:
            yield from self._mend(self._now)
            yield from self._rng.choices(functions, weights)[0]()
            self._now += self._rng.expovariate(ACTS_PER_SECOND)
        self._now = self._seconds
        yield from self._mend(float("inf"))

    def _act(self, method: str, path: str, body: Document | None = None) -> Act:
        return Act(round(self._now, 2), method, path, body)

    def _name(self, word: str) -> str:
        self._number += 1
        return f"{word}-{self._number}"

    @property
    def _room(self) -> int:
        live = sum(self._deployments.values()) + len(self._pods) + sum(map(len, self._sets.values()))
        return MOST_PODS - live

    def _spec(self, name: str, count: int) -> Document:
        """The spec of alike pods, of one of the sorts that compete for something."""
        sort = self._rng.choice(("small", "large", "tight", "tight", "tight", "apart", "long", "port"))
        if sort == "tight" and sum(self._tight.values()) + count > MOST_TIGHT:
            sort = "small"
        spec = _spec(sort)
        spec["terminationGracePeriodSeconds"] = self._rng.choice((0, 1, 3))
        if sort == "tight":
            self._tight[name] = count
        if sort == "port":
            port = self._rng.randrange(8000, 8004)
            spec["containers"][0]["ports"] = [{"containerPort": port, "hostPort": port}]
        if sort in ("apart", "long"):
            apps = [name, *(f"none-{number}" for number in range(LONG_TERMS if sort == "long" else 0))]
            terms = [
                {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
                for app in apps
            ]
            spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        return spec

    def _deploy(self) -> Iterator[Act]:
        if self._room < 10:
            yield from self._undeploy()
            return
        name, count = self._name("app"), self._rng.randint(1, 9)
        path = f"/apis/apps/v1/namespaces/{self._rng.choice(NAMESPACES)}/deployments"
        labels = {"app": name}
        self._deployments[f"{path}/{name}"] = count
        spec = {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": self._spec(name, count)},
        }
        yield self._act("POST", path, {"metadata": {"name": name}, "spec": spec})

    def _scale(self) -> Iterator[Act]:
        if not self._deployments:
            return
        path = self._rng.choice(list(self._deployments))
        most = 2 if self._room < 10 or path.rpartition("/")[2] in self._tight else 10
        self._deployments[path] = count = self._rng.randint(0, most)
        yield self._act("PATCH", path, {"spec": {"replicas": count}})

    def _roll_out(self) -> Iterator[Act]:
        if self._deployments:
            path = self._rng.choice(list(self._deployments))
            template = {"metadata": {"annotations": {"rolled-out": self._name("change")}}}
            yield self._act("PATCH", path, {"spec": {"template": template}})

    def _undeploy(self) -> Iterator[Act]:
        if self._deployments:
            path = self._rng.choice(list(self._deployments))
            del self._deployments[path]
            self._tight.pop(path.rpartition("/")[2], None)
            yield self._act("DELETE", path)

    def _pod(self, namespace: str, name: str, spec: Document, app: str, pod_set: str = "") -> Act:
        labels = {"app": app, **({POD_SET_LABEL: pod_set} if pod_set else {})}
        pod = {"metadata": {"name": name, "labels": labels}, "spec": spec}
        return self._act("POST", f"/api/v1/namespaces/{namespace}/pods", pod)

    def _add_pods(self) -> Iterator[Act]:
        if self._room < 10:
            return
        app, count = self._name("bare"), self._rng.randint(1, 6)
        namespace, spec = self._rng.choice(NAMESPACES), self._spec(app, count)
        with_volumes = self._rng.random() < VOLUME_SHARE
        for index in range(count):
            name = f"{app}-{index}"
            if with_volumes:
                yield from self._volume(namespace, name)
            volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}] if with_volumes else []
            act = self._pod(namespace, name, {**spec, "volumes": volumes}, app)
            self._pods.append(f"{act.path}/{name}")
            yield act

    def _volume(self, namespace: str, name: str) -> Iterator[Act]:
        """A claim, and a volume for it that the scheduler has to bind first."""
        common = {"storageClassName": STORAGE_CLASS, "accessModes": ["ReadWriteOnce"]}
        size = {"storage": "1Gi"}
        volume = {**common, "capacity": size, "hostPath": {"path": "/data"}}
        claim = {**common, "resources": {"requests": size}}
        claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
        self._claims[f"/api/v1/namespaces/{namespace}/pods/{name}"] = f"{claims}/{name}"
        yield self._act("POST", VOLUMES, {"metadata": {"name": name}, "spec": volume})
        yield self._act("POST", claims, {"metadata": {"name": name}, "spec": claim})

    def _delete_pods(self) -> Iterator[Act]:
        for _ in range(min(len(self._pods), self._rng.randint(1, 5))):
            path = self._pods.pop(self._rng.randrange(len(self._pods)))
            app = path.rpartition("/")[2].rpartition("-")[0]
            if app in self._tight:
                self._tight[app] -= 1
            yield self._act("DELETE", path)
            if claim := self._claims.pop(path, ""):
                yield self._act("DELETE", claim)
                yield self._act("DELETE", f"{VOLUMES}/{path.rpartition('/')[2]}")

    def _add_set(self) -> Iterator[Act]:
        if self._room < 10:
            yield from self._delete_set()
            return
        name, namespace, count = self._name("set"), self._rng.choice(NAMESPACES), self._rng.randint(2, 10)
        quiet = self._rng.choice(("", "", "2s", "5s", "12s"))
        state = "Planning" if quiet else self._rng.choice(("Planning", "Schedule"))
        labels = {POD_SET_LABEL: name, **({QUIET_TIME_LABEL: quiet} if quiet else {})}
        path = f"{TRIGGERS}/namespaces/{namespace}/scheduletriggers"
        self._states[f"{path}/{name}"] = "quiet" if quiet else state
        self._sets[f"{path}/{name}"] = []
        yield self._act("POST", path, _trigger(name, labels, state))
        yield from self._members(f"{path}/{name}", count)

    def _members(self, trigger: str, count: int) -> Iterator[Act]:
        namespace, name = trigger.split("/")[5], trigger.rpartition("/")[2]
        app = self._name(name)
        spec = self._spec(app, count)
        for index in range(count):
            act = self._pod(namespace, f"{app}-{index}", spec, app, name)
            self._sets[trigger].append(f"{act.path}/{app}-{index}")
            yield act

    def _switch(self) -> Iterator[Act]:
        if self._states:
            path = self._rng.choice(list(self._states))
            if self._states[path] != "quiet":
                self._states[path] = "Planning" if self._states[path] == "Schedule" else "Schedule"
            state = "Planning" if self._states[path] == "quiet" else self._states[path]
            yield self._act("PATCH", path, {"spec": {"state": state}})

    def _join(self) -> Iterator[Act]:
        if self._sets and self._room > 10:
            yield from self._members(self._rng.choice(list(self._sets)), self._rng.randint(1, 3))

    def _leave(self) -> Iterator[Act]:
        trigger = self._rng.choice(list(self._sets)) if self._sets else ""
        if trigger and self._sets[trigger]:
            pods = self._sets[trigger]
            path = pods.pop(self._rng.randrange(len(pods)))
            app = path.rpartition("/")[2].rpartition("-")[0]
            if app in self._tight:
                self._tight[app] -= 1
            yield self._act("DELETE", path)

    def _delete_set(self) -> Iterator[Act]:
        if len(self._sets) > 3:
            trigger = self._rng.choice(list(self._sets))
            pods = self._sets.pop(trigger)
            del self._states[trigger]
            deletions = [trigger, *pods] if self._rng.random() < 0.5 else [*pods, trigger]
            for path in deletions:
                yield self._act("DELETE", path)
                self._tight.pop(path.rpartition("/")[2].rpartition("-")[0], None)

    def _break_node(self) -> Iterator[Act]:
        if len(self._mending) > len(self._nodes) // 6:
            return
        name = self._rng.choice([each for each in self._nodes if each not in self._mending])
        self._mending.add(name)
        path = f"/api/v1/nodes/{name}"
        whole = node(name)
        match self._rng.choice(("delete", "delete", "cordon", "taint")):
            case "delete":
                yield self._act("DELETE", path)
                mended = self._act("POST", "/api/v1/nodes", whole)
            case "cordon":
                yield self._act("PATCH", path, {"spec": {"unschedulable": True}})
                mended = self._act("PATCH", path, {"spec": {"unschedulable": None}})
            case _:
                taint = nodes.Taint("chaos", "NoSchedule").to_dict()
                yield self._act("PATCH", path, {"spec": {"taints": [*whole["spec"]["taints"], taint]}})
                mended = self._act("PATCH", path, {"spec": {"taints": whole["spec"]["taints"] or None}})
        self._broken.append((self._now + self._rng.uniform(1, 60), mended))

    def _mend(self, now: float) -> Iterator[Act]:
        for due, act in sorted((each for each in self._broken if each[0] <= now), key=lambda each: each[0]):
            name = (
                act.body["metadata"]["name"]
                if act.method == "POST" and act.body
                else act.path.rpartition("/")[2]
            )
            self._mending.discard(name)
            yield msgspec.structs.replace(act, at=round(min(due, self._now), 2))
        self._broken = [each for each in self._broken if each[0] > now]
