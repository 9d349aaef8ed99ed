"""The verdict over a pair of objects."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.drift.compare import ignore, known_types, managed_fields, predicted
from streams.drift.compare.applied import NOBODY, Owned, Walk, ownership_of
from streams.drift.compare.changes import Change, Comparison, UnjudgeableError, escape
from streams.drift.compare.manifests import Reader
from streams.drift.compare.options import CompareOptions
from streams.drift.compare.policy import LAST_APPLIED, MANAGERS, policy_of
from streams.drift.compare.stored import stored
from streams.drift.compare.values import BY_VALUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.drift.compare.policy import Policy
    from streams.drift.compare.schema import Type

    Document = Mapping[str, Any]

_DEFAULTS: Final = CompareOptions()
_UNCOUNTED: Final = frozenset({"apiVersion", "kind", "metadata", "status"})
_NOT_ROUND_TRIPPED: Final = frozenset({"Role", "ClusterRole"})
"""What Flux passes on as it stands, since a round trip through Go's types would write `rules: null`."""
_LAST_APPLIED_PATH: Final = "/metadata/annotations/" + escape(LAST_APPLIED)
_LIVE_ONLY: Final = Comparison(exempt="nothing is desired: the object is an orphan, which is another finding")


def compare(
    live: Document | None,
    desired: Document | None,
    options: CompareOptions = _DEFAULTS,
    predicted_live: Document | None = None,
) -> Comparison:
    """Whether and where a live object differs from what GitOps applied or would apply.

    `predicted_live` is what an API server answered to a dry run of applying desired; live is then compared with that.
    An object that is desired and not live differs as a whole, at the pointer "". Raises UnjudgeableError where the
    documents are no objects or not the same one.
    """
    if desired is None and live is not None:
        return _LIVE_ONLY
    desired = _object(desired, "desired")
    if live is None:
        return Comparison((Change("", desired, None, "remove"),))
    live = _object(live, "live")
    _check_same(live, desired, "desired")
    if predicted_live is not None:
        predicted_live = _object(predicted_live, "predicted_live")
        _check_same(live, predicted_live, "predicted_live")
    options = options if options.managers else _for_applier(options, predicted_live or live)
    policy = policy_of(options.managers)
    rules = ignore.ignored(options.ignore, desired)
    exempt = "an ignore rule names the whole object" if rules.everything else policy.exempts(live, desired)
    if exempt:
        return Comparison(exempt=exempt)
    try:
        changes = _changes(live, desired, predicted_live, options, policy)
        return Comparison(tuple(rules.of(changes, live)))
    except RecursionError:
        raise UnjudgeableError("the object is nested too deeply to be judged") from None


def _changes(
    live: Document, desired: Document, answer: Document | None, options: CompareOptions, policy: Policy
) -> Iterable[Change]:
    read_by_value = known_types.READ_BY_VALUE if options.readings is BY_VALUE else policy.known_fields
    t = known_types.resolve(desired["apiVersion"], desired["kind"], (*read_by_value, *options.known_fields))
    if answer is None:
        changes = _by_applying(
            t, stored(policy.reads(live)), stored(policy.reads(policy.applies(desired))), options, policy
        )
    else:
        found = predicted.whole(t, stored(live), stored(answer), policy)
        managers = _managers(options)
        changes = list(found if policy.foreign_writes else predicted.written_by(managers, found, answer))
    return (change for change in changes if change.path != _LAST_APPLIED_PATH)


def _for_applier(options: CompareOptions, document: Document) -> CompareOptions:
    """Return the options with the one known manager that has applied the object, where exactly one has."""
    entries = managed_fields.entries_of(document)
    applied = {e.manager for e in entries if e.operation == "Apply" and e.manager in MANAGERS}
    return replace(options, managers=tuple(applied)) if len(applied) == 1 else options


def _managers(options: CompareOptions) -> tuple[str, ...]:
    return options.managers or MANAGERS


def _by_applying(t: Type, live: Document, desired: Document, options: CompareOptions, policy: Policy) -> list[Change]:
    owned, client_side = _ownership(t, live, options, policy)
    as_it_stands = not options.manifest or desired["kind"] in _NOT_ROUND_TRIPPED
    reader = Reader() if as_it_stands else Reader(policy.unknown_fields, policy.fills)
    walk = Walk(options.readings, reader, client_side=client_side)
    if client_side and not t.known and (before := _last_applied(live)) is not None:
        live = {**live, **_said_before(_counted(before), _counted(live))}
        walk.strict = True  # what a server filled in is gone
    had, wanted = (
        {key: document["metadata"][key] for key in policy.metadata if key in document["metadata"]}
        for document in (live, desired)
    )
    walk.fields(t.child("metadata"), had, wanted, owned.at("f:metadata"), "/metadata")
    if not policy.added_metadata:
        walk.changes = [change for change in walk.changes if change.op != "add"]
    walk.fields(t, _counted(live), _counted(desired), owned, "")
    return walk.changes


def _counted(document: Document) -> Document:
    return {key: value for key, value in document.items() if key not in _UNCOUNTED}


def _ownership(t: Type, live: Document, options: CompareOptions, policy: Policy) -> tuple[Owned, bool]:
    """Return what the applying manager owns and what others own, and whether it applies on its own side."""
    wanted = _managers(options)
    mine: list[managed_fields.FieldSet] = []
    others: list[managed_fields.FieldSet] = []
    for entry in managed_fields.entries_of(live):
        applied = entry.manager in wanted and entry.operation == "Apply" and not entry.subresource
        taken = bool(options.takes_over) and entry.manager.startswith(options.takes_over)
        (mine if applied or taken else others).append(entry.fields)
    client_side = policy.client_side and not mine
    if policy.last_applied and not mine and (before := _last_applied(live)) is not None:
        mine.append(managed_fields.FieldSet(ownership_of(t, before, client_side=True)))
        others = []  # a client-side apply takes away what it applied before, whoever else owns it
    if not mine and not others:
        return NOBODY, client_side
    own = reduce(managed_fields.FieldSet.union, mine).tree if mine else None
    return Owned(own, tuple(field_set.tree for field_set in others)), client_side


def _said_before(before: Any, live: Any) -> Any:
    """Return of live what a client applied before, as Argo CD does before it merges a custom resource."""
    if isinstance(before, dict) and isinstance(live, dict):
        return {key: _said_before(before[key], value) if key in before else None for key, value in live.items()}
    if isinstance(before, list) and isinstance(live, list):
        return [_said_before(said, had) for said, had in zip(before, live, strict=False)] + live[len(before) :]
    return live


def _last_applied(live: Document) -> Document | None:
    annotations = live["metadata"].get("annotations")
    said = annotations.get(LAST_APPLIED) if isinstance(annotations, dict) else None
    if not isinstance(said, str):
        return None
    try:
        before = orjson.loads(said)
    except orjson.JSONDecodeError:
        return None
    metadata = before.get("metadata") if isinstance(before, dict) else None
    if not isinstance(metadata, dict):
        return None
    # kubectl writes annotations down even where there are none, which is not to say that it applied the map
    said = {key: value for key, value in metadata.items() if value}
    return stored({**before, "apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": said})


def _object(document: Any, name: str) -> Document:
    if not isinstance(document, dict):
        raise UnjudgeableError(f"{name} is no Kubernetes object: it is {_spoken(document)}")
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str) or not document[key]:
            raise UnjudgeableError(f"{name} is no Kubernetes object: it says no {key}")
    if document["kind"] == "List":
        raise UnjudgeableError(f"{name} is a List of objects; judge its items one by one")
    if not isinstance(document.get("metadata"), dict):
        raise UnjudgeableError(f"{name} is no Kubernetes object: it has no metadata")
    return document


def _spoken(document: Any) -> str:
    return "null" if document is None else f"a {type(document).__name__}"


def _check_same(live: Document, other: Document, name: str) -> None:
    if live["kind"] != other["kind"]:
        raise UnjudgeableError(f"live is a {live['kind']}, {name} a {other['kind']}")
    if live["apiVersion"] != other["apiVersion"]:
        raise UnjudgeableError(
            f"live is read as {live['apiVersion']}, {name} is {other['apiVersion']}; read live at {name}'s version"
        )
    for key in ("name", "namespace"):
        one, another = live["metadata"].get(key), other["metadata"].get(key)
        if one and another and one != another:
            raise UnjudgeableError(f"live and {name} are not the same object: {key} {one!r} and {another!r}")
