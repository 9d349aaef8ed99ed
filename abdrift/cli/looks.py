"""How the terminal shows facts: symbols that can be told apart without colour, ages, values and differences. Pure."""

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final, cast

import orjson
import yaml
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from abdrift.timeline.entries import Entry, one_line, short, took

# Of middling lightness, so that each can be read on black and on white.
GREEN, AMBER, RED = "#1a9a1a", "#b07c00", "#e03030"
BLUE, CYAN, MAGENTA, GREY = "#2f7fd0", "#0a87a8", "#af5faf", "#808080"

STATUS: Final = {"healthy": ("●", GREEN), "degraded": ("◐", AMBER), "failing": ("▲", RED), "unknown": ("○", GREY)}
DRIFTED: Final = ("◆", MAGENTA)
OVER: Final = ("✓", GREEN)
ALARM: Final = ("✖", RED)
KINDS: Final = {
    "deleted": RED,
    "failing": RED,
    "changed": AMBER,
    "alert": AMBER,
    "suspended": MAGENTA,
    "orphaned": MAGENTA,
    "behind": BLUE,
}
TONES: Final = {"good": GREEN, "news": CYAN, "warning": AMBER, "bad": RED}
ENTRIES: Final = {
    "git": "↑",
    "drift": "◆",
    "evidence": "○",
    "health": "●",
    "incident": "✖",
    "governor": "-",
    "person": "☺",
    "command": "→",
    "outcome": "=",
}
"""A symbol for each kind of a timeline's entries."""
_OPS: Final = {"add": "added", "remove": "removed", "replace": "changed"}
_FILE_COLUMNS: Final = 200
_BETWEEN: Final = "   "
_CONTEXT_LINES: Final = 3
_MOST_LINES: Final = 60
"""Of one field: a ConfigMap may hold a whole program."""
_PADDING: Final = re.compile(r" +$", re.MULTILINE)


class _Unpadded:
    """Standard output without what tables fill their lines up with, for files, pipes and narrow windows after them."""

    def write(self, text: str) -> int:
        return sys.stdout.write(_PADDING.sub("", text))

    def flush(self) -> None:
        sys.stdout.flush()


def console() -> Console:
    """Return a console for facts: as wide as the terminal; in a file or a pipe no window bounds its lines."""
    made = Console(highlight=False)
    if made.is_terminal:
        return made
    return Console(highlight=False, file=cast("IO[str]", _Unpadded()), width=max(made.width, _FILE_COLUMNS))


def say(console: Console, text: Text, *, indent: int = 0) -> None:
    """Print a text: on a terminal broken between words, in a file or a pipe one line however long."""
    shown = Padding(text, (0, 0, 0, indent), expand=False) if console.is_terminal else Text(" " * indent) + text
    console.print(shown, soft_wrap=not console.is_terminal)


def side_by_side(parts: Sequence[Text], width: int) -> Text:
    """Return parts on as few lines as they fit on, none broken in itself."""
    text, used = Text(), 0
    for part in parts:
        if used and used + len(_BETWEEN) + part.cell_len > width:
            text, used = text.append("\n"), 0
        elif used:
            text, used = text.append(_BETWEEN), used + len(_BETWEEN)
        text, used = text.append_text(part), used + part.cell_len
    return text


def entries(told: Iterable[Entry], *, fields: int = 0) -> Table:
    """Return entries of a line of time as rows: when, of what kind, what happened, and below it the details.

    Args:
        told: In order.
        fields: How many changed fields are shown of each.

    """
    grid = Table.grid(padding=(0, 1))
    for width in (8, 1, 9):
        grid.add_column(width=width, no_wrap=True)
    grid.add_column(overflow="fold")
    for entry in told:
        colour = TONES[entry.tone]
        text = Text(entry.text)
        for detail in _details(entry, fields):
            text.append(f"\n  {detail}", style=GREY)
        symbol = OVER[0] if entry.what == "closed" else ENTRIES[entry.kind]
        kind = Text(entry.kind, style=colour)
        grid.add_row(Text(clock(entry.at_ms), style=GREY), Text(symbol, style=colour), kind, text)
    return grid


def _details(entry: Entry, fields: int) -> Iterator[str]:
    yield from map(brief, entry.fields[:fields])
    if fields and (more := len(entry.fields) - fields) > 0:
        yield f"and {number(more, 'more field')}"
    yield from entry.details


def ago(at_ms: int | None, now_ms: int) -> str:
    """Return how long ago something was; `never` where it was not."""
    return "never" if at_ms is None else f"{took(max(0, now_ms - at_ms))} ago"


def clock(at_ms: int) -> str:
    """Return the time of day, UTC."""
    seconds = at_ms // 1_000 % 86_400
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def number(count: int, noun: str, nouns: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def pointed(pointer: str) -> str:
    """Return a JSON pointer as people write a path: dots, and indices in brackets."""
    path = ""
    for part in (each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]):
        if part.isdigit():
            path += f"[{part}]"
        elif any(each in part for each in "./[]"):
            path += f'["{part}"]'
        else:
            path += f".{part}" if path else part
    return path or "(the whole object)"


def value(given: Any) -> str:
    """Return a JSON value in one line."""
    return one_line(given) if isinstance(given, str) else short(orjson.dumps(given).decode())


def brief(change: Mapping[str, Any]) -> str:
    """Return one changed field in one line."""
    path, op = pointed(str(change["path"])), change["op"]
    if op == "add":
        return f"{path}: added {value(change.get('new'))}"
    old = value(change.get("old")) if change.get("old_known", True) else "?"
    if op == "remove":
        return f"{path}: removed, was {old}"
    return f"{path}: {old} → {value(change.get('new'))}"


def difference(change: Mapping[str, Any]) -> Iterator[Text]:
    """Yield one changed field over several lines: what it was, in red behind a minus, and what it is."""
    by = change.get("by")
    who = "by nobody who left a trace"
    if by:
        how = ", ".join(by[name] for name in ("operation", "subresource", "time") if by.get(name))
        who = f"by {by['manager']}{f' ({how})' if how else ''}"
    head = Text(pointed(str(change["path"])), style="bold")
    yield head.append(f"  {_OPS.get(change['op'], change['op'])} {who}", style=GREY)
    old = _lines(change.get("old")) if change["op"] != "add" else []
    new = _lines(change.get("new")) if change["op"] != "remove" else []
    if not change.get("old_known", True):
        yield Text("- what it was is not known", style=RED)
        old = []
    shown = list(_compared(old, new))
    yield from shown[:_MOST_LINES]
    if len(shown) > _MOST_LINES:
        yield Text(f"  … and {len(shown) - _MOST_LINES} more lines; --json has them", style=GREY)


def _lines(given: Any) -> list[str]:
    if isinstance(given, str):
        return given.splitlines() or [""]
    if isinstance(given, dict | list):
        return yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=1_000).splitlines()
    return [orjson.dumps(given).decode()]


def _compared(old: list[str], new: list[str]) -> Iterator[Text]:
    styles = {"+": GREEN, "-": RED, "@": GREY}
    if len(old) <= 1 or len(new) <= 1:
        yield from (Text(f"- {line}", style=RED) for line in old)
        yield from (Text(f"+ {line}", style=GREEN) for line in new)
        return
    for line in list(difflib.unified_diff(old, new, n=_CONTEXT_LINES, lineterm=""))[2:]:
        if line.startswith("@"):
            yield Text("  …", style=GREY)
        else:
            yield Text(f"{line[0]} {line[1:]}", style=styles.get(line[0], ""))
