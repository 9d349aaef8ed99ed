"""The whole pipeline against real or simulated clusters, and what a scenario asks of it.

`async with running_stack(sites, folder) as stack`: Kafka, collectors, streams and sinks run as `abdrift up` runs them,
and the fleet topics are followed meanwhile. Whatever is awaited and does not come raises `AssertionError` with the
facts that name the namespace and the ends of the programs' logs.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from abdrift.cli.pipeline import PipelineSpec, running
from abdrift.cli.steering import approve, publish_policy
from abdrift.fleet import Fleet
from abdrift.topics import COMMAND, DECISION, FINDING, INVENTORY, OUTCOME, VERDICT
from tests.e2e.apps import App, deploy
from tests.e2e.facts import WITHIN_SECONDS, Fact, FactLog, followed
from tests.e2e.policies import ACTING
from tests.parts.loopback import HOST, Ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from abdrift.cli.pipeline import Pipeline
    from abdrift.facts.commands import Verb
    from abdrift.facts.governance import Policy
    from tests.e2e.sites import Site
    from tests.parts.discovery import Ref

LOG_TAIL_BYTES = 2_000
STARTED_WITHIN_SECONDS = 180.0
AGAIN_SECONDS = 8.0


@dataclass
class Stack:
    """A running pipeline, the clusters it watches, and all facts so far."""

    sites: tuple[Site, ...]
    folder: Path
    pipeline: Pipeline
    log: FactLog
    sink_metrics: str = ""
    """`host:port` of the GitOps sink's metrics."""
    early: Mapping[str, App] = field(default_factory=dict)
    """Applications that were tampered with before anything watched."""
    marks: int = 0
    _marker: App | None = None
    _marking: asyncio.Task[None] | None = None
    _next_mark: asyncio.Task[None] | None = None

    @property
    def site(self) -> Site:
        """The first cluster; most scenarios need one."""
        return self.sites[0]

    async def deploy(self, files: dict[str, str] | None = None, *, prune: bool = True) -> App:
        """Deploy an application and return it once its baseline is proven."""
        app = await deploy(self.site, files, prune=prune)
        return await self.proven(app)

    async def proven(self, app: App) -> App:
        """Have the owner seen through a reconcile, and return once its verdict is `in-sync`."""
        await self.verdict(app)
        await app.reconcile()
        with suppress(AssertionError):
            await self.verdict(app, "in-sync", within_seconds=AGAIN_SECONDS)
            return app
        # A kind that nobody had inventoried before is listed only now: that reconcile proved nothing of it.
        await app.reconcile()
        await self.verdict(app, "in-sync")
        return app

    async def verdict(self, app: App, wanted: str | None = None, *, within_seconds: float = WITHIN_SECONDS) -> Fact:
        """Return the owner's newest verdict once there is one, and once it is as wanted."""
        return await self.until(
            lambda fact: self._is_verdict(fact, app, wanted),
            f"verdict {wanted} on {app}",
            app,
            within_seconds=within_seconds,
        )

    def _is_verdict(self, fact: Fact, app: App, wanted: str | None) -> bool:
        if fact.type != VERDICT.name or not _names(fact.data["owner"], app.owner):
            return False
        newest = self.log.newest(VERDICT.name, fact.subject)
        assert newest is not None, "this one is there"
        return wanted in (None, newest.data["verdict"])

    async def finding(
        self,
        app: App,
        kind: str,
        ref: Ref,
        *,
        state: str = "open",
        since: int = 0,
        where: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> Fact:
        """Return the first finding of a kind about an object, in a state, that passes the check."""

        def wanted(fact: Fact) -> bool:
            data = fact.data
            return (
                fact.type == FINDING.name
                and (data["kind"], data["state"]) == (kind, state)
                and data["cluster"]["name"] == app.site.cluster
                and _names(data["object"], ref)
                and where(data)
            )

        return await self.until(wanted, f"{state} finding {kind} of {ref.kind}/{ref.name}", app, since=since)

    async def closed(self, app: App, finding: Fact) -> Fact:
        """Return the closing revision of a finding."""
        return await self.until(
            lambda f: (f.type, f.subject) == (FINDING.name, finding.subject) and f.data["state"] == "closed",
            f"finding {finding.subject} closes",
            app,
        )

    async def decision(self, app: App, finding: Fact, result: str, *, since: int = 0, code: str = "") -> Fact:
        """Return the first decision about a finding with that result and, if given, that reason."""
        return await self.until(
            lambda f: (
                f.type == DECISION.name
                and finding.subject in f.finding_ids
                and f.data["result"] == result
                and (not code or code in codes(f))
            ),
            f"decision {result} {code} about finding {finding.subject}",
            app,
            since=since,
        )

    async def outcome(self, app: App, finding: Fact, *, since: int = 0) -> Fact:
        """Return the final outcome of the first command for a finding."""
        return await self.until(
            lambda f: f.type == OUTCOME.name and finding.subject in f.finding_ids and f.data["result"] != "accepted",
            f"outcome for finding {finding.subject}",
            app,
            since=since,
        )

    async def corrected(self, app: App, finding: Fact) -> Fact:
        """Return the outcome that says a finding was corrected, once the finding says so too."""
        outcome = await self.outcome(app, finding)
        assert outcome.data["result"] == "corrected", outcome
        closing = await self.closed(app, finding)
        assert closing.data["closed_because"] == "corrected", self.diagnosis(app.namespace)
        return outcome

    async def approve(self, app: App, finding: Fact, verb: Verb) -> None:
        """Play the person who lets one command go, once it waits for that."""
        await self.decision(app, finding, "awaiting-approval", code="verb-needs-approval")
        kafka, keyring = self.pipeline.kafka, self.pipeline.keyring
        await approve(kafka, keyring, finding.subject, cluster=app.site.cluster, verb=verb, reason="for the test")

    async def publish(self, policy: Policy) -> None:
        """Put a policy in force."""
        await publish_policy(self.pipeline.kafka, self.pipeline.keyring, policy)

    async def mark(self) -> None:
        """Return once edits elsewhere, made from now on, are found and corrected, so that silence means something.

        Who comes while a mark is being made shares the next one, whose edits are made after that.
        """
        if self._next_mark is None:
            self._next_mark = asyncio.create_task(self._mark_after(self._marking))
        await asyncio.shield(self._next_mark)

    async def _mark_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._marking, self._next_mark = self._next_mark, None
        self._marker = app = self._marker or await self.deploy()
        self.marks += 1
        since, value = self.log.mark, f"mark-{self.marks}"
        await self.site.alice.patch(app.settings, {"data": {"color": value}})
        await self.site.alice.patch(app.web, {"metadata": {"labels": {"mark": value}}}, field_manager="kubectl-label")
        found = [await self.finding(app, "changed", ref, since=since) for ref in (app.settings, app.web)]
        for finding in found:
            await self.closed(app, finding)

    async def quiet(self, app: App, since: int) -> None:
        """Assert that nothing of the application's namespace was called drift since a mark in the log."""
        await self.mark()
        await self.verdict(app, "in-sync")
        told = self.log.findings(app.namespace, since)
        assert not told, f"not quiet:\n{self.diagnosis(app.namespace)}"

    async def until(
        self,
        check: Callable[[Fact], bool],
        what: str,
        app: App | str,
        *,
        since: int = 0,
        within_seconds: float = WITHIN_SECONDS,
    ) -> Fact:
        """Return the first fact since a mark that passes the check, or fail with all that is known."""
        try:
            return await self.log.until(check, what, since=since, within_seconds=within_seconds)
        except AssertionError as error:
            text = app if isinstance(app, str) else app.namespace
            raise AssertionError(f"{error}\n{self.diagnosis(text)}") from None

    def diagnosis(self, text: str) -> str:
        """Return the facts that name a text, and the ends of the programs' logs."""
        tails = []
        for path in sorted((self.folder / "logs").glob("*.log")):
            tail = path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
            tails += [f"--- {path.name}", tail] if tail else []
        return "\n".join(["--- facts", self.log.about(text), *tails])

    async def refusals_counted(self, code: str) -> float:
        """Return how many commands the sink says it refused for a reason."""
        async with aiohttp.ClientSession() as client, client.get(f"http://{self.sink_metrics}/metrics") as answer:
            text = await answer.text()
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        refused = "abdrift_gitops_commands_refused_total"
        return sum(s.value for s in samples if s.name == refused and s.labels["reason"] == code)

    def commands(self, since: int = 0) -> list[Fact]:
        """Return the commands issued since a mark."""
        return list(self.log.of_type(COMMAND.name, since))


@asynccontextmanager
async def running_stack(
    sites: Sequence[Site], folder: Path, *, policy: Policy | None = ACTING, **settings: Any
) -> AsyncIterator[Stack]:
    """Run everything against the sites until left; yields once each cluster is in the inventory.

    `settings` are `PipelineSpec`'s. Without a policy nothing is put in force.
    """
    given: dict[str, Any] = {
        "heartbeat_seconds": 1.0,
        "tick_seconds": 0.25,
        "session_timeout_seconds": 6.0,
        # Each asking starts two processes here, git and its server's, for each repository that a test has made.
        "git_interval_seconds": 8.0,
        "hourly_cap": 10_000,
        "secrets": sites[0].real is not None,
        **settings,
    }
    metrics = f"{HOST}:{Ports().take()}"
    given["options"] = {"sink-gitops": ("--metrics", metrics), **given.get("options", {})}
    spec = PipelineSpec(fleet=Fleet(clusters=tuple(site.member for site in sites)), data_dir=folder, **given)
    async with AsyncExitStack() as parts:
        pipeline = await parts.enter_async_context(running(spec))
        log = await parts.enter_async_context(followed(pipeline.kafka))
        stack = Stack(tuple(sites), folder, pipeline, log, metrics)
        for site in sites:
            await stack.until(
                partial(_is_known, cluster=site.cluster),
                f"{site.cluster} is in the inventory",
                site.cluster,
                within_seconds=STARTED_WITHIN_SECONDS,
            )
        if policy is not None:
            await stack.publish(policy)
        yield stack


def codes(fact: Fact) -> set[str]:
    """Return the reasons of a decision or outcome, by their stable words."""
    return {reason["code"] for reason in fact.data.get("reasons", ())}


async def eventually(check: Callable[[], bool], what: str, within_seconds: float = WITHIN_SECONDS) -> None:
    """Return once something that no fact tells has come about. Raises `AssertionError`."""
    deadline = time.monotonic() + within_seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {within_seconds:g} s: {what}"
        await asyncio.sleep(0.05)


def _is_known(fact: Fact, cluster: str) -> bool:
    return fact.type == INVENTORY.name and fact.subject == cluster and "uid" in fact.data["cluster"]


def _names(told: Mapping[str, Any], ref: Ref) -> bool:
    return (told["kind"], told.get("namespace"), told["name"]) == (ref.kind, ref.namespace, ref.name)
