import asyncio
import datetime as dt
import ipaddress
import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import pytest
import typer
from aiokafka.admin import NewTopic
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from abdrift import frames, kafka, provision, topics
from abdrift.broker import EmbeddedBroker, ports
from abdrift.cli.kafka import with_kafka
from abdrift.kafka import KafkaSettings, KafkaUnreachableError, SettingsError, environment_name
from abdrift.partitions import partition_of
from abdrift.signals.objects import OBJECTS, HeartbeatDetail, ObjectRow, Op, columns_of, encode_detail
from streams.commit import NOBODY, Owner
from streams.preparation import changelog_topic

PASSWORD = 's3cret, of "course" \\o/'
KEY_PASSWORD = "opens the key"
SASL = {"sasl_mechanism": "PLAIN", "sasl_username": "alice", "sasl_password": PASSWORD}


def load(
    options: dict[str, Any] | None = None,
    *,
    environ: dict[str, str] | None = None,
    properties: Path | None = None,
) -> KafkaSettings:
    return KafkaSettings.load(options, environ=environ or {}, properties=properties)


def test_options_win_over_the_environment_and_that_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers=file:1\nclient.id=file\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n")
    settings = load(
        {"bootstrap_servers": "option:1", "client_id": None},
        environ={
            "ABDRIFT_KAFKA": "env:1",
            "ABDRIFT_KAFKA_SASL_USERNAME": "alice",
            "ABDRIFT_KAFKA_SASL_PASSWORD": "x",
            "ABDRIFT_KAFKA_CONFIG": str(file),
        },
    )
    assert settings.bootstrap_servers == "option:1"
    assert settings.client_id == "file"
    assert settings.sasl_username == "alice"
    assert settings.client_arguments()["sasl_plain_password"] == "x"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"bootstrap_servers": "kafka"}, "'kafka' in bootstrap_servers is not host:port", id="no-port"),
        pytest.param({"bootstrap_servers": "a:1,b:x"}, "'b:x'", id="second-server-without-port"),
        pytest.param({"bootstrap_servers": "a:70000"}, "'a:70000'", id="port-out-of-range"),
        pytest.param({"security_protocol": "TLS"}, "ABDRIFT_KAFKA_SECURITY_PROTOCOL", id="unknown-protocol"),
        pytest.param({"ssl_cafile": "/no/such"}, "ABDRIFT_KAFKA_SSL_CAFILE", id="file-missing"),
        pytest.param({"ssl_cafile": "/dev/../etc/hosts"}, "ssl_cafile is set without TLS", id="tls-file-without-tls"),
        pytest.param(SASL, "set without SASL", id="login-without-sasl"),
        pytest.param({"security_protocol": "SASL_SSL"}, "needs sasl_mechanism", id="sasl-without-login"),
        pytest.param(
            {"security_protocol": "SASL_SSL", **SASL, "sasl_password": None}, "SASL_PASSWORD", id="no-password"
        ),
        pytest.param({"security_protocol": "SASL_SSL", **SASL, "sasl_mechanism": "GSSAPI"}, "SCRAM", id="mechanism"),
        pytest.param({"security_protocol": "SSL", "ssl_keyfile": "/etc/hosts"}, "certificate too", id="key-alone"),
    ],
)
def test_contradictions_are_refused_in_words(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as refused:
        load(options)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param("bootstrap.servers = a:1,b:2 \n", {"bootstrap_servers": "a:1,b:2"}, id="blanks-around"),
        pytest.param("# x\n! y\n\nclient.id:me\nacks=all\n", {"client_id": "me"}, id="comments-and-others-keys"),
        pytest.param("bootstrap.servers=a:1,\\\n    b:2\n", {"bootstrap_servers": "a:1,b:2"}, id="continued-line"),
        pytest.param("sasl.password= a \n", {"sasl_password": "a "}, id="a-passwords-last-blank"),
        pytest.param("sasl.password=a\\u0062\\=c\n", {"sasl_password": "ab=c"}, id="escapes"),
        pytest.param(
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n"
            '  username="alice" \\\n  password="p\\\\"q";\nsasl.mechanism=SCRAM-SHA-512\n',
            {"sasl_username": "alice", "sasl_password": 'p"q', "sasl_mechanism": "SCRAM-SHA-512"},
            id="jaas",
        ),
        pytest.param(
            "ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem\nssl.keystore.type=pem\n"
            "ssl.keystore.location=/me.pem\nssl.key.password=k\nssl.endpoint.identification.algorithm=\n",
            {
                "ssl_cafile": "/ca.pem",
                "ssl_certfile": "/me.pem",
                "ssl_key_password": "k",
                "ssl_check_hostname": False,
            },
            id="pem-stores",
        ),
        pytest.param(
            "sasl.mechanisms=PLAIN\nssl.ca.location=/ca\nssl.certificate.location=/c\nssl.key.location=/k\n",
            {"sasl_mechanism": "PLAIN", "ssl_cafile": "/ca", "ssl_certfile": "/c", "ssl_keyfile": "/k"},
            id="librdkafka",
        ),
    ],
)
def test_properties_files(tmp_path: Path, text: str, fields: dict[str, Any]) -> None:
    file = tmp_path / "client.properties"
    file.write_text(text)
    assert kafka.read_properties(file) == fields


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("ssl.truststore.location=/x.jks", "Convert it to PEM", id="java-key-store"),
        pytest.param("sasl.kerberos.service.name=kafka", "sasl.kerberos.service.name can't", id="kerberos"),
        pytest.param(None, "can't be read", id="no-file"),
    ],
)
def test_properties_that_cannot_be_honoured(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "client.properties"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=says):
        kafka.read_properties(file)


def test_secrets_do_not_show() -> None:
    settings = load({"security_protocol": "SASL_PLAINTEXT", **SASL})
    assert PASSWORD not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        pytest.param(["--kafka", "a:1", "--loud"], 0, "a:1 True", id="option"),
        pytest.param([], 0, "env:1 False", id="environment"),
        pytest.param(["--kafka", "a"], 2, "host:port", id="refused-as-usage"),
    ],
)
def test_one_decorator_gives_a_command_its_options(
    arguments: list[str], exit_code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABDRIFT_KAFKA", "env:1")
    app = typer.Typer()

    @app.command()
    @with_kafka
    def show(*, kafka: KafkaSettings, loud: bool = False) -> None:
        typer.echo(f"{kafka.bootstrap_servers} {loud}")

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == exit_code
    assert says in result.output


@dataclass(frozen=True)
class Certificates:
    """A CA, the broker's store of certificate and key, and a client's with an encrypted key."""

    ca: Path
    broker: Path
    client: Path
    client_key: Path
    stranger_ca: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    found = Certificates(*(folder / name for name in ("ca.pem", "broker.pem", "client.pem", "client.key", "no.pem")))
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("ca", ca_key, None)
    found.ca.write_bytes(_pem(ca))
    found.stranger_ca.write_bytes(_pem(_certificate("ca", ec.generate_private_key(ec.SECP256R1()), None)))
    broker_key, client_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    found.broker.write_bytes(
        _private(broker_key, serialization.NoEncryption()) + _pem(_certificate("broker", broker_key, (ca, ca_key)))
    )
    found.client.write_bytes(_pem(_certificate("client", client_key, (ca, ca_key))))
    locked = serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
    found.client_key.write_bytes(_private(client_key, locked))
    return found


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ports.HOST))]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """The address of a listener that wants TLS, a client's certificate and a password."""
    address = f"{ports.HOST}:{ports.choose()}"
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    extra = {
        "listeners": f"SASL_SSL://{address}",
        "advertised.listeners": f"SASL_SSL://{address}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="{quoted}";'
        ),
        "ssl.client.auth": "required",
        # A SASL listener asks for certificates only if told so by its own name.
        "listener.name.sasl_ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.broker),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.ca),
    }
    with EmbeddedBroker(tmp_path_factory.mktemp("secured"), extra_properties=extra):
        yield address


@pytest.fixture
def secrets(secured: str, certificates: Certificates) -> Callable[..., KafkaSettings]:
    def settings(**changed: Any) -> KafkaSettings:
        return KafkaSettings(
            **{
                "bootstrap_servers": secured,
                "security_protocol": "SASL_SSL",
                "ssl_cafile": certificates.ca,
                "ssl_certfile": certificates.client,
                "ssl_keyfile": certificates.client_key,
                "ssl_key_password": KEY_PASSWORD,
                **SASL,
                **changed,
            }
        )

    return settings


@pytest.mark.parts
async def test_records_pass_through_tls_and_sasl(secrets: Callable[..., KafkaSettings]) -> None:
    settings, value = secrets(), os.urandom(1000)
    async with kafka.admin(settings) as admin:
        await admin.create_topics([NewTopic("secured", num_partitions=3, replication_factor=1)])
    async with kafka.producer(settings) as producer:
        await producer.send_and_wait("secured", value, partition=2)
    async with kafka.consumer(settings, "secured") as consumer:
        assert (await consumer.getone()).value == value
    assert await kafka.partition_count(settings, "secured") == 3


@pytest.mark.parts
async def test_a_worker_reads_keeps_and_says_through_tls_and_sasl(
    secrets: Callable[..., KafkaSettings], tmp_path: Path
) -> None:
    settings = secrets()
    await provision.create(settings, partitions=2, replication=1)
    heartbeat = HeartbeatDetail(cluster_uid="u", interval_ms=60_000, started_ms=1)
    row = ObjectRow(cluster="edge", op=Op.HEARTBEAT, observed_ms=1, detail=encode_detail(heartbeat))
    frame = frames.encode(OBJECTS, columns_of([row]), ("kubernetes/edge", 1, 1))
    partition = partition_of("edge", 2)
    async with kafka.producer(settings) as producer:
        await producer.send_and_wait(topics.OBJECTS.name, frame.value, partition=partition, headers=list(frame.headers))
    given = {name: str(value) for name, value in settings.model_dump(exclude_defaults=True).items()}
    given |= {"ssl_key_password": KEY_PASSWORD, "sasl_password": PASSWORD}
    command = [sys.executable, "-m", "abdrift", "worker", "drift", "--data", str(tmp_path), "--keys", str(tmp_path)]
    environment = {environment_name(field): value for field, value in given.items()}
    with (tmp_path / "worker.log").open("wb") as log:
        worker = await asyncio.create_subprocess_exec(*command, env=os.environ | environment, stdout=log, stderr=log)
    try:
        async with kafka.consumer(settings, topics.FLEET_INVENTORY.name) as consumer, asyncio.timeout(60):
            said = await consumer.getone()
        worker.terminate()
        assert await worker.wait() == 0
        assert json.loads(said.value)["cluster"] == "edge"
        async with kafka.consumer(settings, changelog_topic("drift")) as consumer, asyncio.timeout(60):
            assert Owner.of((await consumer.getone()).headers) != NOBODY
    except TimeoutError:
        raise AssertionError((tmp_path / "worker.log").read_text()) from None
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


@pytest.mark.parts
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"sasl_password": "wrong"}, id="wrong-password"),
        pytest.param({"ssl_certfile": None, "ssl_keyfile": None}, id="no-client-certificate"),
        pytest.param({"security_protocol": "PLAINTEXT", **dict.fromkeys(SASL)}, id="no-tls"),
        pytest.param({"ssl_cafile": "stranger"}, id="unknown-authority"),
    ],
)
async def test_who_may_not_in_is_told_where_to_look(
    secrets: Callable[..., KafkaSettings], certificates: Certificates, changed: dict[str, Any]
) -> None:
    if changed.get("ssl_cafile") == "stranger":
        changed = {"ssl_cafile": certificates.stranger_ca}
    if changed.get("security_protocol") == "PLAINTEXT":
        changed |= dict.fromkeys(("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password"))
    with pytest.raises(KafkaUnreachableError, match=r"lets this client in.* credentials and the certificates"):
        async with kafka.admin(secrets(**changed), request_timeout_ms=3000):
            pass


def test_files_that_are_no_certificates_are_refused(tmp_path: Path, certificates: Certificates) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    locked = {"ssl_certfile": certificates.client, "ssl_keyfile": certificates.client_key}
    for fields in ({"ssl_cafile": tmp_path / "ca.pem"}, {**locked, "ssl_key_password": "wrong"}, locked):
        with pytest.raises(SettingsError, match="must be PEM files"):
            KafkaSettings(security_protocol="SSL", **fields).ssl_context()


@pytest.mark.parametrize(
    ("fields", "kind", "mechanism"),
    [
        pytest.param({}, None, None, id="plain"),
        pytest.param({"security_protocol": "SSL"}, faust.SSLCredentials, None, id="tls"),
        pytest.param(
            {"security_protocol": "SASL_SSL", **SASL, "sasl_mechanism": "SCRAM-SHA-512"},
            faust.SASLCredentials,
            "SCRAM-SHA-512",
            id="sasl",
        ),
    ],
)
def test_faust_takes_the_credentials(fields: dict[str, Any], kind: type | None, mechanism: str | None) -> None:
    settings = KafkaSettings(bootstrap_servers="a:1,b:2", **fields)
    assert settings.faust_broker() == ["kafka://a:1", "kafka://b:2"]
    told = settings.faust_credentials()
    if kind is None:
        assert told is None
        return
    assert told is not None
    credentials = getattr(faust, told[0])(**told[1])
    assert isinstance(credentials, kind)
    assert credentials.protocol.value == settings.security_protocol
    if mechanism:
        assert credentials.mechanism.value == mechanism
        assert isinstance(credentials.ssl_context, ssl.SSLContext)
