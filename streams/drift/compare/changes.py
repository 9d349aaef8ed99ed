"""What a comparison answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Operation = Literal["add", "remove", "replace"]


class UnjudgeableError(ValueError):
    """The pair can't be judged: what is given is no object, or the two are not the same object."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    `path` is a JSON pointer (RFC 6901); a list index counts in the live list where the item is there, in the desired
    list otherwise. `old` is what desired says and `new` what is live, None where there is nothing. `op` tells what
    became of the live object: it gained (`add`), lost (`remove`) or altered (`replace`) the field.
    """

    path: str
    old: Any
    new: Any
    op: Operation


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict: the changes by path, or the reason why the object is exempt from judgement."""

    changes: tuple[Change, ...] = ()
    exempt: str | None = None

    @property
    def modified(self) -> bool:
        """Whether live differs from desired in a field that counts."""
        return bool(self.changes)

    @property
    def paths(self) -> list[str]:
        """The differing fields as JSON pointers, in the order of the document walked."""
        return [change.path for change in self.changes]


def escape(key: str) -> str:
    """One key as a JSON pointer's segment."""
    return key.replace("~", "~0").replace("/", "~1") if "/" in key or "~" in key else key


def unescape(segment: str) -> str:
    """Return a JSON pointer's segment as the key it names."""
    return segment.replace("~1", "/").replace("~0", "~") if "~" in segment else segment
