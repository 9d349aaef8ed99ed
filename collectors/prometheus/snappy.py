"""Snappy's block format: bodies decompressed within a size that is known before. Pure.

Source: https://github.com/google/snappy/blob/main/format_description.txt
"""

from typing import Final

import cramjam

from collectors.prometheus.protobuf import MalformedError, varint

_MAX_SIZE_BYTES: Final = 5
"""Of the decompressed length at the beginning: 32 bits in sevens."""


class TooLargeError(ValueError):
    """A body that would take more than it may once it is decompressed."""


def decompressed(body: bytes, max_bytes: int) -> bytes:
    """Return what a block holds.

    Raises:
        TooLargeError: it says that it holds more than `max_bytes`.
        MalformedError: it is no block.

    """
    size, _ = varint(body, 0, min(len(body), _MAX_SIZE_BYTES))
    if size > max_bytes:
        raise TooLargeError(f"{size} bytes decompressed; at most {max_bytes}: send fewer samples at a time")
    plain = bytearray(size)
    try:
        written = cramjam.snappy.decompress_raw_into(body, plain)
    except cramjam.DecompressionError as error:
        raise MalformedError(f"the body is no snappy block: {error}") from error
    if written != size:
        raise MalformedError(f"the body holds {written} bytes instead of the {size} that it says")
    return bytes(plain)
