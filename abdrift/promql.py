"""The part of PromQL that health's rules are written in: a selector of series, and a function of one series.

A selector is `metric{label="value", other=~"regex"}`, with the matchers `=`, `!=`, `=~` and `!~`. It names its metric:
so a reader knows from the name alone that a sample concerns no rule. Regexes are RE2's, as Prometheus's are, and match
whole values; RE2 takes time linear in the value, whatever the pattern is. Functions are `value`, `rate(5m)`,
`increase(1h)` and `quantile(0.9, 5m)`.

Source: Prometheus's documentation of querying basics, and Go's string literals.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_TEXT_CHARACTERS: Final = 2_000
"""Of a selector."""
MAX_REGEX_CHARACTERS: Final = 500
MAX_MATCHERS: Final = 16
MIN_WINDOW_MS: Final = 1_000
MAX_WINDOW_MS: Final = 3_600_000

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OPERATOR: Final = re.compile(r"=~|!~|!=|=")
_SPACE: Final = re.compile(r"\s*")
_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'|`[^`]*`")
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))"
)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAME: Final = "__name__"
_PART: Final = re.compile(r"(\d+)(ms|[smhdw])")
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_FUNCTION: Final = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")


class PromqlError(ValueError):
    """A selector or function is not as it must be; the message says where."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """What one label's value must be, or must not be. A label that a series has not got is empty."""

    label: str
    operator: str
    value: str

    def matches(self, values: Sequence[str]) -> list[bool]:
        """Return which values it matches."""
        if self.operator in ("=", "!="):
            return [(value == self.value) == (self.operator == "=") for value in values]
        found: list[bool] = _matching(self.value, values)
        return found if self.operator == "=~" else [not one for one in found]


@dataclass(frozen=True, slots=True)
class Selector:
    """Series of one metric whose labels all matchers match."""

    metric: str
    matchers: tuple[Matcher, ...] = ()


class FunctionName(StrEnum):
    """What is made of a series."""

    VALUE = "value"
    RATE = "rate"
    INCREASE = "increase"
    QUANTILE = "quantile"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one series: of its newest sample, or of its samples within a window."""

    name: FunctionName = FunctionName.VALUE
    window_ms: int = 0
    """0 of `value`."""
    quantile: float = 0.0


def parse_selector(text: str) -> Selector:
    """Return the selector that a text writes.

    Raises:
        PromqlError: it is none, or one that this subset has not got.

    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise PromqlError(f"a selector has at most {MAX_TEXT_CHARACTERS} characters, not {len(text)}")
    reader = _Reader(text)
    metric = reader.take(_METRIC) or ""
    matchers = _matchers(reader) if reader.accept("{") else []
    if not reader.at_end:
        raise reader.error("the selector's end, since functions and windows stand in `function`")
    for matcher in [one for one in matchers if one.label == _NAME]:
        if metric or matcher.operator != "=":
            raise PromqlError(f"a selector names its metric once, and whole: {text!r}")
        metric = matcher.value
        matchers.remove(matcher)
    if not metric:
        raise PromqlError(f"a selector names its metric, as in up{{job='x'}}: {text!r}")
    return Selector(metric, tuple(matchers))


def parse_function(text: str) -> Function:
    """Return the function that a text writes.

    Raises:
        PromqlError: it is none.

    """
    found = _FUNCTION.fullmatch(text)
    if found is None or found[1] not in list(FunctionName):
        raise PromqlError(f"{text!r} is none of value, rate(5m), increase(5m), quantile(0.9, 5m)")
    name = FunctionName(found[1])
    given = [] if found[2] is None else [one.strip() for one in found[2].split(",")]
    wanted = {FunctionName.VALUE: 0, FunctionName.QUANTILE: 2}.get(name, 1)
    if len(given) != wanted:
        raise PromqlError(f"{name} takes {wanted} arguments, not {len(given)}: {text!r}")
    if name is FunctionName.VALUE:
        return Function()
    window_ms = parse_duration_ms(given[-1])
    if not MIN_WINDOW_MS <= window_ms <= MAX_WINDOW_MS:
        raise PromqlError(f"a window is between 1s and 1h: {text!r}")
    return Function(name, window_ms, _quantile(given[0]) if name is FunctionName.QUANTILE else 0.0)


def parse_duration_ms(text: str) -> int:
    """Return the milliseconds of a duration as Prometheus writes it, such as 5m or 1h30m.

    Raises:
        PromqlError: it is none.

    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise PromqlError(f"{text!r} is no duration such as 30s, 5m or 1h30m")
    return sum(int(number) * _UNIT_MS[unit] for number, unit in parts)


def _quantile(text: str) -> float:
    try:
        quantile = float(text)
    except ValueError:
        quantile = -1.0
    if not 0 <= quantile <= 1:
        raise PromqlError(f"a quantile lies between 0 and 1, unlike {text!r}")
    return quantile


def _matchers(reader: "_Reader") -> list[Matcher]:
    matchers: list[Matcher] = []
    while not reader.accept("}"):
        if matchers and not reader.accept(","):
            raise reader.error("',' or '}'")
        if matchers and reader.accept("}"):
            break
        if len(matchers) == MAX_MATCHERS:
            raise PromqlError(f"a selector has at most {MAX_MATCHERS} matchers")
        label = reader.expect(_LABEL, "a label's name")
        operator = reader.expect(_OPERATOR, "one of = != =~ !~")
        matcher = Matcher(label, operator, _unquoted(reader.expect(_STRING, "a quoted string")))
        if operator in ("=~", "!~"):
            _check_regex(matcher.value)
        matchers.append(matcher)
    return matchers


def _check_regex(pattern: str) -> None:
    if len(pattern) > MAX_REGEX_CHARACTERS:
        raise PromqlError(f"a regex has at most {MAX_REGEX_CHARACTERS} characters, not {len(pattern)}")
    try:
        # Alone too: between the anchors `a)|(b` would be one.
        _re2([""], pattern)
        _matching(pattern, [""])
    except ValueError as error:
        raise PromqlError(f"{pattern!r} is no regex of RE2, which knows no back-references: {error}") from error


def _matching(pattern: str, values: Sequence[str]) -> list[bool]:
    """Return which values a regex matches whole. Python's own would take time without bounds for some patterns."""
    return _re2(values, f"^(?s:{pattern})$")


def _re2(values: Sequence[str], pattern: str) -> list[bool]:
    """Return where a pattern is found. Raises `ValueError` (pyarrow's `ArrowInvalid`) for what is none."""
    # The policy's model is imported by all, and Arrow's library is heavier than a small agent can be.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    found: list[bool] = pc.match_substring_regex(pa.array(values, type=pa.utf8()), pattern).to_pylist()
    return found


def _unquoted(literal: str) -> str:
    if literal.startswith("`"):
        return literal[1:-1]
    return _ESCAPE.sub(_unescaped, literal[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    simple, two, four, eight, octal, other = found.groups()
    if simple:
        return _ESCAPED.get(simple, simple)
    code = int(octal, 8) if octal else int(two or four or eight or "-1", 16)
    try:
        if other is None:
            return chr(code)
    except (ValueError, OverflowError):
        pass
    raise PromqlError(f"{found[0]!r} is no escape; a backslash of a regex is written twice, or within backticks")


class _Reader:
    """A text being read from the left. Space between what is read means nothing."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._after_space(0)

    @property
    def at_end(self) -> bool:
        return self._at == len(self._text)

    def take(self, wanted: re.Pattern[str]) -> str | None:
        found = wanted.match(self._text, self._at)
        if found is None:
            return None
        self._at = self._after_space(found.end())
        return found[0]

    def accept(self, character: str) -> bool:
        return self.take(re.compile(re.escape(character))) is not None

    def expect(self, wanted: re.Pattern[str], what: str) -> str:
        found = self.take(wanted)
        if found is None:
            raise self.error(what)
        return found

    def error(self, wanted: str) -> PromqlError:
        there = f"{self._text[self._at : self._at + 10]!r}" if not self.at_end else "the end"
        return PromqlError(f"at character {self._at + 1} of {self._text!r} stands {there}, not {wanted}")

    def _after_space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at
