"""Frames of the Lumberjack protocol, written by hand."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence


def window(count: int, version: bytes = b"2") -> bytes:
    return version + b"W" + struct.pack(">I", count)


def json_frame(sequence: int, event: Any, version: bytes = b"2") -> bytes:
    text = event if isinstance(event, bytes) else json.dumps(event).encode()
    return version + b"J" + struct.pack(">II", sequence, len(text)) + text


def data_frame(sequence: int, pairs: dict[str, str]) -> bytes:
    texts = [text.encode() for pair in pairs.items() for text in pair]
    return (
        b"1D"
        + struct.pack(">II", sequence, len(pairs))
        + b"".join(struct.pack(">I", len(text)) + text for text in texts)
    )


def compressed(frames: bytes, version: bytes = b"2") -> bytes:
    packed = zlib.compress(frames)
    return version + b"C" + struct.pack(">I", len(packed)) + packed


def windowed(events: Sequence[Any], *, packed: bool = False) -> bytes:
    frames = b"".join(json_frame(number, event) for number, event in enumerate(events, start=1))
    return window(len(events)) + (compressed(frames) if packed else frames)


async def acknowledged(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """Return the version and the sequence of the next acknowledgement."""
    frame = await reader.readexactly(6)
    assert frame[1:2] == b"A"
    return frame[:1], struct.unpack(">I", frame[2:])[0]
