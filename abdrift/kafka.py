"""How Abdrift reaches Kafka: one set of settings, and the clients made from it.

Settings come from the command line, else from `ABDRIFT_KAFKA*` variables, else from a properties file as Java's
or librdkafka's clients read it. Nothing here imports Faust; `faust_credentials` says what to build from it.
"""

import asyncio
import contextlib
import functools
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context
from pydantic import BaseModel, ConfigDict, FilePath, SecretStr, ValidationError, model_validator

FRAME_MAX_BYTES: Final = 8 * 1024 * 1024
"""The largest record that Abdrift sends: one frame."""

_FETCH_HEADROOM_BYTES: Final = 64 * 1024
_METADATA_SECONDS: Final = (0.1, 1.0)
"""Between two questions for metadata, and at most where brokers do not answer."""
_STOP_SECONDS: Final = 10.0
"""For a client to end in. A producer would wait for a broker that is away, for as long as it is."""

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class SettingsError(ValueError):
    """The settings can't be read, or contradict each other; the message names the way out."""


class KafkaUnreachableError(ConnectionError):
    """No broker answers under these settings, or none lets this client in."""


class TopicMissingError(LookupError):
    """The cluster has no such topic."""


class KafkaSettings(BaseModel):
    """Where a Kafka cluster is, and who asks. Files are PEM.

    Raises:
        pydantic.ValidationError: what is set contradicts itself; `load` raises `SettingsError` instead.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    ssl_cafile: FilePath | None = None
    ssl_certfile: FilePath | None = None
    ssl_keyfile: FilePath | None = None
    ssl_key_password: SecretStr | None = None
    ssl_check_hostname: bool = True
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    client_id: str = "abdrift"

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        """Whether the client names itself by SASL."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for server in self.bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 2**16:
                raise ValueError(f"{server.strip()!r} in bootstrap_servers is not host:port")
        given = self.model_fields_set - {"ssl_check_hostname"}
        tls = {name for name in given if name.startswith("ssl_") and getattr(self, name) is not None}
        sasl = {name for name in given if name.startswith("sasl_") and getattr(self, name) is not None}
        if tls and not self.uses_tls:
            raise ValueError(f"{_listed(tls)} set without TLS: set security_protocol to SSL or SASL_SSL")
        if sasl and not self.uses_sasl:
            raise ValueError(f"{_listed(sasl)} set without SASL: set security_protocol to SASL_SSL or SASL_PLAINTEXT")
        if self.uses_sasl and not (self.sasl_mechanism and self.sasl_username and self.sasl_password):
            raise ValueError(
                f"{self.security_protocol} needs sasl_mechanism, sasl_username and sasl_password "
                "(the password by ABDRIFT_KAFKA_SASL_PASSWORD or a properties file)"
            )
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ValueError("ssl_keyfile set without ssl_certfile: name the client's certificate too")
        return self

    @classmethod
    def load(
        cls,
        options: Mapping[str, Any] | None = None,
        *,
        properties: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Self:
        """Merge settings by field: `options` (None is unset) over the environment over a properties file.

        Fields are named in the environment as `environment_name` says. `properties` None takes the file that
        `ABDRIFT_KAFKA_CONFIG` names, if it does.

        Raises:
            SettingsError: a source can't be read, or the whole contradicts itself.

        """
        if properties is None and (named := environ.get("ABDRIFT_KAFKA_CONFIG")):
            properties = Path(named)
        merged: dict[str, Any] = {} if properties is None else read_properties(properties)
        merged |= {field: environ[name] for field in cls.model_fields if environ.get(name := environment_name(field))}
        merged |= {field: value for field, value in (options or {}).items() if value is not None}
        try:
            return cls(**merged)
        except ValidationError as error:
            raise SettingsError(_in_words(error)) from error

    def ssl_context(self) -> ssl.SSLContext | None:
        """Build the TLS context; None without TLS. The system's authorities are trusted if no file is named.

        Raises:
            SettingsError: a file is no PEM, or the key does not open with the password.

        """
        if not self.uses_tls:
            return None
        try:
            context: ssl.SSLContext = create_ssl_context(
                cafile=self.ssl_cafile and str(self.ssl_cafile),
                certfile=self.ssl_certfile and str(self.ssl_certfile),
                keyfile=self.ssl_keyfile and str(self.ssl_keyfile),
                # Without a callable, OpenSSL asks the terminal for the password of an encrypted key.
                password=functools.partial(_revealed, self.ssl_key_password),
            )
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                f"Kafka's TLS files can't be used: {error}. ssl_cafile, ssl_certfile and ssl_keyfile must be PEM "
                "files, and ssl_key_password the password of an encrypted key."
            ) from error
        context.check_hostname = self.ssl_check_hostname
        return context

    def client_arguments(self) -> dict[str, Any]:
        """Return the arguments that any of aiokafka's clients takes; a TLS context is built at each call."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.uses_sasl:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": _revealed(self.sasl_password),
            }
        return arguments

    def faust_broker(self) -> list[str]:
        """Return the `broker` argument of a Faust app."""
        return [f"kafka://{server.strip()}" for server in self.bootstrap_servers.split(",")]

    def faust_credentials(self) -> tuple[Literal["SASLCredentials", "SSLCredentials"], dict[str, Any]] | None:
        """Name the class of `faust` that a Faust app's `broker_credentials` is of, and its arguments."""
        if self.uses_sasl:
            return "SASLCredentials", {
                "mechanism": self.sasl_mechanism,
                "username": self.sasl_username,
                "password": _revealed(self.sasl_password),
                "ssl_context": self.ssl_context(),
            }
        return ("SSLCredentials", {"context": self.ssl_context()}) if self.uses_tls else None


def environment_name(field: str) -> str:
    """Return the variable that sets a field: `ABDRIFT_KAFKA` for the servers, `ABDRIFT_KAFKA_FIELD` otherwise."""
    return "ABDRIFT_KAFKA" if field == "bootstrap_servers" else f"ABDRIFT_KAFKA_{field.upper()}"


@contextlib.asynccontextmanager
async def producer(settings: KafkaSettings, **overrides: Any) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a started producer: idempotent, acknowledged by all replicas, uncompressed (frames already are).

    Raises:
        KafkaUnreachableError: no broker lets it in.

    """
    arguments = {
        "enable_idempotence": True,
        "acks": "all",
        "max_request_size": FRAME_MAX_BYTES,
        **settings.client_arguments(),
        **overrides,
    }
    async with _started(AIOKafkaProducer(**arguments), settings) as client:
        yield client


@contextlib.asynccontextmanager
async def consumer(settings: KafkaSettings, *topics: str, **overrides: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a started consumer that begins at the oldest record and commits nothing by itself.

    Raises:
        KafkaUnreachableError: no broker lets it in.

    """
    arguments = {
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "max_partition_fetch_bytes": FRAME_MAX_BYTES + _FETCH_HEADROOM_BYTES,
        **settings.client_arguments(),
        **overrides,
    }
    async with _started(AIOKafkaConsumer(*topics, **arguments), settings) as client:
        yield client


@contextlib.asynccontextmanager
async def admin(settings: KafkaSettings, **overrides: Any) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield a started admin client.

    Raises:
        KafkaUnreachableError: no broker lets it in.

    """
    client = AIOKafkaAdminClient(**{**settings.client_arguments(), **overrides})
    async with _started(client, settings) as started:
        yield started


@dataclass(frozen=True, slots=True)
class Layout:
    """What a Kafka cluster holds, as far as this client may see it."""

    servers: str
    cluster_id: str | None
    """None where the broker is too old to say."""
    partitions: Mapping[str, int]
    """How many, by topic."""

    def count(self, topic: str) -> int:
        """Return a topic's number of partitions.

        Raises:
            TopicMissingError: there is no such topic, or this client may not see it.

        """
        if topic not in self.partitions:
            raise TopicMissingError(
                f"{self.servers} has no topic {topic} that this client may see. "
                "Create it (`abdrift topics create`), or grant DESCRIBE on it."
            )
        return self.partitions[topic]


async def layout(settings: KafkaSettings) -> Layout:
    """Return what the Kafka cluster holds.

    Raises:
        KafkaUnreachableError: no broker lets this client in.

    """
    async with admin(settings) as client:
        # All are asked for: to ask for one by name creates it, on clusters that create what they are asked for.
        topics = await client.describe_topics()
        described = await client.describe_cluster()
    counts = {each["topic"]: len(each["partitions"]) for each in topics}
    return Layout(settings.bootstrap_servers, described.get("cluster_id"), counts)


async def partition_count(settings: KafkaSettings, topic: str) -> int:
    """Return a topic's number of partitions.

    Raises:
        KafkaUnreachableError: no broker lets this client in.
        TopicMissingError: there is no such topic, or this client may not see it.

    """
    return (await layout(settings)).count(topic)


async def partitions(settings: KafkaSettings, topic: str) -> list[TopicPartition]:
    """Return a topic's partitions, in order, as consumers are given them. Raises as `partition_count`."""
    return [TopicPartition(topic, partition) for partition in range(await partition_count(settings, topic))]


@contextlib.asynccontextmanager
async def _started(client: Any, settings: KafkaSettings) -> AsyncIterator[Any]:
    stop = client.close if isinstance(client, AIOKafkaAdminClient) else client.stop
    _pace(client._client if not isinstance(client, AIOKafkaProducer) else client.client)  # noqa: SLF001  see there
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(_in_time, stop)
        try:
            await client.start()
        except KafkaError as error:
            # Of a list of servers of which none lets it in, aiokafka only says the list again, as Python has it.
            why = "" if "Unable to bootstrap" in str(error) else f": {error}"
            raise KafkaUnreachableError(
                f"No Kafka broker at {settings.bootstrap_servers} ({settings.security_protocol}) lets this client "
                f"in{why}. Name it with --kafka or ABDRIFT_KAFKA; check the security protocol, the credentials and "
                "the certificates. `abdrift broker` runs a broker here."
            ) from error
        yield client


def _pace(client: AIOKafkaClient) -> None:
    """Have a client wait before it asks for metadata again.

    While a partition has no leader, or a broker that was asked to stop has said so last, aiokafka's producer asks
    without a pause: thousands of times a second, each with its lines in the log, for as long as that lasts.
    """
    ask, loop = client._metadata_update, asyncio.get_running_loop()  # noqa: SLF001  there is no setting for it
    least_seconds, most_seconds = _METADATA_SECONDS
    earliest, pause_seconds = 0.0, least_seconds

    async def paced(cluster: Any, topics: Any) -> bool:
        nonlocal earliest, pause_seconds
        await asyncio.sleep(earliest - loop.time())
        is_told = bool(await ask(cluster, topics))
        pause_seconds = least_seconds if is_told else min(2 * pause_seconds, most_seconds)
        earliest = loop.time() + pause_seconds
        return is_told

    client._metadata_update = paced  # noqa: SLF001


async def _in_time(stop: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await stop()


# Properties files -----------------------------------------------------------------------------------------------

_PLAIN_KEYS: Final[Mapping[str, str]] = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "client.id": "client_id",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "ssl.truststore.location": "ssl_cafile",
    "ssl.ca.location": "ssl_cafile",
    "ssl.keystore.location": "ssl_certfile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_key_password",
}
_STORE_TYPES: Final = ("ssl.truststore", "ssl.keystore")
_HANDLED_APART: Final = frozenset(
    {"sasl.jaas.config", "ssl.endpoint.identification.algorithm", *(f"{store}.type" for store in _STORE_TYPES)}
)
_JAAS: Final = re.compile(r'\b(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"')


def read_properties(path: Path) -> dict[str, Any]:
    """Read a client's properties file into fields of `KafkaSettings`.

    Keys that have nothing to do with reaching the cluster (`acks`, `linger.ms`, ...) are for other clients and
    are passed over; one of `ssl.` or `sasl.` that can't be honoured is an error, never passed over.

    Raises:
        SettingsError: the file can't be read, or asks for what this client can't do.

    """
    try:
        properties = dict(_parsed(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}. Name a properties file of Kafka clients.") from error
    unknown = sorted(
        key
        for key in properties
        if key.startswith(("ssl.", "sasl.")) and key not in _PLAIN_KEYS and key not in _HANDLED_APART
    )
    if unknown:
        raise SettingsError(f"{path}: {', '.join(unknown)} can't be honoured. Remove what is not needed.")
    for store in _STORE_TYPES:
        if f"{store}.location" in properties and properties.get(f"{store}.type", "JKS").upper() != "PEM":
            raise SettingsError(
                f"{path}: {store}.location is a Java key store. Convert it to PEM (keytool -importkeystore to "
                f"PKCS12, then openssl pkcs12) and set {store}.type=PEM."
            )
    fields: dict[str, Any] = {field: properties[key] for key, field in _PLAIN_KEYS.items() if key in properties}
    if properties.get("ssl.endpoint.identification.algorithm", "https") == "":
        fields["ssl_check_hostname"] = False
    jaas = {f"sasl_{name}": value for name, value in _JAAS.findall(properties.get("sasl.jaas.config", ""))}
    return fields | {name: re.sub(r"\\(.)", r"\1", value) for name, value in jaas.items()}


def _parsed(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a Java properties file: comments, continued lines, `=`, `:` or blanks between."""
    joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\n[ \t\f]*", r"\1", text)
    for raw in joined.splitlines():
        line = raw.lstrip()
        if not line or line[0] in "#!":
            continue
        match = re.match(r"((?:[^\\=:\s]|\\.)+)\s*[=:]?\s*(.*)", line)
        if match:
            key, value = _unescaped(match[1]), _unescaped(match[2])
            # As Kafka's own configuration does: what ends a password may be meant.
            yield key, value if key.endswith("password") else value.strip()


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) > 1 else {"n": "\n", "t": "\t", "r": "\r"}.get(escape, escape)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text)


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _listed(names: Any) -> str:
    ordered = sorted(names)
    return f"{', '.join(ordered)} {'is' if len(ordered) == 1 else 'are'}"


def _in_words(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in problem["loc"])
        named = f"{field} ({environment_name(field)}): " if field else ""
        problems.append(named + problem["msg"].removeprefix("Value error, "))
    return "Kafka's settings: " + "; ".join(problems) + "."
