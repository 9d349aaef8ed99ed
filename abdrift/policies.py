"""A policy as people write it: YAML, read strictly.

Readers of facts pass over fields that they do not know, so that one can be added. A person who writes `verb:` for
`verbs:` must hear of it instead, or the governor would do something other than was meant.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from abdrift.facts.commands import Verb
from abdrift.facts.governance import Mode, Policy

_SET_BY_APPLY = ("applied_by", "applied_at", "signature")
_ARGO_VERBS = frozenset({Verb.REFRESH, Verb.SYNC})


class PolicyError(ValueError):
    """A policy is not as it must be. `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path) -> Policy:
    """Return the policy in a YAML file.

    Raises:
        PolicyError: it can't be read, or says something that it can't mean.

    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise PolicyError([f"{path} can't be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PolicyError([f"{path} is no YAML: {error}"]) from error
    return parse(data if data is not None else {})


def parse(data: Any) -> Policy:
    """Return the policy that a document describes.

    Raises:
        PolicyError: it says something that it can't mean.

    """
    if not isinstance(data, Mapping):
        raise PolicyError(["a policy is a mapping with fields such as rules and budgets"])
    problems = list(_unknown(data, Policy, ""))
    problems += [
        f"{name}: this is set by `abdrift policy apply`; leave it out" for name in _SET_BY_APPLY if name in data
    ]
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        problems += [_in_words(p["loc"], p["msg"]) for p in error.errors()]
        raise PolicyError(problems) from error
    problems += _meaningless(policy)
    if problems:
        raise PolicyError(problems)
    return policy


def _unknown(data: Mapping[Any, Any], model: type[BaseModel], where: str) -> Iterator[str]:
    for name, value in data.items():
        field = model.model_fields.get(str(name))
        if field is None:
            yield f"{where}{name}: there is no such field{_nearest(str(name), list(model.model_fields))}"
            continue
        inner = _model_in(field.annotation)
        if inner is None:
            continue
        if isinstance(value, Mapping):
            yield from _unknown(value, inner, f"{where}{name}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from _unknown(item, inner, f"{where}{name}[{index}].")


def _nearest(name: str, known: list[str]) -> str:
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    close = difflib.get_close_matches(snake, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field's type holds, if it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a))), None)


def _in_words(location: tuple[int | str, ...], message: str) -> str:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    return f"{where}: {message.removeprefix('Value error, ')}"


def _meaningless(policy: Policy) -> list[str]:
    """Return what is valid field by field, yet can't be meant."""
    names = [rule.name for rule in policy.rules]
    problems = [
        f"rules: {name!r} is the name of several rules; decisions could not tell them apart"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    for index, rule in enumerate(policy.rules):
        if rule.mode is not Mode.OBSERVE and not rule.verbs:
            problems.append(f"rules[{index}].verbs: mode {rule.mode} without verbs could do nothing")
        if unfit := [v for v in rule.verbs if v in _ARGO_VERBS]:
            problems.append(f"rules[{index}].verbs: {unfit[0]} is Argo CD's; this version commands Flux only")
    everything = [i for i, r in enumerate(policy.rules) if not _is_selective(r)]
    if everything and everything[0] < len(policy.rules) - 1:
        first = everything[0]
        problems.append(
            f"rules[{first}]: {policy.rules[first].name!r} matches everything, so the rules after it never apply; "
            "put it last"
        )
    return problems


def _is_selective(rule: Any) -> bool:
    selects_clusters = rule.clusters.match_labels or rule.clusters.match_expressions
    return bool(selects_clusters or rule.namespaces or rule.owner_kinds or rule.kinds)
