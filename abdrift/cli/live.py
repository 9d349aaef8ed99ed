"""Draws a view again and again while something runs, where there is a terminal, and takes a picture of it."""

import asyncio
import contextlib
import io
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.terminal_theme import TerminalTheme

from abdrift.cli.view import Scene, View, newest_findings
from abdrift.observed import Observed

_FRAME_SECONDS: Final = 0.25
_PICTURE_SIZE: Final = (132, 40)
"""Columns and lines, whatever the terminal's are."""
_PICTURE_FINDINGS, _PICTURE_COMMANDS = 10, 5
"""How many of each fit into it."""
_INCIDENT_WORTH: Final = 10
_THEME: Final = TerminalTheme(
    (22, 26, 33),
    (208, 212, 220),
    [
        *((22, 26, 33), (224, 48, 48), (26, 154, 26), (176, 124, 0)),
        *((47, 127, 208), (175, 95, 175), (10, 135, 168), (208, 212, 220)),
    ],
)
# Rich's own has the reader's browser fetch a font from elsewhere.
_SVG: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def is_drawable(console: Console) -> bool:
    """Whether a view can be drawn there."""
    return console.is_terminal and not console.is_dumb_terminal


def program() -> str:
    """Return how this program was called, as it would be typed here."""
    called = Path(sys.argv[0])
    if called.name != "abdrift":
        return "abdrift"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return "abdrift"


def fetching(present_bytes: int, total_bytes: int) -> str:
    """Return what to say of Kafka's download; nothing once it is whole."""
    if present_bytes >= total_bytes:
        return ""
    return f"fetching it, once: {present_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB"


@dataclass(slots=True)
class Camera:
    """Keeps a picture of the frame that shows the most kinds of things."""

    path: Path
    title: str
    _most: int = 0

    def see(self, scene: Scene) -> None:
        """Take a picture where there is more to see than on the last."""
        worth = _worth(scene.seen)
        if worth <= self._most:
            return
        self._most = worth
        width, height = _PICTURE_SIZE
        console = Console(
            record=True, file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor"
        )
        console.print(View(scene))
        picture = console.export_svg(title=self.title, theme=_THEME, code_format=_SVG, unique_id="abdrift")
        self.path.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")


def _worth(seen: Observed) -> int:
    """Return how much a picture shows: an incident with its author, kinds of open findings, closed ones, commands."""
    shown = newest_findings(seen)[:_PICTURE_FINDINGS]
    is_open = [finding for finding in shown if finding["state"] == "open"]
    newest = list(seen.commands)[-_PICTURE_COMMANDS:]
    corrected = sum(1 for each in newest if each in seen.outcomes and seen.outcomes[each]["result"] == "corrected")
    told = any(
        each["state"] == "open" and (each["cause"].get("commit") or {}).get("author")
        for each in seen.incidents.values()
    )
    kinds = len({finding["kind"] for finding in is_open})
    return _INCIDENT_WORTH * told + 2 * kinds + min(4, len(shown) - len(is_open)) + min(3, corrected)


@contextlib.asynccontextmanager
async def drawn(scene: Callable[[], Scene], console: Console, *, camera: Camera | None = None) -> AsyncIterator[None]:
    """Draw scenes on the terminal's alternate screen until left; the camera sees them where nothing is drawn, too."""
    with contextlib.ExitStack() as stack:
        live = None
        if is_drawable(console):
            live = stack.enter_context(Live(View(scene()), console=console, screen=True, auto_refresh=False))
            live.refresh()

        async def draw() -> None:
            while True:
                now = scene()
                if live:
                    live.update(View(now), refresh=True)
                if camera:
                    camera.see(now)
                await asyncio.sleep(_FRAME_SECONDS)

        drawing = asyncio.create_task(draw())
        try:
            yield
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing
