"""Git's wire format: lines with their length before them, and what a client asks in them.

Pure. Formats: `gitprotocol-common(5)`, `gitprotocol-v2(5)` and `gitprotocol-pack(5)` of the Git project.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from abdrift.simulation.git_fetch import Fetch, FetchError, Filter, parse_filter

FLUSH, DELIMITER = b"0000", b"0001"
_HEADER_BYTES = 4
_BAND_BYTES = 65_515
_HASH_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Lines:
    """One request; `sections` are its lines between flushes and delimiters, without their ends."""

    sections: tuple[tuple[str, ...], ...]

    @property
    def all(self) -> list[str]:
        """Give the lines of every section."""
        return [line for section in self.sections for line in section]


def line(text: str) -> bytes:
    """Give one line, its end included."""
    return framed(text.encode() + b"\n")


def framed(payload: bytes) -> bytes:
    """Give one frame of at most 65,516 bytes."""
    return b"%04x%b" % (len(payload) + _HEADER_BYTES, payload)


def error(text: str) -> bytes:
    """Give a refusal that `git` shows as `remote error`."""
    return framed(f"ERR {text}".encode())


def banded(pack: bytes) -> bytes:
    """Give a pack in frames of side band 1."""
    parts = (pack[start : start + _BAND_BYTES] for start in range(0, len(pack), _BAND_BYTES))
    return b"".join(framed(b"\x01" + part) for part in parts)


def parse(body: bytes) -> Lines:
    """Read a request. Raises FetchError for what is none."""
    return Lines(tuple(tuple(section) for section in _sections(body)))


def _sections(body: bytes) -> Iterator[list[str]]:
    lines: list[str] = []
    position = 0
    while position < len(body):
        header = body[position : position + _HEADER_BYTES]
        try:
            size = int(header, 16)
        except ValueError:
            raise FetchError(f"not a length: {header!r}") from None
        if size < _HEADER_BYTES:
            yield lines
            lines, position = [], position + _HEADER_BYTES
            continue
        payload = body[position + _HEADER_BYTES : position + size]
        if len(payload) != size - _HEADER_BYTES:
            raise FetchError("the request ends within a line")
        lines.append(payload.decode(errors="replace").rstrip("\n"))
        position += size
    if lines:
        yield lines


def fetch_of(lines: Iterable[str]) -> Fetch:
    """Read what a client wants and has; options that change nothing here are passed over. Raises FetchError."""
    ids: dict[str, list[str]] = {"want": [], "have": [], "shallow": []}
    depth, keep, done = 0, Filter(), False
    for each in lines:
        name, _, value = each.partition(" ")
        if name in ids:
            ids[name].append(value[:_HASH_DIGITS])
        elif name == "deepen" and value.isdecimal():
            depth = int(value)
        elif name == "filter":
            keep = parse_filter(value)
        elif name == "done":
            done = True
        elif name in ("deepen-since", "deepen-not", "deepen-relative", "want-ref"):
            raise FetchError(f"{name} is not served by the simulated Git server")
    if not ids["want"]:
        raise FetchError("nothing is wanted")
    wants = tuple(dict.fromkeys(ids["want"]))
    return Fetch(wants, frozenset(ids["have"]), frozenset(ids["shallow"]), depth, keep, done)
