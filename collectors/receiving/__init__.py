"""What every receiver shares: listening, TLS, who may send what, limits, health pages and a graceful end.

Senders push into it: Prometheus, Logstash, Alertmanager, Flux. A collector that receives implements `HttpHandler` (one
request, one answer) or `StreamHandler` (a plain TCP protocol) from `handlers`, and is added in three steps:

1. `collectors/<noun>/` has `build = builder(model, handler)`: `model` describes the section `handlers.<name>` of the
   configuration file, and `handler` is called with what the section says and a `Wiring`, what it works with
   (`Wiring.outlet.deliver(rows)` returns once Kafka has acknowledged every row). Most are an `Endpoint` of one path.
2. `abdrift/cli/receive.py` names `build` in its table `HANDLERS`, and what a user may set in its example.
3. `handle(request)` answers with an `Answer`, or raises `RefusedError` with a status and a reason from a fixed set.

By then the sender is known (`request.client`), within its limits, and its body is read and capped. What is left to a
handler: its protocol, and asking `request.client.cluster_of(name)` for which cluster each row is. What it raises
besides becomes the protocols' common ground: rows that Kafka will never take are 413, a framer that stops or an answer
that takes too long is 503 with Retry-After, anything else 500, counted and logged.

`handlers` is what a collector implements, `endpoints` the common form of it. `config` is what users set, `clients` who
they are, `limits` and `gate` how much they may, `server` listens, `requests` is the HTTP side and `streams` the TCP
side, `bodies` reads and unpacks what was sent, `tls` knows the certificates.

Forbidden here: any protocol of a sender, and Kafka's client.
"""

from collectors.receiving.clients import Client, NotItsClusterError
from collectors.receiving.config import ReceiverConfig, UrlPath
from collectors.receiving.endpoints import Endpoint, EndpointConfig, builder
from collectors.receiving.handlers import (
    Answer,
    AuthKind,
    Connection,
    Handler,
    HttpHandler,
    Received,
    RefusedError,
    StreamHandler,
    Wiring,
)
from collectors.receiving.server import Receiver

__all__ = [
    "Answer",
    "AuthKind",
    "Client",
    "Connection",
    "Endpoint",
    "EndpointConfig",
    "Handler",
    "HttpHandler",
    "NotItsClusterError",
    "Received",
    "Receiver",
    "ReceiverConfig",
    "RefusedError",
    "StreamHandler",
    "UrlPath",
    "Wiring",
    "builder",
]
