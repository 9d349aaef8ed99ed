"""Arrays of integers as few bytes: the least value, and each value's distance from it in the narrowest type."""

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_HEAD: Final = struct.Struct("<Bq")
_KINDS: Final = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"), np.dtype("<u8"))


def pack(values: npt.NDArray[Any]) -> bytes:
    """Return integers, each less than 2⁶³ away from the least, as bytes."""
    if not len(values):
        return b""
    least = int(values.min())
    span = int(values.max()) - least
    size = 0 if span < 1 << 8 else 1 if span < 1 << 16 else 2 if span < 1 << 32 else 3
    distances = values if size == 3 and not least else values - values.dtype.type(least)  # noqa: PLR2004  the widest
    return _HEAD.pack(size, least) + distances.astype(_KINDS[size]).tobytes()


def unpack(packed: bytes) -> Ints:
    """Return the integers that `pack` took.

    Raises:
        ValueError, struct.error, IndexError: it is not of `pack`'s making.

    """
    if not packed:
        return np.zeros(0, dtype=np.int64)
    size, least = _HEAD.unpack_from(packed)
    values: Ints = np.frombuffer(packed, _KINDS[size], offset=_HEAD.size).astype(np.int64) + least
    return values
