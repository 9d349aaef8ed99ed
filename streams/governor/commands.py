"""Commands out: signed, expiring, fenced, and remembered until no outcome can follow."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef
from abdrift.facts.commands import Command, ExpectedEffect
from abdrift.facts.governance import Rule
from abdrift.signing import Signer
from abdrift.topics import COMMAND, FLEET_COMMANDS
from streams.governor import approvals, budgets
from streams.governor.blockers import Case
from streams.governor.cells import CommandCell, FindingCell, Target, command_key
from streams.governor.verbs import MOVES_REVISION, effect
from streams.step import stable_id

MAX_PATHS = 16
"""Paths that a command and its memory keep of one finding; with more, it is about the whole object."""


@dataclass(frozen=True, slots=True)
class Warrant:
    """By what right a command is issued."""

    rule: Rule
    approval_keys: Sequence[str]
    clean_slate: bool
    """Whether a person's approval wipes out earlier attempts and a fight."""


def issue(case: Case, warrant: Warrant, signer: Signer) -> str:
    """Publish a command, reserve its budgets and return its id. The caller has seen that nothing speaks against it."""
    work = case.work
    work.alter(fencing=work.fleet.fencing + 1)
    attempt = 1 if warrant.clean_slate else case.owner.attempts + 1
    command = _command(case, warrant, attempt)
    scopes = budgets.scopes(case.cluster)
    budgets.reserve(work, scopes)
    approval_id = approvals.spend(work, warrant.approval_keys, command.command_id)
    command = command.model_copy(update={"approval_id": approval_id})
    signed = signer.sign(COMMAND.name, command.model_dump(mode="json", exclude_none=True))
    work.say(FLEET_COMMANDS, COMMAND, command.command_id, case.cluster.name, signed)
    _remember(case, warrant, command, scopes)
    return command.command_id


def _command(case: Case, warrant: Warrant, attempt: int) -> Command:
    work, owner, cause = case.work, case.owner, case.work.cause
    assert owner.ref is not None, "a command has a target"
    finding_ids = tuple(f.finding_id for f in case.affected)
    where = (cause.topic, str(cause.partition), str(cause.offset), str(work.fleet.fencing))
    expires_ms = work.now_ms + round(case.policy.limits.command_ttl_seconds * 1000)
    return Command(
        command_id=stable_id(owner.key, *finding_ids, str(attempt), *where),
        verb=case.verb,
        cluster=ClusterRef(name=case.cluster.name, uid=case.cluster.uid),
        target=owner.ref.ref(),
        finding_ids=finding_ids,
        expected_revision=_expected_revision(case),
        expected_effects=tuple(_effect(f) for f in case.affected),
        reason=f"{len(finding_ids)} findings; rule {warrant.rule.name}",
        policy=f"{case.policy.name}@{case.policy.revision}",
        attempt=attempt,
        issued_at=to_datetime(work.now_ms),
        expires_at=to_datetime(expires_ms),
        fencing=work.fleet.fencing,
    )


def _effect(finding: FindingCell) -> ExpectedEffect:
    return ExpectedEffect(
        finding_id=finding.finding_id, object=finding.object.ref(), paths=_paths(finding), effect=effect(finding)
    )


def _paths(finding: FindingCell) -> tuple[str, ...]:
    return finding.paths if len(finding.paths) <= MAX_PATHS else ()


def _expected_revision(case: Case) -> str | None:
    verdict = case.owner.verdict
    assert verdict is not None, "nothing is commanded without a verdict"
    if case.verb in MOVES_REVISION:
        desired = [f.desired_revision for f in case.affected if f.desired_revision]
        return desired[0] if desired else verdict.artifact_revision
    return verdict.applied_revision


def _remember(case: Case, warrant: Warrant, command: Command, scopes: tuple[str, ...]) -> None:
    owner, work = case.owner, case.work
    if warrant.clean_slate:
        owner = replace(owner, fight=None, corrections=())
    owner = replace(owner, attempts=command.attempt, command_id=command.command_id, last_command_id=command.command_id)
    work.put(owner.key, owner)
    ttl_ms = round(case.policy.limits.command_ttl_seconds * 1000)
    cell = CommandCell(
        command_id=command.command_id,
        owner_key=owner.key,
        cluster=case.cluster.name,
        verb=case.verb,
        scopes=scopes,
        targets=tuple(Target(f.finding_id, f.object.identity, _paths(f)) for f in case.affected),
        issued_ms=work.now_ms,
        expires_ms=work.now_ms + ttl_ms,
    )
    work.put(command_key(command.command_id), cell)
