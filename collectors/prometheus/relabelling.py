"""Relabelling in Prometheus's own terms: its actions, its defaults, its order. Pure.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config and
`model/relabel/relabel.go`.

Expressions are matched as a whole, as Prometheus does. They are RE2 there and Python's here: what RE2 does not know
(look-around, back-references, possessive or atomic groups) is refused, so that rules mean the same in both places.
"""

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from collectors.prometheus.labels import Labels

Action = Literal[
    "replace",
    "keep",
    "drop",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
    "keepequal",
    "dropequal",
]

_MAX_REGEX_CHARS: Final = 4_096
_NEEDS_TARGET: Final = frozenset({"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"})
_BY_NAME: Final = frozenset({"labeldrop", "labelkeep"})
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Look-around, conditions, atomic groups, comments, Python's own back-references; then numbered ones; then possessive.
_NOT_RE2: Final = re.compile(r"(?<!\\)(?:\\\\)*(?:\(\?(?:[=!>(#]|<[=!]|P=)|\\[1-9Z]|[*+?}]\+)")
_NAMED_GROUP: Final = re.compile(r"\(\?<(?=[A-Za-z_])")
_REFERENCE: Final = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


class Rule(BaseModel):
    """One `relabel_config`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    target_label: str = ""
    regex: str = Field(default="(.*)", max_length=_MAX_REGEX_CHARS)
    modulus: int = Field(default=0, ge=0)
    replacement: str = "$1"
    action: Action = "replace"

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.action in _NEEDS_TARGET and not self.target_label:
            raise ValueError(f"relabel action {self.action} needs target_label")
        if self.action == "hashmod" and not self.modulus:
            raise ValueError("relabel action hashmod needs modulus")
        others = self.model_fields_set - {"action", "regex"}
        if self.action in _BY_NAME and others:
            raise ValueError(f"relabel action {self.action} takes regex only, not {min(others)}")
        if self.action in {"keepequal", "dropequal"} and {"regex", "replacement", "modulus"} & self.model_fields_set:
            raise ValueError(f"relabel action {self.action} takes source_labels and target_label only")
        compiled(self.regex)
        return self


@functools.cache
def compiled(regex: str) -> re.Pattern[str]:
    """Return an expression as Prometheus's configuration writes them.

    Raises:
        ValueError: it is none, or uses what RE2 does not know.

    """
    if found := _NOT_RE2.search(regex):
        raise ValueError(f"regex {regex!r}: {found[0]!r} is unknown to RE2, by which Prometheus reads it")
    try:
        # RE2's dot matches a newline here, as Prometheus compiles with (?s), and its classes are ASCII.
        return re.compile(_NAMED_GROUP.sub("(?P<", regex), re.DOTALL | re.ASCII)
    except re.error as error:
        raise ValueError(f"regex {regex!r}: {error}") from error


class Rules:
    """Rules in their order."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = [(rule, compiled(rule.regex)) for rule in rules]

    def applied(self, labels: Mapping[str, str]) -> Labels | None:
        """Return the labels that the rules leave, or None where they drop all of it."""
        kept = dict(labels)
        for rule, regex in self._rules:
            if not _ACTIONS[rule.action](rule, regex, kept):
                return None
        return {name: value for name, value in kept.items() if value}


def _source(rule: Rule, labels: Labels) -> str:
    return rule.separator.join(labels.get(name, "") for name in rule.source_labels)


def _replace(rule: Rule, regex: re.Pattern[str], labels: Labels) -> bool:
    match = regex.fullmatch(_source(rule, labels))
    if match is None:
        return True
    target = _expanded(rule.target_label, match)
    if _LABEL_NAME.fullmatch(target):
        _set(labels, target, _expanded(rule.replacement, match))
    return True


def _keep(rule: Rule, regex: re.Pattern[str], labels: Labels) -> bool:
    return regex.fullmatch(_source(rule, labels)) is not None


def _drop(rule: Rule, regex: re.Pattern[str], labels: Labels) -> bool:
    return regex.fullmatch(_source(rule, labels)) is None


def _keepequal(rule: Rule, _: re.Pattern[str], labels: Labels) -> bool:
    return _source(rule, labels) == labels.get(rule.target_label, "")


def _dropequal(rule: Rule, _: re.Pattern[str], labels: Labels) -> bool:
    return _source(rule, labels) != labels.get(rule.target_label, "")


def _hashmod(rule: Rule, _: re.Pattern[str], labels: Labels) -> bool:
    digest = hashlib.md5(_source(rule, labels).encode(), usedforsecurity=False).digest()
    # Prometheus takes the digest's last eight bytes, the first of them highest.
    _set(labels, rule.target_label, str(int.from_bytes(digest[8:], "big") % rule.modulus))
    return True


def _labelmap(rule: Rule, regex: re.Pattern[str], labels: Labels) -> bool:
    for name, value in list(labels.items()):
        if match := regex.fullmatch(name):
            _set(labels, _expanded(rule.replacement, match), value)
    return True


def _labeldrop(_: Rule, regex: re.Pattern[str], labels: Labels) -> bool:
    for name in [name for name in labels if regex.fullmatch(name)]:
        del labels[name]
    return True


def _labelkeep(_: Rule, regex: re.Pattern[str], labels: Labels) -> bool:
    for name in [name for name in labels if not regex.fullmatch(name)]:
        del labels[name]
    return True


def _lowercase(rule: Rule, _: re.Pattern[str], labels: Labels) -> bool:
    _set(labels, rule.target_label, _source(rule, labels).lower())
    return True


def _uppercase(rule: Rule, _: re.Pattern[str], labels: Labels) -> bool:
    _set(labels, rule.target_label, _source(rule, labels).upper())
    return True


_ACTIONS: Final[Mapping[str, Callable[[Rule, re.Pattern[str], Labels], bool]]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "keepequal": _keepequal,
    "dropequal": _dropequal,
    "hashmod": _hashmod,
    "labelmap": _labelmap,
    "labeldrop": _labeldrop,
    "labelkeep": _labelkeep,
    "lowercase": _lowercase,
    "uppercase": _uppercase,
}


def _set(labels: Labels, name: str, value: str) -> None:
    """Set a label; an empty value takes it away."""
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _expanded(template: str, match: re.Match[str]) -> str:
    """Put groups in place of `$1`, `${1}` or `${name}`, as Go's `Regexp.Expand`: an unknown one is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(group, template)
