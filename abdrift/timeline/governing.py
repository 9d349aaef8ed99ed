"""What decisions, commands, outcomes and people's words add to a cluster's line of time.

Each takes the story's memory and a fact, and returns what is new to tell.
"""

from typing import Final

from abdrift.observed import named
from abdrift.timeline.entries import Entry, Kind, Tone, one_line, reason_words, time_ms, took
from abdrift.timeline.memory import Data, Memory, Told

_OUTCOME_TONES: Final = {"accepted": Tone.NEWS, "corrected": Tone.GOOD, "handled-not-corrected": Tone.WARNING}
_WORDS: Final = {
    "approve": "approved",
    "hold": "held",
    "release": "released",
    "freeze": "froze",
    "thaw": "thawed",
}
_STEPS: Final = (
    ("patched_at", "patched"),
    ("handled_at", "handled by the controller"),
    ("ready_at", "ready"),
    ("corrected_at", "seen corrected"),
)


def decision(memory: Memory, told: Told) -> list[Entry]:
    """Tell why nothing is commanded. What is commanded is told by the command itself, and each repeat once."""
    data, result = told.data, told.data["result"]
    ids, owner = tuple(data["finding_ids"]), data.get("owner")
    codes = " ".join(sorted(each["code"] for each in data["reasons"]))
    said = f"{result} {data.get('verb')} {codes}"
    key = " ".join(sorted(ids)) or told.subject
    if memory.decisions.get(key) == said or result == "commanded":
        memory.decisions[key] = said
        return []
    memory.decisions[key] = said
    verb, why = data.get("verb"), reason_words(data["reasons"])
    about = f"{verb} of {named(owner)}" if verb and owner else memory.objects(ids) or (named(owner) if owner else "")
    words = {
        "refused": ("refused", Tone.WARNING),
        "deferred": ("put off", Tone.NEWS),
        "awaiting-approval": ("waits for a person", Tone.WARNING),
        "observed": ("only observed", Tone.NEWS),
    }
    verdict, tone = words.get(result, (result, Tone.NEWS))
    text = f"{verdict}{': ' + about if about else ''}{': ' + why if why else ''}"
    at_ms = time_ms(data, "decided_at") or told.append_ms
    details = []
    if result == "awaiting-approval":
        details.append(f"abdrift command approve {data['decision_id']} --reason ...")
    if data.get("policy"):
        details.append(f"policy {data['policy']}")
    return [Entry(at_ms, told.append_ms, Kind.GOVERNOR, result, tone, text, tuple(details), ids)]


def breaker(memory: Memory, told: Told) -> list[Entry]:
    """Tell that the governor stopped acting anywhere, or may act again."""
    data, is_open = told.data, bool(told.data["open"])
    before, memory.is_stopped = memory.is_stopped, is_open
    if is_open == before or (before is None and not is_open):
        return []
    at_ms = (time_ms(data, "since") if is_open else None) or time_ms(told.event, "time") or told.append_ms
    if is_open:
        text = f"nothing is commanded anywhere: {reason_words(data.get('reasons', ()))}"
        return [Entry(at_ms, told.append_ms, Kind.GOVERNOR, "stopped", Tone.WARNING, text)]
    return [Entry(at_ms, told.append_ms, Kind.GOVERNOR, "resumed", Tone.NEWS, "the governor may act again")]


def word(memory: Memory, told: Told) -> list[Entry]:
    """Tell what a person said to the governor."""
    data, action, subject = told.data, told.data["action"], told.data["subject_id"]
    if told.event.get("cluster") is None and subject != "fleet":
        return []
    ids = (subject,) if subject in memory.findings else ()
    about = memory.objects(ids) if ids else "the fleet" if subject == "fleet" else subject
    verb = f" {data['verb']} of" if data.get("verb") else ""
    until = f" until {data['until']}" if data.get("until") else ""
    text = f"{data['by']} {_WORDS.get(action, action)}{verb} {about}{until}: {one_line(data['reason'])}"
    at_ms = time_ms(data, "issued_at") or told.append_ms
    return [Entry(at_ms, told.append_ms, Kind.PERSON, action, Tone.NEWS, text, (), ids)]


def command(memory: Memory, told: Told) -> list[Entry]:
    """Tell that something was commanded."""
    data = told.data
    if told.subject in memory.commands_told:
        return []
    memory.commands_told.add(told.subject)
    ids = tuple(data["finding_ids"])
    objects = memory.objects(ids)
    text = f"{data['verb']} of {named(data['target'])}{' for ' + objects if objects else ''}"
    details = [one_line(data["reason"]), f"policy {data['policy']}"]
    if data.get("expected_revision"):
        details.append(f"expected at {memory.revision(data['expected_revision'])}")
    if data.get("attempt", 1) > 1:
        details.append(f"attempt {data['attempt']}")
    at_ms = time_ms(data, "issued_at") or told.append_ms
    return [Entry(at_ms, told.append_ms, Kind.COMMAND, "commanded", Tone.NEWS, text, tuple(details), ids, told.subject)]


def outcome(memory: Memory, told: Told) -> list[Entry]:
    """Tell what came of a command."""
    data, result = told.data, told.data["result"]
    if memory.outcomes.get(told.subject, 0) >= data["revision"]:
        return []
    memory.outcomes[told.subject] = data["revision"]
    if result != "accepted":
        memory.ended.add(data["command_id"])
    issued = memory.commands.get(data["command_id"], {})
    target, verb = data.get("target") or issued.get("target"), data.get("verb") or issued.get("verb")
    about = f"{verb} of {named(target)}" if verb and target else f"command {data['command_id']}"
    began = time_ms(data, "issued_at") or time_ms(issued, "issued_at")
    steps = _steps(data, began)
    after = f" in {took(ended - began)}" if began and (ended := time_ms(data, "corrected_at")) else ""
    why = reason_words(data.get("reasons", ()))
    text = f"{result}{after}: {about}{': ' + why if why else ''}"
    details = [steps] if steps else []
    if data.get("carried_out_by"):
        details.append(f"carried out by {data['carried_out_by']}")
    if data.get("applied_revision"):
        details.append(f"applied {memory.revision(data['applied_revision'])}")
    names = ("received_at",) if result == "accepted" else ("finished_at", "corrected_at")
    at_ms = time_ms(data, *names) or time_ms(told.event, "time") or told.append_ms
    ids = tuple(data.get("finding_ids") or issued.get("finding_ids", ()))
    tone = _OUTCOME_TONES.get(result, Tone.BAD)
    return [Entry(at_ms, told.append_ms, Kind.OUTCOME, result, tone, text, tuple(details), ids, data["command_id"])]


def _steps(data: Data, began_ms: int | None) -> str:
    """Return how long after the command each step was done."""
    if began_ms is None:
        return ""
    known = [(time_ms(data, name), word) for name, word in _STEPS]
    return ", ".join(f"{word} after {took(ms - began_ms)}" for ms, word in known if ms is not None)
