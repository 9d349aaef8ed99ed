"""A flame graph of sampled stacks, as SVG: what the event loop runs, without waiting and without the loop itself. Pure.

Stacks come as py-spy's `raw` format has them: frames from the outermost inwards, joined by semicolons, and a count.
"""

import re
import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

_WAITING: Final = ("select_", "poll", "epoll_wait", "pthread_cond", "clock_nanosleep")
_LOOP: Final = "Handle._run"
_NAMELESS: Final = re.compile(r"^(0x[0-9a-f]+|_?Py\w*|task_step\w*|PyInit\w*) ")
_WIDTH, _HEIGHT, _SMALLEST = 1180.0, 17, 2.0
_COLOURS: Final = (
    ("streams/", "#f0883e"),
    ("abdrift/", "#d29922"),
    ("aiokafka", "#58a6ff"),
    ("faust", "#7ee787"),
    ("mode", "#7ee787"),
    ("asyncio", "#a5d6ff"),
)
_OTHER: Final = "#d0d7de"


@dataclass(slots=True)
class Frame:
    """One frame of the merged stacks: how many samples lie in it, and what it called."""

    name: str
    samples: int = 0
    calls: dict[str, "Frame"] = field(default_factory=dict)


def merged(raw: str) -> Frame:
    """Merge the stacks that did something, from what the event loop called inwards."""
    root = Frame("event loop")
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if any(frame.startswith(_WAITING) for frame in frames[-3:]):
            continue
        begins = next((at + 1 for at, frame in enumerate(frames) if frame.startswith(_LOOP)), 0)
        at = root
        at.samples += int(count)
        for name in frames[begins:]:
            if _NAMELESS.match(name):
                continue
            at = at.calls.setdefault(name, Frame(name))
            at.samples += int(count)
    return root


def draw(root: Frame) -> str:
    """Return the SVG: the outermost frame on top, wider for more samples."""
    boxes: list[str] = []
    depth = _draw(root, 10.0, 0, _WIDTH / max(1, root.samples), (boxes, root.samples))
    height = (depth + 1) * _HEIGHT + 40
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 {height}">',
            "<style>text { font: 11px monospace }</style>",
            f'<rect width="1200" height="{height}" fill="#ffffff"/>',
            f'<text x="10" y="18">{root.samples:,} samples, waiting left out; point at a frame for its share</text>',
            *boxes,
            "</svg>",
            "",
        ]
    )


def _draw(frame: Frame, x: float, depth: int, scale: float, onto: tuple[list[str], int]) -> int:
    """Draw a frame and what it called; return the greatest depth."""
    boxes, total = onto
    width = frame.samples * scale
    if width < _SMALLEST:
        return depth
    y = 30 + depth * _HEIGHT
    colour = next((colour for part, colour in _COLOURS if part in frame.name), _OTHER)
    fits = int(width / 6.7)
    shown = frame.name if len(frame.name) <= fits else frame.name[: max(0, fits - 2)] + ".." if fits > 4 else ""  # noqa: PLR2004  room for a few letters
    boxes.append(
        f"<g><title>{escape(frame.name)}: {frame.samples / total:.1%}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.5):.1f}" height="{_HEIGHT - 1}" fill="{colour}"/>'
        f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(shown)}</text></g>'
    )
    deepest = depth
    for called in sorted(frame.calls.values(), key=lambda one: -one.samples):
        deepest = max(deepest, _draw(called, x, depth + 1, scale, onto))
        x += called.samples * scale
    return deepest


def main() -> None:
    """Draw a file of raw stacks: `python -m benchmarks.flame STACKS SVG`."""
    stacks, svg = map(Path, sys.argv[1:])
    svg.write_text(draw(merged(stacks.read_text())))


if __name__ == "__main__":
    main()
