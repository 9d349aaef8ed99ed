"""What was done to the fleet, and the judgement of what was found: missed, false alarms, lost. Pure functions.

A finding is a mapping with `cluster`, `kind`, `object` (`Kind/namespace/name`, or a mapping with `kind`, `namespace`,
`name`) and, where known, `opened_at_ns`; an outcome needs only to name its command.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from abdrift.simulation.plan import Fault, ObjectRef

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault as it was carried out. Times in nanoseconds of the wall clock."""

    fault: Fault
    done_at_ns: int | None = None
    """When the API's answer to the edit came back."""
    restored_at_ns: int | None = None
    """When the object was seen back at its Git state in the simulator; None while it is not."""
    error: str = ""
    """Why it could not be carried out; such a fault is not judged."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the findings were worth."""

    missed: tuple[str, ...]
    """Faults whose finding did not appear."""
    false_alarms: tuple[str, ...]
    """Findings that no fault explains, as `cluster kind object`."""
    lost: tuple[str, ...]
    """Faults that were carried out, were to be corrected, and were never seen back at their Git state."""
    edit_to_finding_ms: tuple[float, ...]
    edit_to_corrected_ms: tuple[float, ...]


@dataclass(slots=True)
class Ledger:
    """The faults carried out so far, by id."""

    entries: dict[str, Entry] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    """Which commit a fault brought to its cluster from the repository that the fleet shares."""

    def open(self, fault: Fault) -> None:
        """Note a fault before it is carried out."""
        self.entries[fault.id] = Entry(fault)

    def done(self, fault_id: str, at_ns: int) -> None:
        """Note when the API had answered."""
        self.entries[fault_id] = replace(self.entries[fault_id], done_at_ns=at_ns)

    def rolled_out(self, fault_id: str, sha: str) -> None:
        """Note which commit of the fleet's repository came to the fault's cluster."""
        self.commits[fault_id] = sha

    def failed(self, fault_id: str, error: str) -> None:
        """Note that a fault could not be carried out."""
        self.entries[fault_id] = replace(self.entries[fault_id], error=error)

    def restored(self, fault_id: str, at_ns: int) -> None:
        """Note when the object was back; the first time counts."""
        if self.entries[fault_id].restored_at_ns is None:
            self.entries[fault_id] = replace(self.entries[fault_id], restored_at_ns=at_ns)

    def being_corrected(self, cluster: str) -> bool:
        """Whether a fault of that cluster that reconciling corrects was done and is not seen restored yet."""
        return any(
            each.fault.cluster == cluster and each.fault.expect.corrected and not each.error
            for each in self.entries.values()
            if each.done_at_ns is not None and each.restored_at_ns is None
        )

    def judge(self, findings: Iterable[Mapping[str, Any]]) -> Verdict:
        """Judge findings against what was done."""
        return judge(list(self.entries.values()), list(findings))


def reference(finding: Mapping[str, Any]) -> ObjectRef:
    """Give the object of a finding. Raises ValueError when it names none."""
    named = finding["object"]
    if isinstance(named, Mapping):
        return ObjectRef(str(named["kind"]), str(named.get("namespace") or ""), str(named["name"]))
    parts = str(named).split("/")
    if len(parts) == 2:  # noqa: PLR2004  a kind and a name
        return ObjectRef(parts[0], "", parts[1])
    if len(parts) == 3:  # noqa: PLR2004  with a namespace
        return ObjectRef(*parts)
    raise ValueError(f"not an object: {named!r}; write Kind/namespace/name")


def explains(fault: Fault, finding: Mapping[str, Any]) -> bool:
    """Whether a finding is what the fault must lead to."""
    wanted = (fault.object, *fault.expect.also_on)
    return (
        finding["cluster"] == fault.cluster and finding["kind"] == fault.expect.finding and reference(finding) in wanted
    )


def excuses(fault: Fault, finding: Mapping[str, Any]) -> bool:
    """Whether a finding comes with the fault."""
    return finding["cluster"] == fault.cluster and (finding["kind"], reference(finding)) in fault.expect.allowed


def judge(entries: Sequence[Entry], findings: Sequence[Mapping[str, Any]]) -> Verdict:
    """Judge findings against the ledger's entries; each fault needs one finding, a finding any fault."""
    carried_out = [each for each in entries if each.done_at_ns is not None and not each.error]
    begun = [each.fault for each in entries]
    missed, delays_ms = [], []
    for entry in carried_out:
        if entry.fault.expect.finding is None:
            continue
        mine = [each for each in findings if explains(entry.fault, each)]
        if not mine:
            missed.append(entry.fault.id)
        delays_ms += _delays(entry, mine)
    false_alarms = [
        f"{each['cluster']} {each['kind']} {reference(each)}"
        for each in findings
        if not any(explains(fault, each) or excuses(fault, each) for fault in begun)
    ]
    to_be_corrected = [each for each in carried_out if each.fault.expect.corrected]
    return Verdict(
        missed=tuple(missed),
        false_alarms=tuple(false_alarms),
        lost=tuple(each.fault.id for each in to_be_corrected if each.restored_at_ns is None),
        edit_to_finding_ms=tuple(delays_ms),
        edit_to_corrected_ms=tuple(
            (each.restored_at_ns - each.done_at_ns) / NS_PER_MS
            for each in to_be_corrected
            if each.restored_at_ns is not None and each.done_at_ns is not None
        ),
    )


def _delays(entry: Entry, findings: Sequence[Mapping[str, Any]]) -> list[float]:
    """From the edit's answer to the first finding about it that opened afterwards, in milliseconds.

    Objects may drift more than once: what opened well before this edit belongs to another.
    """
    done_at_ns = entry.done_at_ns or 0
    slack_ns = 1_000 * NS_PER_MS  # the watch may be faster than the edit's own answer
    opened = [int(each["opened_at_ns"]) for each in findings if each.get("opened_at_ns")]
    after = [at_ns for at_ns in opened if at_ns >= done_at_ns - slack_ns]
    return [max(0.0, (min(after) - done_at_ns) / NS_PER_MS)] if after else []
