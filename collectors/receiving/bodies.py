"""Bodies: read within a size, unpacked within a size, and parsed."""

import zlib
from typing import TypeVar

import msgspec
import pyarrow as pa
from aiohttp import web

from collectors.receiving.handlers import Received, RefusedError

S = TypeVar("S", bound=msgspec.Struct)

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_DEFLATE = -zlib.MAX_WBITS


async def read(request: web.BaseRequest, max_bytes: int) -> bytes:
    """Return a request's whole body as it was sent; the caller bounds the time.

    Raises:
        RefusedError: it is too large (413) or cut short (400).

    """
    body = bytearray()
    try:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > max_bytes:
                raise too_large(max_bytes)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise RefusedError(400, "cut-short", "the body was cut short") from error
    return bytes(body)


def too_large(max_bytes: int) -> RefusedError:
    """Return the refusal of a body that is larger than it may be."""
    return RefusedError(413, "too-large", f"the body is larger than {max_bytes} bytes")


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its Content-Encoding, which is gzip, deflate, zstd, identity or absent.

    Raises:
        RefusedError: another encoding (415), damaged (400), or larger than `max_bytes` once unpacked (413).

    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _inflated(body, _GZIP_OR_ZLIB, max_bytes)
        case "deflate":
            # Senders disagree about zlib's header: a first byte of 0x?8 with a fitting second one is its mark.
            marked = len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
            return _inflated(body, _GZIP_OR_ZLIB if marked else _DEFLATE, max_bytes)
        case "zstd":
            return _unpacked_zstd(body, max_bytes)
        case _:
            raise RefusedError(415, "encoding", "Content-Encoding must be gzip, deflate, zstd or identity")


def parsed_json(request: Received, model: type[S], max_bytes: int) -> S:
    """Return a request's body, unpacked, as the JSON object that `model` describes.

    Raises:
        RefusedError: it is none (400), or as `unpacked` says.

    """
    body = unpacked(request.body, request.headers.get("Content-Encoding", ""), max_bytes)
    try:
        return msgspec.json.decode(body, type=model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, "malformed", f"the body is not what was expected: {error}") from error


def _inflated(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    plain = bytearray()
    try:
        # A gzip body may be several members in a row.
        while body:
            member = zlib.decompressobj(window_bits)
            plain += member.decompress(body, max_bytes + 1 - len(plain))
            _check_size(len(plain), max_bytes)
            if not member.eof:
                raise RefusedError(400, "malformed", "the compressed body is cut short")
            body = member.unused_data
    except zlib.error as error:
        raise _damaged(error) from error
    return bytes(plain)


def _unpacked_zstd(body: bytes, max_bytes: int) -> bytes:
    try:
        # Read as a stream, which takes no more memory than is asked for, whatever the frame promises.
        with pa.input_stream(pa.py_buffer(body), compression="zstd") as stream:
            plain: bytes = stream.read(max_bytes + 1)
    except OSError as error:
        raise _damaged(error) from error
    _check_size(len(plain), max_bytes)
    return plain


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise RefusedError(413, "too-large", f"the body is larger than {max_bytes} bytes once unpacked")


def _damaged(error: Exception) -> RefusedError:
    return RefusedError(400, "malformed", f"the body is not what its Content-Encoding says: {error}")
