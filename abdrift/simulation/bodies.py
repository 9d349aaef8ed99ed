"""Request bodies, held to a bound."""

from aiohttp import web


async def read_body(request: web.BaseRequest, limit_bytes: int) -> bytes | None:
    """Read a whole body (unpacked if it was sent compressed), None once it exceeds the limit."""
    body = bytearray()
    while chunk := await request.content.read(limit_bytes + 1 - len(body)):
        body += chunk
        if len(body) > limit_bytes:
            return None
    return bytes(body)
