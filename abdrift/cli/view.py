"""The live terminal view: the fleet's health by site, what is off course, and what is done about it. Pure.

It fits any terminal: every panel gets a share of the height, and columns are left out where the width is small.
"""

import os.path
import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from abdrift.cli.looks import ALARM, AMBER, BLUE, CYAN, DRIFTED, GREEN, GREY, KINDS, MAGENTA, OVER, RED, STATUS, clock
from abdrift.clock import parse_rfc3339_ms
from abdrift.observed import Observed, named, percentiles

_RESULTS: Final = {"corrected": GREEN, "accepted": CYAN, "handled-not-corrected": AMBER}
_LEFT_ALONE: Final = frozenset({"refused", "observed", "deferred"})
_ENDED: Final = {"waiting": ("?", MAGENTA), "refused": ("-", AMBER)}

_SHORT_KINDS: Final = {
    "ConfigMap": "cm",
    "DaemonSet": "ds",
    "Deployment": "deploy",
    "GitRepository": "gitrepo",
    "HelmRelease": "hr",
    "Kustomization": "ks",
    "Namespace": "ns",
    "Service": "svc",
    "ServiceAccount": "sa",
    "StatefulSet": "sts",
}
"""As kubectl abbreviates them."""
_COMMIT: Final = re.compile(r"\b([0-9a-f]{7})[0-9a-f]{33}\b")

_LINES: Final = Text("\n", no_wrap=True, overflow="ellipsis")
_WIDE: Final = 110
_LABEL_WIDTH: Final = 18
_FIGURES_WIDTH: Final = 52
_BORDERS: Final = 2
_PATH_PARTS: Final = 3
_NARROW_ROWS: Final = 3
_MINUTE_SECONDS: Final = 60
_GLUE: Final = "\N{NO-BREAK SPACE}"
"""Between a count and what it counts: no line is broken there."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What is being done just now, for how long already, and how long it may take."""

    name: str
    elapsed_seconds: float = 0.0
    limit_seconds: float | None = None
    is_exact: bool = False
    """Whether it takes just as long as the limit, rather than at most."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What one frame of the view shows."""

    title: str
    phase: Phase
    seen: Observed
    sites: Mapping[str, str]
    """Cluster name to site, of every cluster there should be."""
    now_ms: int
    figures: Mapping[str, str] = field(default_factory=dict)
    latencies_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    hint: str = ""


class _Change(NamedTuple):
    at_ms: int
    mark: Text
    cluster: str
    what: Text
    result: Text


@dataclass(frozen=True, slots=True)
class View:
    """The whole view of a scene, as large as the console it is printed on."""

    scene: Scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the panels from above to below; their heights add up to the console's."""
        width, height = options.max_width, options.height or console.height
        wide = width >= _WIDE
        top = _top(self.scene, width, max(1, height // 3 - 4))
        footer = [Text(f" {self.scene.hint}", style=GREY, no_wrap=True, overflow="ellipsis")] if self.scene.hint else []
        head = _head(self.scene, width)
        incidents = _incidents(self.scene, max(0, height // 5 - _BORDERS), wide=wide)
        used = sum(part.height for part in (*top, *incidents)) + len(head) + len(footer)
        rest = max(0, height - used)
        found_height = (3 * rest + 4) // 5
        yield from head
        yield from (part.shown for part in (*top, *incidents))
        found = _found(self.scene, found_height - _BORDERS - 1, wide=wide)
        done = _done(self.scene, rest - found_height - _BORDERS, wide=wide)
        yield _panel(found if found.rows else Text("nothing yet", style=GREY), "off course", found_height)
        yield _panel(done if done.rows else Text("nothing yet", style=GREY), "done about it", rest - found_height)
        yield from footer


class _Part(NamedTuple):
    shown: RenderableType
    height: int


def _panel(content: RenderableType, title: str, height: int) -> RenderableType:
    if height <= _BORDERS:
        return Text("\n" * (height - 1)) if height else Text("", end="")
    return Panel(content, title=title, title_align="left", border_style=BLUE, height=height)


def _head(scene: Scene, width: int) -> list[Text]:
    phase = scene.phase
    title = Text(f" {scene.title}", style="bold", no_wrap=True, overflow="ellipsis")
    line = Text(" ", no_wrap=True, overflow="ellipsis")
    line.append(phase.name, style=f"bold {CYAN}")
    if phase.limit_seconds:
        length = max(8, min(30, width // 5))
        full = round(length * min(1.0, phase.elapsed_seconds / phase.limit_seconds))
        line.append("  ").append("━" * full, style=CYAN).append("─" * (length - full), style=GREY)
        most = "" if phase.is_exact else "at most "
        line.append(f"  {phase.elapsed_seconds:.0f} s of {most}{phase.limit_seconds:g} s")
    if phase.detail:
        line.append(f"  {phase.detail}", style=GREY)
    return [title, line]


def _top(scene: Scene, width: int, rows: int) -> list[_Part]:
    """Return the fleet and the figures: side by side where there is room for both."""
    figures = _figures(scene)
    if width < _WIDE:
        fleet = [*_fleet(scene, width - 4, min(rows, _NARROW_ROWS)), _legend(scene), _workloads(scene)]
        lines = _joined(figures, width - 2)
        return [
            _Part(_panel(_LINES.join(fleet), "fleet", len(fleet) + _BORDERS), len(fleet) + _BORDERS),
            *(_Part(Padding(line, (0, 1)), 1) for line in lines),
        ]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(width=_LABEL_WIDTH, style=GREY, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for name, value in figures.items():
        for number, line in enumerate(textwrap.wrap(value, _FIGURES_WIDTH - _LABEL_WIDTH - 6)):
            table.add_row("" if number else name, line)
    dots = _fleet(scene, width - _FIGURES_WIDTH - 4, max(1, min(rows, table.row_count - 3)))
    fleet = [*dots, Text(), _legend(scene), _workloads(scene)]
    height = max(len(fleet), table.row_count) + _BORDERS
    both = Table.grid(expand=True)
    both.add_column(ratio=1)
    both.add_column(width=_FIGURES_WIDTH)
    both.add_row(_panel(_LINES.join(fleet), "fleet", height), _panel(table, "so far", height))
    return [_Part(_OfHeight(both, height), height)]


@dataclass(frozen=True, slots=True)
class _OfHeight:
    """Keeps a table from taking the whole console's height for each of its cells."""

    shown: RenderableType
    height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.shown, options.update(height=self.height))


def _joined(figures: Mapping[str, str], width: int) -> list[Text]:
    """Return the figures as few lines as they fit on."""
    lines = [Text(no_wrap=True, overflow="ellipsis")]
    for name, value in figures.items():
        one = Text(f"{name} ", style=GREY).append(value, style="default")
        if lines[-1] and lines[-1].cell_len + one.cell_len + 3 > width:
            lines.append(Text(no_wrap=True, overflow="ellipsis"))
        lines[-1].append(" · " if lines[-1] else "", style=GREY).append_text(one)
    return lines


def _fleet(scene: Scene, width: int, rows: int) -> list[Text]:
    """Return one dot for each cluster, by site; where there is no room for dots, numbers."""
    drifted = {finding["cluster"]["name"] for finding in scene.seen.open_findings}
    members: dict[str, list[tuple[str, str]]] = {}
    for cluster in sorted(scene.sites):
        look = DRIFTED if cluster in drifted else STATUS[scene.seen.clusters.get(cluster, "unknown")]
        members.setdefault(scene.sites[cluster], []).append(look)
    for gap in (" ", ""):
        blocks = [_dots(site, looks, gap) for site, looks in sorted(members.items())]
        lines = _columns(blocks, width, rows if gap else 0)
        if lines is not None and len(lines) <= rows:
            return lines
    blocks = [_counts(site, looks) for site, looks in sorted(members.items())]
    return (_columns(blocks, width) or blocks)[:rows]


def _dots(site: str, looks: Sequence[tuple[str, str]], gap: str) -> Text:
    block = Text(f"{site} " if site else "", style=GREY)
    for number, (mark, colour) in enumerate(looks):
        block.append(f"{gap if number else ''}{mark}", style=colour)
    return block


def _counts(site: str, looks: Sequence[tuple[str, str]]) -> Text:
    block = Text(f"{site} ", style=GREY)
    for (mark, colour), count in Counter(looks).most_common():
        block.append(f"{mark}{count} ", style=colour)
    return block


def _columns(blocks: Sequence[Text], width: int, rows: int = 0) -> list[Text] | None:
    """Set blocks side by side in columns of one width, as few as fill the rows; None where one is too wide."""
    widest = max((block.cell_len for block in blocks), default=0)
    if widest > width:
        return None
    each = max(1, (width + 3) // (widest + 3))
    if rows:
        each = min(each, max(1, -(-len(blocks) // rows)))
    lines = []
    for first in range(0, len(blocks), each):
        line = Text(no_wrap=True)
        for block in blocks[first : first + each]:
            line.append_text(block).append(" " * (widest + 3 - block.cell_len))
        line.rstrip()
        lines.append(line)
    return lines


def _legend(scene: Scene) -> Text:
    counts = Counter(scene.seen.clusters.get(cluster, "unknown") for cluster in scene.sites)
    drifted = {finding["cluster"]["name"] for finding in scene.seen.open_findings}
    legend = Text(no_wrap=True, overflow="ellipsis")
    for status, (mark, colour) in STATUS.items():
        legend.append(f"{mark} {counts[status]} {status}  ", style=colour)
    legend.append(f"{DRIFTED[0]} {len(drifted)} off course", style=DRIFTED[1])
    if scene.seen.breaker_open:
        legend.append("  breaker open: nothing is commanded", style=f"bold {RED}")
    return legend


def _workloads(scene: Scene) -> Text:
    counts = scene.seen.workloads
    line = Text("workloads: ", style=GREY, no_wrap=True, overflow="ellipsis")
    for status, (mark, colour) in STATUS.items():
        line.append(f"{mark} {counts[status]:,} {status}  ", style=colour)
    return line


def _figures(scene: Scene) -> dict[str, str]:
    seen = scene.seen
    kinds = ", ".join(f"{count}{_GLUE}{kind}" for kind, count in seen.finding_kinds().items())
    results = ", ".join(f"{count}{_GLUE}{result}" for result, count in seen.outcome_results().items())
    waiting = f", {len(seen.awaiting)}{_GLUE}waiting for a person" if seen.awaiting else ""
    figures = dict(scene.figures)
    figures["findings"] = f"{len(seen.findings)} ({len(seen.open_findings)} open)"
    if kinds:
        figures["of these"] = kinds
    figures["commands"] = f"{len(seen.commands)}{waiting}"
    figures["outcomes"] = results or "none yet"
    for name, values in scene.latencies_ms.items():
        found = percentiles(list(values))
        if found["p50"] is not None and found["p99"] is not None:
            figures[name] = f"p50 {_took(found['p50'])}, p99 {_took(found['p99'])}"
    return figures


def _took(ms: float) -> str:
    """Return a duration with the two or three figures that a person reads."""
    if ms < 1_000:  # noqa: PLR2004  from a second on, seconds read better
        return f"{ms:.0f} ms"
    seconds = ms / 1_000
    if seconds < _MINUTE_SECONDS:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // _MINUTE_SECONDS}m{int(seconds) % _MINUTE_SECONDS:02}s"


def _incidents(scene: Scene, rows: int, *, wide: bool) -> list[_Part]:
    """Return the incidents, open ones first, then as there is room those that closed last; nothing without any."""
    ordered = sorted(
        scene.seen.incidents.values(),
        key=lambda one: (one["state"] == "open", _ms(one, "closed_at") or _ms(one, "opened_at") or 0),
        reverse=True,
    )[:rows]
    if not ordered:
        return []
    table = Table(box=None, pad_edge=False, expand=True, show_header=False)
    table.add_column(width=1)
    table.add_column(width=6, justify="right", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    for one in ordered:
        table.add_row(*_incident_cells(one, scene.now_ms, wide=wide))
    height = len(ordered) + _BORDERS
    return [_Part(_panel(table, "incidents", height), height)]


def _incident_cells(incident: Mapping[str, Any], now_ms: int, *, wide: bool) -> list[Text]:
    is_open, radius = incident["state"] == "open", incident["blast_radius"]
    colour = RED if incident["severity"] == "critical" else AMBER
    opened = _ms(incident, "opened_at") or now_ms
    lasted = Text(_took(max(0, (now_ms if is_open else _ms(incident, "closed_at") or now_ms) - opened)))
    title = Text(incident["title"], style=f"bold {colour}" if is_open else GREY)
    mark = Text(ALARM[0], style=colour) if is_open else Text(*OVER)
    if not is_open:
        return [mark, lasted, title, Text(incident["closed_because"], style=GREEN)]
    reach = f"{radius['clusters']} of {radius['clusters_ever']}"
    return [mark, lasted, title, Text(f"{reach} clusters still" if wide else reach, style=colour)]


def newest_findings(seen: Observed) -> list[Mapping[str, Any]]:
    """Return the findings in the order in which they are shown: the newest open one first, the closed ones last."""
    return sorted(
        seen.findings.values(),
        key=lambda f: (f["state"] == "open", _ms(f["times"], "closed_at") or _ms(f["times"], "opened_at") or 0),
        reverse=True,
    )


def _found(scene: Scene, rows: int, *, wide: bool) -> Table:
    """Return the newest findings: the open ones, then as there is room those that were closed last."""
    table = Table(box=None, pad_edge=False, expand=True, header_style=GREY)
    table.add_column("", width=1)
    table.add_column("for", width=6, justify="right", no_wrap=True)
    table.add_column("cluster", min_width=9, no_wrap=True)
    table.add_column("kind", width=9, no_wrap=True)
    if wide:
        table.add_column("object", min_width=20, max_width=34, no_wrap=True, overflow="ellipsis")
    table.add_column("what", ratio=1, no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column("by", width=17, no_wrap=True, overflow="ellipsis")
        table.add_column("now", min_width=18, max_width=20, no_wrap=True, overflow="ellipsis")
    answers = _answers(scene.seen)
    for finding in newest_findings(scene.seen)[: max(0, rows)]:
        table.add_row(*_finding_cells(finding, answers.get(finding["finding_id"]), scene.now_ms, wide=wide))
    return table


def _finding_cells(finding: Mapping[str, Any], answer: Text | None, now_ms: int, *, wide: bool) -> list[Text]:
    is_open, times = finding["state"] == "open", finding["times"]
    opened = _ms(times, "opened_at") or now_ms
    lasted = Text(_took(max(0, (now_ms if is_open else _ms(times, "closed_at") or now_ms) - opened)))
    kind, quiet = Text(finding["kind"], style=KINDS.get(finding["kind"], GREY)), "" if is_open else GREY
    mark = Text(*DRIFTED) if is_open else Text(*OVER)
    what = Text(f"again, {_what(finding)}" if finding.get("recurrences") else _what(finding), style=quiet)
    if not wide:
        if finding["fields"]:
            what = Text(f"{finding['object']['name']} ", style=quiet).append_text(what)
        return [mark, lasted, Text(finding["cluster"]["name"], style=quiet), kind, what]
    now = answer if is_open else Text(finding.get("closed_because") or "closed", style=GREEN)
    by = Text(", ".join(finding.get("managers") or ()), style=quiet)
    cluster, reference = Text(finding["cluster"]["name"], style=quiet), Text(_named(finding["object"]), style=quiet)
    return [mark, lasted, cluster, kind, reference, what, by, now or Text("")]


def _what(finding: Mapping[str, Any]) -> str:
    fields = finding.get("fields") or ()
    if not fields:
        # The columns beside it name the object already.
        said = str(finding["message"]).removeprefix(f"{named(finding['object'])} ")
        return _COMMIT.sub(r"\1", " ".join(said.split()))
    first = fields[0]
    where = "/".join(str(first["path"]).split("/")[1:][-_PATH_PARTS:]).replace("~1", "/").replace("~0", "~")
    old, new = _value(first.get("old")), _value(first.get("new"))
    more = len(fields) - 1 + (finding.get("fields_omitted") or 0)
    also = f" and {more} more" if more else ""
    if first["op"] == "add":
        return f"{where}: added {new}{also}"
    if first["op"] == "remove":
        return f"{where}: removed, was {old}{also}"
    # Two images differ at their ends; what they begin with only takes up room.
    common = os.path.commonprefix([old, new]).rfind("/") + 1  # noqa: RUF071  text, not paths
    return f"{where}: {old[common:] if first.get('old_known', True) else '?'} → {new[common:]}{also}"


def _value(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else orjson.dumps(value).decode()


def _named(reference: Mapping[str, Any]) -> str:
    """Return an object as kubectl's users write it: deploy shop/app."""
    kind = reference["kind"]
    return named({**reference, "kind": _SHORT_KINDS.get(kind, kind)})


def _answers(seen: Observed) -> dict[str, Text]:
    """Return what is being done about each finding, by its id."""
    answers = {
        each: Text(f"- {decision['reasons'][0]['code']}", style=AMBER)
        for each, decision in seen.decided.items()
        if decision["result"] in _LEFT_ALONE and decision["reasons"]
    }
    answers.update({first: Text("waits for a person", style=MAGENTA) for first in seen.awaiting})
    for command_id, command in seen.commands.items():
        outcome = seen.outcomes.get(command_id)
        result = outcome["result"] if outcome else "commanded"
        shown = Text("under way", style=CYAN)
        if result not in ("commanded", "accepted"):
            shown = Text(result, style=_RESULTS.get(result, RED))
        answers.update(dict.fromkeys(command["finding_ids"], shown))
    return answers


def _done(scene: Scene, rows: int, *, wide: bool) -> Table:
    """Return the newest commands with what came of each, and what was refused or waits, newest first."""
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(width=8, no_wrap=True)
    table.add_column(width=1)
    table.add_column(min_width=9, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(min_width=22 if wide else 18, no_wrap=True, overflow="ellipsis")
    said = [
        _Change(
            parse_rfc3339_ms(line.at) or 0,
            Text(*_ENDED[line.what]),
            line.cluster,
            Text(" ".join(line.text.split()), style=GREY if line.what == "refused" else ""),
            Text("not done" if line.what == "refused" else "a person is asked", style=_ENDED[line.what][1]),
        )
        for line in scene.seen.lines
        if line.what in _ENDED
    ]
    changes = sorted([*said, *_commands(scene)], key=lambda change: change.at_ms, reverse=True)
    for change in changes[: max(0, rows)]:
        table.add_row(Text(clock(change.at_ms), style=GREY), change.mark, change.cluster, change.what, change.result)
    return table


def _commands(scene: Scene) -> list[_Change]:
    changes = []
    for command_id, command in scene.seen.commands.items():
        issued = _ms(command, "issued_at") or 0
        outcome = scene.seen.outcomes.get(command_id)
        count = len(command["finding_ids"])
        what = Text(f"{command['verb']} {_named(command['target'])}")
        what.append(f"  {count} finding{'s' if count != 1 else ''}", style=GREY)
        changes.append(_Change(issued, Text("→", style=CYAN), command["cluster"]["name"], what, _result(outcome)))
    return changes


def _result(outcome: Mapping[str, Any] | None) -> Text:
    if outcome is None or outcome["result"] == "accepted":
        return Text("under way" if outcome else "sent", style=CYAN)
    result = outcome["result"]
    began, ended = _ms(outcome, "issued_at"), _ms(outcome, "corrected_at")
    after = f" in {_took(ended - began)}" if began is not None and ended is not None else ""
    why = "" if after or not outcome["reasons"] else f": {outcome['reasons'][0]['code']}"
    return Text(f"{result}{after}{why}", style=_RESULTS.get(result, RED))


def _ms(times: Mapping[str, Any], name: str) -> int | None:
    return parse_rfc3339_ms(times.get(name))
