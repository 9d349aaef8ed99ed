"""Which objects an ignore rule is for: Flux's target selector, or Argo CD's group, kind, name and namespace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from streams.drift.compare.changes import UnjudgeableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS: Final = ("group", "version", "kind", "name", "namespace")
_SELECTORS: Final = {"labelSelector": "labels", "annotationSelector": "annotations"}
KEYS: Final = frozenset((*_FIELDS, *_SELECTORS))
_MAX_PATTERN_CHARS: Final = 512
_CACHED_MATCHES: Final = 16_384
_SET_TERM: Final = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)")
_EQUAL_TERM: Final = re.compile(r"([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)")
_EXISTS_TERM: Final = re.compile(r"(!?)\s*([^\s=!]+)")


@dataclass(frozen=True, slots=True)
class Target:
    """Anchored regular expressions by field, and selectors in Kubernetes' syntax; what is absent matches all."""

    patterns: tuple[tuple[str, str], ...] = ()
    selectors: tuple[tuple[str, str], ...] = ()

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether an object is meant."""
        metadata = document.get("metadata") or {}
        group, _, version = str(document.get("apiVersion", "")).rpartition("/")
        said = {
            "group": group,
            "version": version,
            "kind": document.get("kind"),
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
        }
        return all(_matches(pattern, str(said[f] or "")) for f, pattern in self.patterns) and all(
            _selected(selector, metadata.get(part) or {}) for part, selector in self.selectors
        )


def parse_target(raw: Mapping[str, Any]) -> Target:
    """Return a target from its JSON form.

    Raises UnjudgeableError for an unknown key, a bad regular expression or a bad selector.
    """
    unknown = raw.keys() - KEYS
    if unknown:
        raise UnjudgeableError(f"a target has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(KEYS))}")
    given = {key: str(value) for key, value in raw.items() if value}
    for key in _FIELDS:
        if key in given:
            _matches(given[key], "")
    for key in _SELECTORS:
        if key in given:
            _selected(given[key], {})
    return Target(
        patterns=tuple((key, given[key]) for key in _FIELDS if key in given),
        selectors=tuple((part, given[key]) for key, part in _SELECTORS.items() if key in given),
    )


@lru_cache(maxsize=_CACHED_MATCHES)
def _matches(pattern: str, text: str) -> bool:
    """Whether a text matches as a whole, by RE2 as in Go: in time that is linear in the text, whatever the pattern."""
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise UnjudgeableError(f"a target's pattern is longer than {_MAX_PATTERN_CHARS} characters")
    if pattern == "*":
        return True
    try:
        return bool(pc.match_substring_regex(pa.scalar(text), f"^(?:{pattern})$").as_py())
    except pa.ArrowInvalid as error:
        raise UnjudgeableError(f"{pattern!r} is no regular expression: {error}") from error


def _selected(selector: str, values: Mapping[str, Any]) -> bool:
    verdicts = [_term(term.strip(), values) for term in re.split(r",(?![^(]*\))", selector)]
    return all(verdicts)


def _term(term: str, values: Mapping[str, Any]) -> bool:
    if match := _SET_TERM.fullmatch(term):
        key, operator, listed = match.groups()
        within = values.get(key) in {value.strip() for value in listed.split(",")}
        return within and key in values if operator == "in" else not within
    if match := _EQUAL_TERM.fullmatch(term):
        key, operator, value = match.groups()
        return (values.get(key) == value) != (operator == "!=")
    if match := _EXISTS_TERM.fullmatch(term):
        absent, key = match.groups()
        return (key in values) != bool(absent)
    raise UnjudgeableError(f"{term!r} is no selector; write `key=value`, `key in (a,b)`, `key` or `!key`")
