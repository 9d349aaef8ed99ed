"""Carries out the commands of one cluster: accept, patch, follow, conclude.

Everything it meets is behind three small protocols, so that a test can hold each still.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from abdrift.clock import ClockMs, to_datetime, to_ms
from abdrift.facts.base import ClusterRef, ObjectRef
from abdrift.facts.commands import RESOLVE_ALERT, Command, DecisionReason, Outcome, OutcomeResult, Verb
from abdrift.flux import condition
from abdrift.kubeapi import KubeApiError, Resource
from abdrift.signing import Trust
from sinks import telemetry
from sinks.gitops import flux
from sinks.gitops.config import GitOpsConfig
from sinks.gitops.ledger import Ledger
from sinks.gitops.verify import Position, Refusal, admit, authenticate, is_resumption

log = logging.getLogger(__name__)

FIELD_MANAGER = "abdrift-gitops"
_CONFIG_MAPS = Resource("", "v1", "configmaps")
_NAMESPACES = Resource("", "v1", "namespaces")
_RETRY_SECONDS = 1.0


class Api(Protocol):
    """The part of a Kubernetes API that the sink needs."""

    async def get(self, path: str) -> dict[str, Any]:
        """Return one object; raises KubeApiError or an aiohttp error."""
        ...

    async def merge_patch(self, path: str, patch: Mapping[str, Any], *, field_manager: str) -> dict[str, Any]:
        """Patch one object; raises likewise."""
        ...


class Findings(Protocol):
    """What the drift topic says of findings."""

    async def wait_closed(self, finding_ids: tuple[str, ...], timeout_seconds: float) -> dict[str, int]:
        """Return when each was closed (ms since the epoch), leaving out those still open at the time-out."""
        ...


Publish = Callable[[Outcome, str], Awaitable[None]]
"""Publishes an outcome under a subject and returns once Kafka has it."""


@dataclass(slots=True)
class Run:
    """One accepted command on its way, with when each step was reached (ms since the epoch)."""

    command: Command
    position: Position
    revision: int = 0
    times: dict[str, int] = field(default_factory=dict)
    applied: str | None = None

    def steps(self) -> Iterator[tuple[str, float]]:
        """Yield each step that was reached, with the seconds since the one before; the first since the command."""
        before_ms = to_ms(self.command.issued_at)
        for name, at_ms in sorted(self.times.items(), key=lambda item: item[1]):
            yield name.removesuffix("_at"), max(0, at_ms - before_ms) / 1000
            before_ms = at_ms


class CommandFailed(Exception):  # noqa: N818  named for what happened
    """A command that ends without being done."""

    def __init__(self, result: OutcomeResult, reason: str, message: str) -> None:
        super().__init__(message)
        self.result = result
        self.reason = reason


class Executor:
    """One cluster's commands, from the record to the last outcome."""

    def __init__(
        self, config: GitOpsConfig, api: Api, findings: Findings, publish: Publish, *, trust: Trust, clock: ClockMs
    ) -> None:
        self.config = config
        self.ledger = Ledger()
        self._api = api
        self._findings = findings
        self._publish = publish
        self._trust = trust
        self._clock = clock
        self._cluster_uid: str | None = None

    async def take(self, data: Mapping[str, Any], position: Position) -> Run | None:
        """Verify one command record and write it down as accepted; None where there is nothing to carry out.

        Called for one record after the other: fencing numbers and caps mean something only in order.
        """
        received_ms = self._clock()
        command = authenticate(data, self._trust)
        if isinstance(command, Refusal):
            await self._reject(data, command, position, received_ms)
            return None
        resumed = is_resumption(command, position, self.ledger)
        if resumed and self.ledger.entries[command.command_id].final:
            return None
        refusal = None if resumed else await self._admit(command)
        if refusal:
            await self._reject(data, refusal, position, received_ms)
            return None
        run = Run(command, position, revision=1 if resumed else 0, times={"received_at": received_ms})
        if not resumed:
            await self._say(run, OutcomeResult.ACCEPTED)
        return run

    async def _admit(self, command: Command) -> Refusal | None:
        try:
            uid, veto = await self._uid(), await self._veto()
        except (KubeApiError, aiohttp.ClientError, TimeoutError) as error:
            # A site whose veto cannot be read is treated as one that vetoes: acting blind could break its freeze.
            return Refusal("veto-unreadable", f"the site's own word could not be read: {error}")
        return admit(
            command,
            config=self.config,
            ledger=self.ledger,
            cluster_uid=uid,
            now_ms=self._clock(),
            veto=veto,
        )

    async def _uid(self) -> str:
        if self._cluster_uid is None:
            namespace = await self._api.get(_NAMESPACES.path(name="kube-system"))
            self._cluster_uid = str(namespace["metadata"]["uid"])
        return self._cluster_uid

    async def _veto(self) -> str | None:
        path = _CONFIG_MAPS.path(self.config.veto_namespace, self.config.veto_config_map)
        try:
            site = await self._api.get(path)
        except KubeApiError as error:
            if error.status == 404:  # noqa: PLR2004  no ConfigMap, no veto
                return None
            raise
        return (site.get("data") or {}).get("freeze") or None

    async def _reject(self, data: Mapping[str, Any], refusal: Refusal, position: Position, received_ms: int) -> None:
        """Leave an audit fact. Its subject is the record, so that it never hides a real command's outcome."""
        expired = refusal.reason == "expired"
        log.warning("command refused: %s: %s", refusal.reason, refusal.message)
        telemetry.COMMANDS_REFUSED.labels(refusal.reason).inc()
        now_ms = self._clock()
        outcome = Outcome(
            command_id=str(data.get("command_id", ""))[:128],
            revision=1,
            cluster=ClusterRef(name=self.config.cluster, uid=self._cluster_uid),
            result=OutcomeResult.EXPIRED if expired else OutcomeResult.REJECTED,
            reasons=(DecisionReason(code=refusal.reason, message=refusal.message),),
            command_partition=position.partition,
            command_offset=position.offset,
            received_at=to_datetime(received_ms),
            finished_at=to_datetime(now_ms),
            carried_out_by=FIELD_MANAGER,
        )
        await self._publish(outcome, f"{outcome.command_id}/refused/{position.partition}/{position.offset}")

    async def _say(self, run: Run, result: OutcomeResult, *reasons: DecisionReason) -> None:
        run.revision += 1
        command = run.command
        if result is not OutcomeResult.ACCEPTED:
            run.times["finished_at"] = self._clock()
            telemetry.OUTCOMES.labels(result.value).inc()
            for step, seconds in run.steps():
                telemetry.STEP_SECONDS.labels(step).observe(seconds)
        outcome = Outcome(
            command_id=command.command_id,
            revision=run.revision,
            cluster=command.cluster,
            verb=command.verb,
            target=command.target,
            finding_ids=command.finding_ids,
            result=result,
            reasons=reasons,
            fencing=command.fencing,
            command_partition=run.position.partition,
            command_offset=run.position.offset,
            issued_at=command.issued_at,
            applied_revision=run.applied,
            carried_out_by=FIELD_MANAGER,
            **{name: to_datetime(at_ms) for name, at_ms in run.times.items()},
        )
        self.ledger.absorb(outcome)
        await self._publish(outcome, command.command_id)

    async def carry_out(self, run: Run) -> None:
        """Take an accepted command to its end. Returns once its last outcome is in Kafka."""
        try:
            await self._ask(run)
            await self._await_findings(run)
        except CommandFailed as failed:
            await self._say(run, failed.result, DecisionReason(code=failed.reason, message=str(failed)))
        except flux.NotFlux as error:
            await self._say(run, OutcomeResult.FAILED, DecisionReason(code="verb-not-supported", message=str(error)))
        except KubeApiError as error:
            await self._say(run, OutcomeResult.FAILED, DecisionReason(code=f"api-{error.status}", message=str(error)))
        except (aiohttp.ClientError, TimeoutError) as error:
            await self._say(run, OutcomeResult.FAILED, DecisionReason(code="api-unreachable", message=repr(error)))
        else:
            await self._say(run, OutcomeResult.CORRECTED)

    async def _ask(self, run: Run) -> None:
        """Check what the command expects, patch, and follow until the object is done."""
        command = run.command
        flux.patch_for(command.verb, command.target.kind, command.command_id)
        target = await self._get(command.target)
        source_ref = flux.source_of(target)
        await self._check_expectation(command, target, source_ref)
        if command.verb is Verb.RECONCILE_WITH_SOURCE and source_ref is not None:
            await self._patch(source_ref, Verb.RECONCILE, command.command_id)
            self._check_fetched(command, await self._follow(source_ref, Verb.RECONCILE, command))
        await self._patch(command.target, command.verb, command.command_id)
        run.times["patched_at"] = self._clock()
        done = await self._follow(command.target, command.verb, command, run)
        run.applied = flux.applied_revision(done)

    async def _check_expectation(
        self, command: Command, target: Mapping[str, Any], source_ref: ObjectRef | None
    ) -> None:
        """Refuse where carrying out would do more than was decided: another revision is applied or fetched."""
        expected = command.expected_revision
        if expected is None or command.verb in (Verb.SUSPEND, Verb.RESUME, Verb.RECONCILE_WITH_SOURCE):
            return
        applied = flux.applied_revision(target)
        if applied != expected:
            raise CommandFailed(OutcomeResult.FAILED, "revision-moved", f"{applied} is applied, not {expected}")
        if command.target.kind == "Kustomization" and command.verb is Verb.RECONCILE and source_ref is not None:
            self._check_fetched(command, await self._get(source_ref))

    def _check_fetched(self, command: Command, source: Mapping[str, Any]) -> None:
        """Refuse where the source holds another revision than the one that was decided about."""
        expected, fetched = command.expected_revision, flux.artifact_revision(source)
        if command.target.kind == "Kustomization" and expected not in (None, fetched):
            raise CommandFailed(OutcomeResult.FAILED, "revision-moved", f"{fetched} is fetched, not {expected}")

    async def _get(self, ref: ObjectRef) -> dict[str, Any]:
        return await self._api.get(flux.resource(ref).path(ref.namespace, ref.name))

    async def _patch(self, ref: ObjectRef, verb: Verb, request: str) -> None:
        path = flux.resource(ref).path(ref.namespace, ref.name)
        await self._api.merge_patch(path, flux.patch_for(verb, ref.kind, request), field_manager=FIELD_MANAGER)

    async def _follow(self, ref: ObjectRef, verb: Verb, command: Command, run: Run | None = None) -> dict[str, Any]:
        """Look at the object until the request is done; the API may be away for a while meanwhile."""
        deadline_ms = self._clock() + self.config.handled_timeout_seconds * 1000
        seen = flux.Progress(handled=False, ready=False, waiting_for="the API server")
        while self._clock() < deadline_ms:
            try:
                obj = await self._get(ref)
            except (aiohttp.ClientError, TimeoutError, KubeApiError) as error:
                if isinstance(error, KubeApiError) and error.status < 500 and error.status != 429:  # noqa: PLR2004
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            seen = flux.progress(obj, verb, command.command_id)
            if seen.handled and run is not None:
                run.times.setdefault("handled_at", self._clock())
            if seen.failure:
                raise CommandFailed(OutcomeResult.FAILED, "controller-failed", seen.failure)
            if seen.ready and await self._is_current(ref, verb, obj):
                if run is not None:
                    run.times["ready_at"] = self._clock()
                return obj
            await asyncio.sleep(self.config.poll_seconds)
        result = OutcomeResult.HANDLED_NOT_CORRECTED if seen.handled else OutcomeResult.FAILED
        waited = seen.waiting_for or "the fetched revision to be applied"
        raise CommandFailed(
            result, "timed-out", f"after {self.config.handled_timeout_seconds:g} s of waiting for {waited}"
        )

    async def _is_current(self, ref: ObjectRef, verb: Verb, obj: Mapping[str, Any]) -> bool:
        """Whether what is applied is what has been fetched; otherwise a newer revision is still on its way."""
        source_ref = flux.source_of(obj)
        if ref.kind != "Kustomization" or verb is Verb.SUSPEND or source_ref is None:
            return True
        if condition(obj, "Ready").get("reason") == "HealthCheckFailed":
            return True
        return flux.applied_revision(obj) == flux.artifact_revision(await self._get(source_ref))

    async def _await_findings(self, run: Run) -> None:
        command = run.command
        alerts = {effect.finding_id for effect in command.expected_effects if effect.effect == RESOLVE_ALERT}
        wanted = tuple(i for i in command.finding_ids if i not in alerts)
        slow = tuple(i for i in command.finding_ids if i in alerts)
        closed = await self._closed(wanted, self.config.corrected_timeout_seconds, "still-drifted")
        closed |= await self._closed(slow, self._alerts_patience_seconds(command), "still-firing")
        if closed:
            run.times["corrected_at"] = max(closed.values())

    async def _closed(self, wanted: tuple[str, ...], timeout_seconds: float, otherwise: str) -> dict[str, int]:
        """Return when each of the findings was closed (ms since the epoch); `otherwise` is why that is no success."""
        closed = await self._findings.wait_closed(wanted, timeout_seconds)
        if missing := [i for i in wanted if i not in closed]:
            raise CommandFailed(
                OutcomeResult.HANDLED_NOT_CORRECTED,
                otherwise,
                f"{len(missing)} of {len(wanted)} findings are still open: {', '.join(missing[:3])}",
            )
        return closed

    def _alerts_patience_seconds(self, command: Command) -> float:
        """Return how long alerts may take: the governor gives a command up one lifetime after it has expired."""
        lifetime_ms = to_ms(command.expires_at) - to_ms(command.issued_at)
        last_ms = to_ms(command.expires_at) + lifetime_ms // 2
        return max(0.0, min(self.config.resolved_timeout_seconds, (last_ms - self._clock()) / 1000))
