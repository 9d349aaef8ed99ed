"""The live terminal view: the fleet's health, what is found and done, as it happens."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from abdrift.observed import Observed, percentiles

_COLOURS = {"healthy": "green", "degraded": "yellow", "failing": "red", "unknown": "bright_black"}
_MARKS = {
    "found": ("!", "yellow"),
    "closed": ("✓", "green"),
    "commanded": ("→", "cyan"),
    "outcome": ("=", "bold"),
    "refused": ("-", "red"),
    "waiting": ("?", "magenta"),
}


def render(
    seen: Observed, *, title: str, figures: dict[str, str], latencies: dict[str, list[float]], lines: int
) -> Group:
    """Return the whole view, `lines` of it for the events."""
    return Group(
        Panel(_fleet(seen), title=title, title_align="left", border_style="blue"),
        _figures(seen, figures, latencies),
        Panel(_events(seen, lines), title="what happens", title_align="left", border_style="blue"),
    )


def _fleet(seen: Observed) -> RenderableType:
    drifted = {finding["cluster"]["name"] for finding in seen.open_findings}
    cells = Text()
    for name in sorted(seen.clusters):
        status = seen.clusters[name]
        cells.append("◆" if name in drifted else "●", style=_COLOURS[status])
        cells.append(" ")
    counts = Counter(seen.clusters.values())
    legend = Text("\n")
    for status, colour in _COLOURS.items():
        legend.append(f"● {counts[status]} {status}   ", style=colour)
    legend.append(f"◆ {len(drifted)} off course")
    if seen.breaker_open:
        legend.append("   breaker open: nothing is commanded", style="bold red")
    return cells + legend


def _figures(seen: Observed, figures: dict[str, str], latencies: dict[str, list[float]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in seen.finding_kinds().items()) or "none yet"
    results = ", ".join(f"{count} {result}" for result, count in seen.outcome_results().items()) or "none yet"
    rows = list(figures.items())
    rows += [
        ("findings", f"{kinds} ({len(seen.open_findings)} open)"),
        ("commands", f"{len(seen.commands)}, {len(seen.awaiting)} waiting for a person"),
        ("outcomes", results),
    ]
    for name, values in latencies.items():
        found = percentiles(values)
        if found["p50"] is not None:
            rows.append((name, f"p50 {found['p50']:.0f} ms, p99 {found['p99']:.0f} ms ({len(values)})"))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), value)
    return table


def _events(seen: Observed, lines: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(width=8)
    table.add_column(width=1)
    table.add_column(width=10)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for line in list(seen.lines)[-lines:]:
        mark, style = _MARKS[line.what]
        table.add_row(line.at[11:19], Text(mark, style=style), line.cluster, Text(line.text, style=style))
    return table
