"""The options by which every command is told of a Kafka cluster; one decorator adds them all."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from abdrift.kafka import KafkaSettings, SaslMechanism, SecurityProtocol, SettingsError, environment_name

_PANEL: Final = "Kafka"


def _option(field: str, flag: str, text: str) -> Any:
    return typer.Option(flag, help=text, envvar=environment_name(field), rich_help_panel=_PANEL)


# Passwords have no option: any user of a machine can read its command lines.
_OPTIONS: Final[dict[str, Any]] = {
    "bootstrap_servers": Annotated[
        str | None, _option("bootstrap_servers", "--kafka", "Servers, as host:port,host:port.")
    ],
    "security_protocol": Annotated[
        SecurityProtocol | None,
        _option("security_protocol", "--kafka-security-protocol", "How to connect."),
    ],
    "ssl_cafile": Annotated[Path | None, _option("ssl_cafile", "--kafka-ca-file", "Authorities to trust, PEM.")],
    "ssl_certfile": Annotated[
        Path | None, _option("ssl_certfile", "--kafka-cert-file", "The client's certificate, PEM.")
    ],
    "ssl_keyfile": Annotated[Path | None, _option("ssl_keyfile", "--kafka-key-file", "The client's private key, PEM.")],
    "sasl_mechanism": Annotated[
        SaslMechanism | None, _option("sasl_mechanism", "--kafka-sasl-mechanism", "How to log in.")
    ],
    "sasl_username": Annotated[
        str | None,
        _option(
            "sasl_username",
            "--kafka-sasl-username",
            "Who logs in. The password comes by ABDRIFT_KAFKA_SASL_PASSWORD or --kafka-config.",
        ),
    ],
}
_CONFIG: Final = Annotated[
    Path | None,
    typer.Option(
        "--kafka-config",
        help="A properties file of Kafka clients (Java's or librdkafka's keys).",
        envvar="ABDRIFT_KAFKA_CONFIG",
        rich_help_panel=_PANEL,
    ),
]


def with_kafka(command: Callable[..., None]) -> Callable[..., None]:
    """Give a typer command the Kafka options in place of its parameter `kafka: KafkaSettings`.

    Contradictory settings end the command with a usage error before it begins.
    """
    signature = inspect.signature(command, eval_str=True)
    assert "kafka" in signature.parameters, "the command has no parameter `kafka`"
    kept = [parameter for name, parameter in signature.parameters.items() if name != "kafka"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in {"kafka_config": _CONFIG, **_OPTIONS}.items()
    ]

    @functools.wraps(command)
    def wrapper(*args: Any, kafka_config: Path | None = None, **kwargs: Any) -> None:
        options = {name: kwargs.pop(name, None) for name in _OPTIONS}
        try:
            settings = KafkaSettings.load(options, properties=kafka_config)
        except SettingsError as error:
            raise typer.BadParameter(str(error), param_hint="--kafka...") from error
        command(*args, kafka=settings, **kwargs)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept] + added
    # typer reads both; functools.wraps made them the command's own.
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper
