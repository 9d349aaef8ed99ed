"""One HTTP request: who sends it, whether it may, its body, and the answer."""

import logging
from collections.abc import Callable, Mapping

from aiohttp import web

from abdrift.clock import ClockMs
from collectors.framing import NotDeliveredError
from collectors.receiving import bodies, telemetry, tls
from collectors.receiving.clients import Client, NotItsClusterError
from collectors.receiving.gate import Gate, draining
from collectors.receiving.handlers import Answer, AuthKind, HttpHandler, Received, RefusedError

log = logging.getLogger(__name__)

_SIGNATURE = "X-Signature"
_RETRY_SECONDS = "5"
_NO_HANDLER = "none"
HEALTH_PATHS = ("/healthz", "/readyz")


class Requests:
    """Answers every request. What a handler raises ends with its request."""

    def __init__(
        self, gate: Gate, handlers: Mapping[str, HttpHandler], clock: ClockMs, unready: Callable[[], str]
    ) -> None:
        """`handlers` by path; `unready` returns why the receiver is not ready, empty where it is."""
        self._gate = gate
        self._handlers = handlers
        self._clock = clock
        self._unready = unready

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        if request.path in HEALTH_PATHS:
            # Alive is who answers at all; a receiver that is not ready must not be started anew for it.
            why = self._unready() if request.path == "/readyz" else ""
            return web.Response(status=503 if why else 200, text=why or "ok")
        handler = self._handlers.get(request.path)
        name = handler.name if handler else _NO_HANDLER
        with telemetry.UNDER_WAY.labels(name).track_inprogress():
            try:
                answer = await self._taken(request, handler)
            except RefusedError as error:
                telemetry.REFUSED.labels(name, error.reason).inc()
                answer = Answer(error.status, error.message.encode(), headers=error.headers)
        telemetry.REQUESTS.labels(name, str(answer.status)).inc()
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Content-Type": answer.content_type, **answer.headers},
        )

    async def _taken(self, request: web.BaseRequest, handler: HttpHandler | None) -> Answer:
        if handler is None:
            raise RefusedError(404, "unknown-path", "no receiver has this path")
        if request.method not in handler.methods:
            allowed = ", ".join(sorted(handler.methods))
            raise RefusedError(405, "method", f"use {allowed}", {"Allow": allowed})
        client = self._proven(request, handler)
        if client is None and not self._may_sign(request, handler):
            raise _unknown()
        if client:
            self._gate.check_rate(client)
        limits = self._gate.config.limits
        length = request.content_length
        if (length or 0) > limits.body_bytes:
            raise bodies.too_large(limits.body_bytes)
        with self._gate.admitted(client, limits.body_bytes if length is None else length):
            body = await self._body(request)
            telemetry.BYTES.labels(handler.name).inc(len(body))
            if client is None:
                client = self._signer(request, body)
                self._gate.check_rate(client)
            self._gate.charge(client, len(body))
            if not client.may_use(handler.name):
                raise RefusedError(403, "not-allowed", f"client {client.name} may not use {handler.name}")
            return await self._handled(request, handler, client, body)

    async def _body(self, request: web.BaseRequest) -> bytes:
        limits = self._gate.config.limits
        try:
            async with self._gate.in_time(limits.body_seconds):
                return await bodies.read(request, limits.body_bytes)
        except TimeoutError as error:
            if self._gate.draining.is_set():
                raise draining() from error
            text = f"the body did not arrive within {limits.body_seconds:g} s"
            raise RefusedError(408, "slow-body", text) from error

    async def _handled(self, request: web.BaseRequest, handler: HttpHandler, client: Client, body: bytes) -> Answer:
        received = Received(
            client=client,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=body,
            received_ms=self._clock(),
        )
        again = {"Retry-After": _RETRY_SECONDS}
        try:
            with telemetry.SECONDS.labels(handler.name).time():
                async with self._gate.in_time(self._gate.config.limits.answer_seconds):
                    return await handler.handle(received)
        except RefusedError:
            raise
        except NotItsClusterError as error:
            raise RefusedError(403, "cluster", str(error)) from error
        except NotDeliveredError as error:
            if set(error.refused) - {"stopped"}:
                raise RefusedError(413, "kafka-refuses", "Kafka takes no record of this size") from error
            raise RefusedError(503, "not-delivered", "this receiver is about to end", again) from error
        except TimeoutError as error:
            raise RefusedError(503, "slow-answer", "Kafka did not acknowledge in time", again) from error
        except Exception as error:
            # A handler's mistake must not end its neighbours; it is logged whole and counted.
            log.exception("%s: a request of client %s failed", handler.name, client.name)
            raise RefusedError(500, "error", "the receiver failed; its log tells why") from error

    def _proven(self, request: web.BaseRequest, handler: HttpHandler) -> Client | None:
        """Return whom the connection or a header proves."""
        clients = self._gate.clients
        transport = request.transport
        found: Client | None = None
        if AuthKind.COMMON_NAME in handler.auth and transport:
            found = clients.by_common_name(tls.common_name(transport.get_extra_info("peercert")))
        if found is None and AuthKind.AUTHORIZATION in handler.auth:
            found = clients.by_authorization(request.headers.get("Authorization", ""))
        return found

    def _may_sign(self, request: web.BaseRequest, handler: HttpHandler) -> bool:
        """Return whether the body is worth reading to see who signed it."""
        named = request.query.get("client", "")
        return AuthKind.SIGNATURE in handler.auth and _SIGNATURE in request.headers and self._gate.clients.signs(named)

    def _signer(self, request: web.BaseRequest, body: bytes) -> Client:
        found = self._gate.clients.by_signature(request.query["client"], request.headers[_SIGNATURE], body)
        if found is None:
            raise _unknown()
        return found


def _unknown() -> RefusedError:
    return RefusedError(
        401,
        "unauthenticated",
        "no client is proven by this request",
        {"WWW-Authenticate": 'Basic realm="abdrift", charset="UTF-8"'},
    )
