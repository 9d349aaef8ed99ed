"""Hides what looks secret in log events before Kafka sees them. Pure.

What is hidden becomes a keyed hash (`abdrift.masking`), so that equal secrets still show as equal: the values of fields
whose names end like a secret's; parts of any text that are written like one; Kubernetes Secrets, wherever in an event
they stand (audit logs hold them).

It knows secrets by how they are written, so it can't know all. Not seen are: a secret that nothing announces (a bare
password in a sentence, a number), the later words of one that is written without quotes, one that is cut over two
lines or encoded (base64, hex, compressed), and names in other languages; `patterns` and `keys` of the configuration
are there for what a site knows of its own. On the other hand a harmless word behind `token:` is hidden, too.
"""

import re
import secrets as randomness
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, field_validator, model_validator

from abdrift.configuration import Settings
from abdrift.masking import MIN_KEY_BYTES, Masker, is_masked

MAX_DEPTH: Final = 32
"""What is nested more deeply is replaced by `TOO_DEEP`."""
TOO_DEEP: Final = "(nested too deeply)"

_WORDS: Final = (
    r"password|passwd|pwd|passphrase|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|signing[-_.]?key|"
    r"encryption[-_.]?key|secret[-_.]?key|credentials?"
)
_KEY_ENDS: Final = rf"(?:{_WORDS}|authorization|cookie|session[-_.]?id|[-_.]pass)$|^pass$"
_WORD_HINTS: Final = ("pass", "pwd", "secret", "token", "key", "credential")
_KEY_HINTS: Final = (*_WORD_HINTS, "authorization", "cookie", "session", "last-applied")
_LONGEST_KEY: Final = 200
_LEAST_TEXT: Final = 5
"""Shorter texts hold no pattern: `pwd=x`."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What a secret looks like: the group `secret` of `expression`. Texts without any of `hints` are not searched."""

    expression: re.Pattern[str]
    hints: tuple[str, ...]


def _pattern(expression: str, *hints: str) -> _Pattern:
    return _Pattern(re.compile(expression, re.IGNORECASE | re.DOTALL), hints or ("",))


_ASSIGNED: Final = (
    r"\\?[\"']?\s{0,4}(?:=>|[=:])\s{0,4}"  # what stands between a name and its value
    r"(?:\\\"(?P<escaped>(?:[^\"\\]|\\(?!\").)+)|\"(?P<double>(?:[^\"\\]|\\.)+)|'(?P<single>(?:[^'\\]|\\.)+)"
    r"|(?P<secret>[^\s,;&\"'{}\[\]()<>\\]+))"
)
# No expression may take more than linear time: what repeats without bound is not followed by anything that can fail.
PATTERNS: Final[dict[str, _Pattern]] = {
    "private-key": _pattern(
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?P<secret>.*?)(?:-----END|\Z)", "private key-----"
    ),
    "authorization": _pattern(
        r"authorization\\?[\"']?\s{0,4}(?:=>|[:=])\s{0,4}\\?[\"'\[]{0,2}"
        r"(?:(?:bearer|basic|digest|token|apikey|negotiate)\s{1,4})?(?P<secret>[^\s\"',;\\\]]+)",
        "authorization",
    ),
    "bearer": _pattern(r"\bbearer\s{1,4}(?P<secret>[\w.~+/=:-]{8,})", "bearer"),
    "cookie": _pattern(r"cookie\\?[\"']?\s{0,4}[:=]\s{0,4}\\?[\"'\[]{0,2}(?P<secret>[^\r\n\"'\\]+)", "cookie"),
    "assignment": _pattern(rf"(?:{_WORDS}){_ASSIGNED}", *_WORD_HINTS),
    "flag": _pattern(rf"(?<![\w-])--?[\w-]{{0,32}}?(?:{_WORDS})\s{{1,4}}(?P<secret>[^\s-]\S*)", *_WORD_HINTS),
    "url": _pattern(r"://[^/\s:@]{0,256}:(?P<secret>[^/\s@]{1,256})@", "://"),
    "jwt": _pattern(r"(?<![\w-])(?P<secret>eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)", "eyj"),
    "issued": _pattern(  # GitHub's, GitLab's and Slack's tokens have forms of their own
        r"\b(?P<secret>gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|xox[abeprs]-[\w-]{10,})",
        *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"),
    ),
}


@dataclass(slots=True)
class _Survey:
    """An event's names and texts, and whether some are longer or nested more deeply than is allowed."""

    longest_text: int
    texts: list[str] = field(default_factory=list)
    is_beyond_bounds: bool = False

    def look(self, node: Any, depth: int) -> None:
        if isinstance(node, str):
            self.texts.append(node)
            self.is_beyond_bounds |= len(node) > self.longest_text
        elif isinstance(node, dict | list):
            if depth >= MAX_DEPTH:
                self.is_beyond_bounds = True
                return
            if isinstance(node, dict):
                self.texts += node
                node = node.values()
            for each in node:
                self.look(each, depth + 1)


class SecretsConfig(Settings):
    """What is hidden of log events, and by which key."""

    enabled: bool = True
    disabled_patterns: tuple[str, ...] = Field(default=(), description=f"Of {', '.join(PATTERNS)}.")
    patterns: dict[str, str] = Field(
        default_factory=dict,
        description="Further regular expressions by name, in any case; the group `secret`, else all, is hidden.",
    )
    keys: tuple[str, ...] = Field(default=(), description="Further regular expressions for ends of fields' names.")
    key_file: Path | None = Field(
        default=None, description="Holds the key of the hashes; absent: a new one at each start."
    )

    @field_validator("patterns", "keys")
    @classmethod
    def _compiles(cls, value: Any) -> Any:
        for expression in value.values() if isinstance(value, dict) else value:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"{expression!r} is no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := sorted(set(self.disabled_patterns) - set(PATTERNS)):
            raise ValueError(f"there is no pattern {unknown[0]!r}; there are: {', '.join(PATTERNS)}")
        return self

    def masker(self) -> Masker:
        """Return what makes the hashes.

        Raises:
            ValueError: the key is too short.
            OSError: its file cannot be read.

        """
        return Masker(self.key_file.read_bytes() if self.key_file else randomness.token_bytes(MIN_KEY_BYTES))


class Hiding:
    """Hides secrets by one configuration and one key."""

    def __init__(self, config: SecretsConfig, masker: Masker, longest_text: int = 64 * 1024) -> None:
        """Texts within an event are cut after `longest_text` characters, so that searching them stays bounded."""
        self._masker = masker
        self._longest_text = longest_text
        self._enabled = config.enabled
        own = {name: _pattern(expression) for name, expression in config.patterns.items()}
        chosen = {name: each for name, each in PATTERNS.items() if name not in config.disabled_patterns} | own
        self._patterns = tuple(chosen.values())
        ends = "|".join([_KEY_ENDS, *(rf"(?:{each})$" for each in config.keys)])
        expression = re.compile(ends, re.IGNORECASE)
        self._is_secret_key = lru_cache(maxsize=4_096)(lambda end: expression.search(end) is not None)
        self._hints = tuple({hint for each in chosen.values() for hint in each.hints} | set(_KEY_HINTS))
        self._is_searched_always = bool(config.keys or own)

    def hide(self, node: Any) -> Any:
        """Return a JSON value with its secrets hidden and what is nested too deeply replaced; itself if all is well."""
        found = _Survey(self._longest_text)
        found.look(node, 0)
        if not found.is_beyond_bounds and not self._is_searched_always:
            if not self._enabled:
                return node
            # Most events hold nothing of the kind, and one search of all their texts tells.
            lower = "\n".join(found.texts).lower()
            if not any(hint in lower for hint in self._hints):
                return node
        return self._walk(node, 0)

    def text(self, text: str) -> str:
        """Return a text with its secrets hidden."""
        if not self._enabled or len(text) < _LEAST_TEXT:
            return text
        lower = text.lower()
        for pattern in self._patterns:
            if any(hint in lower for hint in pattern.hints):
                text = pattern.expression.sub(self._hidden, text)
        return text

    def raw(self, value: bytes) -> bytes:
        """Return bytes that are no event with what looks secret in them hidden."""
        return self.text(value.decode(errors="surrogateescape")).encode(errors="surrogateescape")

    def _hidden(self, match: re.Match[str]) -> str:
        name = next((name for name, value in match.groupdict().items() if value is not None), 0)
        start, end = match.span(name)
        secret = match[name]
        if not secret or is_masked(secret):
            return match[0]
        begin = match.start()
        masked = self._masker.text(secret.encode(errors="surrogateescape"))
        return match[0][: start - begin] + masked + match[0][end - begin :]

    def _walk(self, node: Any, depth: int) -> Any:
        if isinstance(node, str):
            return self.text(node[: self._longest_text])
        if not isinstance(node, dict | list):
            return node
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        if isinstance(node, list):
            return [self._walk(each, depth + 1) for each in node]
        if not self._enabled:
            return {key: self._walk(value, depth + 1) for key, value in node.items()}
        masked = self._masker.mask(node) if "kind" in node else node
        return {key: self._of_key(key, value, depth + 1) for key, value in masked.items()}

    def _of_key(self, key: str, value: Any, depth: int) -> Any:
        is_secret = self._is_secret_key(key[-_LONGEST_KEY:])
        return self._leaves(value, depth) if is_secret else self._walk(value, depth)

    def _leaves(self, node: Any, depth: int) -> Any:
        """Hide all that stands under a secret's name; what is empty, or only true or false, stays."""
        if isinstance(node, dict | list) and depth >= MAX_DEPTH:
            return TOO_DEEP
        if isinstance(node, dict):
            return {key: self._leaves(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [self._leaves(each, depth + 1) for each in node]
        if node is None or node == "" or isinstance(node, bool) or is_masked(node):
            return node
        return self._masker.text((node if isinstance(node, str) else repr(node)).encode())
