"""How soon a hand edit is found and corrected on the real cluster: `python -m tests.e2e.latency --json`.

Twenty Kustomizations of ten objects each; people edit every object once, in every way that Flux corrects, while a
thousand other objects churn. Timed from the answer of the API server to the edit, by this machine's one clock, to the
append time of the finding's first and last record in Kafka.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abdrift.clock import wall_clock_ms
from abdrift.observed import percentiles
from abdrift.topics import FINDING
from tests.e2e.apps import CONFIG_MAP, DEPLOYMENT, deploy
from tests.e2e.sites import real_site
from tests.e2e.stack import running_stack
from tests.parts.cluster import Cluster
from tests.parts.discovery import Object, Ref
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.e2e.apps import App
    from tests.e2e.facts import Fact
    from tests.e2e.sites import Site
    from tests.e2e.stack import Stack

CONTAINER = "/spec/template/spec/containers/0"
LABELS = {"site": "lab", "environment": "test"}
SETTLE_SECONDS = 120.0
IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    owners: int = 20
    objects: int = 10
    """Of each owner."""
    edits_per_second: float = 2.0
    churning: int = 1_000
    churn_per_second: float = 50.0


@dataclass
class Trial:
    """What was done, by when it was answered, and what was told of it."""

    edited_ms: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Kind, namespace and name to wall-clock milliseconds."""
    churned: int = 0
    namespaces: set[str] = field(default_factory=set)
    """The trial's own: who shares the cluster may have drift of theirs."""


def files(load: Load) -> dict[str, str]:
    """Return an owner's manifests: Deployments and ConfigMaps in turn."""
    named = (f"{'web' if n % 2 else 'settings'}-{n:02d}" for n in range(load.objects))
    return {
        f"app/{name}.yaml": (DEPLOYMENT if name.startswith("web") else CONFIG_MAP).replace(
            "name: web}" if name.startswith("web") else "name: settings}", f"name: {name}}}"
        )
        for name in named
    }


def _strategic(body: Object, manager: str) -> Callable[[Site, Ref], Awaitable[Any]]:
    return lambda site, ref: site.alice.patch(ref, body, patch_type="strategic", field_manager=manager)


def _container(**changes: Any) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", **changes}]}}}}


OF_DEPLOYMENTS: tuple[Callable[[Site, Ref], Awaitable[Any]], ...] = (
    _strategic(_container(image="registry.invalid/web:hotfix"), "kubectl-set"),
    lambda site, ref: site.alice.patch(ref, {"spec": {"replicas": 5}}, subresource="scale"),
    _strategic(_container(env=[{"name": "DEBUG", "value": "1"}]), "kubectl-set"),
    _strategic({"metadata": {"labels": {"oncall": "alice"}}}, "kubectl-label"),
    lambda site, ref: site.alice.patch(
        ref, [{"op": "remove", "path": f"{CONTAINER}/env"}], patch_type="json", field_manager="kubectl-edit"
    ),
)
OF_CONFIG_MAPS: tuple[Callable[[Site, Ref], Awaitable[Any]], ...] = (
    _strategic({"data": {"color": "red"}}, "kubectl-edit"),
    lambda site, ref: site.alice.delete(ref),
    lambda site, ref: site.alice.patch(
        ref, [{"op": "remove", "path": "/data/level"}], patch_type="json", field_manager="kubectl-edit"
    ),
)


async def run(stack: Stack, load: Load) -> dict[str, Any]:
    """Deploy, edit and churn, and return the figures."""
    apps = await asyncio.gather(*(deploy(stack.site, files(load)) for _ in range(load.owners)))
    await asyncio.gather(*(stack.proven(app) for app in apps))
    trial, since = Trial(namespaces={app.namespace for app in apps}), stack.log.mark
    async with churning(stack.site, load, trial):
        await _edit_everything(stack, apps, load, trial)
        await _settle(stack, trial, since)
    return judged(stack, load, trial, since)


async def _edit_everything(stack: Stack, apps: list[App], load: Load, trial: Trial) -> None:
    # Owners take turns: what is deleted or removed while its owner is at work can't be told from the owner's own doing.
    since = stack.log.mark
    targets = [(app, path) for path in files(load) for app in apps]
    ways = {"Deployment": itertools.cycle(OF_DEPLOYMENTS), "ConfigMap": itertools.cycle(OF_CONFIG_MAPS)}
    begun = time.monotonic()
    for number, (app, path) in enumerate(targets):
        await asyncio.sleep(max(0.0, begun + number / load.edits_per_second - time.monotonic()))
        await _until_idle(stack, app, trial, since)
        name = Path(path).stem
        ref = app.ref("Deployment" if name.startswith("web") else "ConfigMap", name)
        await next(ways[ref.kind])(app.site, ref)
        trial.edited_ms[ref.kind, app.namespace, name] = wall_clock_ms()


async def _until_idle(stack: Stack, app: App, trial: Trial, since: int) -> None:
    """Wait, for a while at most, until what was edited of this owner before is corrected and its reconcile over."""
    mine = {key for key in trial.edited_ms if key[1] == app.namespace}

    async def idle() -> bool:
        if not mine <= told(stack, since)[1].keys():
            return False
        owner = await app.site.admin.get(app.owner)
        return not any(c["type"] == "Reconciling" for c in owner["status"]["conditions"])

    with suppress(AssertionError):  # what is missed is told at the end
        await until(idle, "an idle owner", IDLE_SECONDS)


async def _settle(stack: Stack, trial: Trial, since: int) -> None:
    """Wait until every edited object has a finding and its last one is closed, or time is up."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        if trial.edited_ms.keys() <= told(stack, since)[1].keys():
            return
        await asyncio.sleep(0.25)


Key = tuple[str, str, str]
_OF_EDITS = ("changed", "deleted")


def _key(fact: Fact) -> Key:
    ref = fact.data["object"]
    return ref["kind"], ref.get("namespace") or "", ref["name"]


def told(stack: Stack, since: int) -> tuple[dict[Key, int], dict[Key, int]]:
    """Return when each object's first finding opened and when its last one closed, by append time."""
    opened: dict[Key, int] = {}
    closed: dict[Key, int] = {}
    for fact in stack.log.of_type(FINDING.name, since):
        key = _key(fact)
        if fact.data["kind"] in _OF_EDITS:
            opened.setdefault(key, fact.append_ms)
            if fact.data["state"] == "closed":
                closed[key] = fact.append_ms
            else:
                closed.pop(key, None)
    return opened, closed


def judged(stack: Stack, load: Load, trial: Trial, since: int) -> dict[str, Any]:
    """Return the figures of a trial."""
    opened, closed = told(stack, since)
    edited = trial.edited_ms
    found = [float(opened[key] - at_ms) for key, at_ms in edited.items() if key in opened]
    corrected = [float(closed[key] - at_ms) for key, at_ms in edited.items() if key in closed]
    findings = [(f.data["kind"], _key(f)) for f in stack.log.of_type(FINDING.name, since)]
    false_alarms = {
        f"{kind} {'/'.join(key)}"
        for kind, key in findings
        if key[1] in trial.namespaces and not (kind in _OF_EDITS and key in edited)
    }
    results = [f.data["result"] for f in stack.log.facts[since:] if f.type.endswith("outcome.v1")]
    return {
        "owners": load.owners,
        "edited": len(edited),
        "churning": load.churning,
        "churn_writes": trial.churned,
        "edit_to_finding_ms": percentiles(found),
        "edit_to_corrected_ms": percentiles(corrected),
        "missed": len(edited.keys() - opened.keys()),
        "missed_objects": sorted("/".join(key) for key in edited.keys() - opened.keys()),
        "not_corrected": len(edited.keys() - closed.keys()),
        "false_alarms": len(false_alarms),
        "false_alarms_of": sorted(false_alarms)[:20],
        "commands": len(stack.commands(since)),
        "outcomes": {result: results.count(result) for result in sorted(set(results))},
    }


@asynccontextmanager
async def churning(site: Site, load: Load, trial: Trial) -> AsyncIterator[None]:
    """Keep other objects changing meanwhile: half ConfigMaps, which no watch shows, and half Deployments, all shown."""
    namespace = f"churn-{random.randbytes(4).hex()}"
    trial.namespaces.add(namespace)
    await site.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    refs = [await _other(site, namespace, number) for number in range(load.churning)]

    async def churn() -> None:
        begun = time.monotonic()
        for ref in itertools.cycle(refs):
            due = begun + trial.churned / load.churn_per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            note = {"metadata": {"annotations": {"churn": str(trial.churned)}}}
            await site.admin.patch(ref, note, field_manager="churn")
            trial.churned += 1

    task = asyncio.create_task(churn())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _other(site: Site, namespace: str, number: int) -> Ref:
    metadata = {"name": f"other-{number:04d}", "namespace": namespace}
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"number": str(number)}}
    if number % 2:
        labels = {"app": metadata["name"]}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "x", "image": "registry.invalid/x"}]},
        }
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    return Ref.of(await site.admin.create(body))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


async def _main(load: Load, folder: Path) -> dict[str, Any]:
    (folder / "cluster").mkdir()
    cluster = Cluster(folder / "cluster", _say)
    await asyncio.to_thread(cluster.start)
    try:
        async with AsyncExitStack() as parts:
            site = await parts.enter_async_context(real_site(cluster, LABELS))
            stack = await parts.enter_async_context(running_stack([site], folder / "stack", git_interval_seconds=30.0))
            return await run(stack, load)
    finally:
        await asyncio.to_thread(cluster.stop)


def main() -> None:
    """Run a trial of its own cluster and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = Load()
    for name in ("owners", "objects", "churning"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    for name in ("edits_per_second", "churn_per_second"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    given = vars(parser.parse_args())
    as_json = given.pop("json")
    with tempfile.TemporaryDirectory(prefix="abdrift-latency-") as folder:
        figures = asyncio.run(_main(Load(**given), Path(folder)))
    for line in [json.dumps(figures)] if as_json else [f"{name:22} {value}" for name, value in figures.items()]:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
