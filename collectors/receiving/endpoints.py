"""What most receivers are made of: an endpoint of one path, and how a handler comes of its section of the file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from abdrift import configuration
from abdrift.configuration import ConfigurationError, Settings
from collectors.receiving.config import UrlPath
from collectors.receiving.handlers import Answer, AuthKind, Handler, Received, Wiring


class EndpointConfig(Settings):
    """What a user sets for an endpoint. What extends it gives the path a default."""

    path: UrlPath


C = TypeVar("C", bound=BaseModel)
E = TypeVar("E", bound=EndpointConfig)
H = TypeVar("H", bound=Handler)


class Endpoint(ABC, Generic[E]):
    """An `HttpHandler` of one path, which takes POST of whom a header or a certificate proves."""

    methods = frozenset({"POST"})
    auth = frozenset({AuthKind.AUTHORIZATION, AuthKind.COMMON_NAME})

    def __init__(self, config: E, wiring: Wiring) -> None:
        self.name = wiring.name
        self.paths = (config.path,)
        self._config = config
        self._wiring = wiring

    @abstractmethod
    async def handle(self, request: Received) -> Answer:
        """Answer a request, as `HttpHandler.handle`."""


def builder(model: type[C], handler: Callable[[C, Wiring], H]) -> Callable[[Mapping[str, Any], Wiring], H]:
    """Return a collector's `build`: it reads its section of the configuration by `model`, and makes a handler of that.

    `build` raises ConfigurationError where the section says what cannot be, or the handler finds that it can't be used.
    """

    def build(settings: Mapping[str, Any], wiring: Wiring) -> H:
        place = f"handlers.{wiring.name}"
        config = configuration.section(model, place, settings)
        try:
            return handler(config, wiring)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}.{error}") from error

    return build
