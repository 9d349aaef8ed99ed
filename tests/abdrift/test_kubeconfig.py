"""Who speaks to which API server: kubeconfigs of every shape, and a Pod's ServiceAccount."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from abdrift import kubeconfig
from abdrift.kubeapi import Credentials, KubeApi
from abdrift.kubeconfig import KubeConfigError

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    """Write a kubeconfig of two contexts; `other` names a cluster of another address."""
    config = {
        "current-context": "main",
        "contexts": [
            {"name": "main", "context": {"cluster": "main", "user": "somebody"}},
            {"name": "other", "context": {"cluster": "other"}},
        ],
        "clusters": [
            {"name": "main", "cluster": {"server": "http://main:1/", **(cluster or {})}},
            {"name": "other", "cluster": {"server": "http://other:2"}},
        ],
        "users": [{"name": "somebody", "user": user or {}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config))
    return path


USERS = {
    "nobody": ({}, None),
    "token": ({"token": "t0ken"}, "Bearer t0ken"),
    "token-file-before-token": ({"tokenFile": "token", "token": "old"}, "Bearer from-file"),
    "basic": ({"username": "anna", "password": "p:w"}, f"Basic {base64.b64encode(b'anna:p:w').decode()}"),
    "basic-without-password": ({"username": "anna"}, f"Basic {base64.b64encode(b'anna:').decode()}"),
}


@pytest.mark.parametrize(("user", "header"), USERS.values(), ids=USERS)
def test_what_a_user_authenticates_by(user: dict[str, Any], header: str | None, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    access = kubeconfig.load(written(tmp_path, user=user))
    assert (access.server, access.ssl, access.authorization()) == ("http://main:1", None, header)


def test_a_context_is_chosen_by_name(tmp_path: Path) -> None:
    assert kubeconfig.load(written(tmp_path), "other").server == "http://other:2"


REFUSED = {
    "unknown-context": ({}, {}, "nowhere", "no context 'nowhere'"),
    "no-address": ({"server": "main:1"}, {}, None, "no http or https address"),
    "a-proxy": ({"proxy-url": "http://proxy"}, {}, None, "through a proxy"),
    "somebody-else": ({}, {"as": "root"}, None, "impersonates"),
    "no-token-file": ({}, {"tokenFile": "nowhere"}, None, "can't be read"),
    "no-base64": (
        {"server": "https://main:1", "certificate-authority-data": "?"},
        {},
        None,
        "certificates can't be used",
    ),
    "no-certificate": (
        {"server": "https://main:1", "certificate-authority-data": "Q0E="},
        {},
        None,
        "certificates can't be used",
    ),
    "no-authority-file": (
        {"server": "https://main:1", "certificate-authority": "nowhere"},
        {},
        None,
        "certificates can't be used",
    ),
    "a-plugin-that-is-not-there": (
        {},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}},
        None,
        "plugin",
    ),
}


@pytest.mark.parametrize(("cluster", "user", "context", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_refused(
    cluster: dict[str, Any], user: dict[str, Any], context: str | None, why: str, tmp_path: Path
) -> None:
    with pytest.raises(KubeConfigError, match=why):
        kubeconfig.load(written(tmp_path, cluster, user), context)


def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(
        '#!/bin/sh\necho \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        '"status": {"token": "by-plugin"}}\'\n'
    )
    plugin.chmod(0o755)
    given = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    access = kubeconfig.load(written(tmp_path, user={"exec": given}))
    assert (access.server, access.authorization()) == ("http://main:1", "Bearer by-plugin")


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    """What the kubelet mounts: files behind a link that it swaps."""
    ca, _ = issued("ca")
    for name, token in (("..1", "first"), ("..2", "second")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(ca)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("token", "ca.crt"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    return tmp_path


POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_a_pods_token_is_read_anew_once_it_was_rotated(service_account: Path) -> None:
    access = kubeconfig.in_cluster(POD, service_account)
    assert (access.server, access.authorization()) == ("https://10.0.0.1:443", "Bearer first")
    (service_account / "..new").symlink_to("..2")
    os.replace(service_account / "..new", service_account / "..data")  # noqa: PTH105  as the kubelet does
    assert access.authorization() == "Bearer second"


def test_the_last_token_serves_while_the_file_is_away(service_account: Path) -> None:
    access = kubeconfig.in_cluster(POD, service_account)
    (service_account / "..data").unlink()
    assert access.authorization() == "Bearer first"


def test_an_ipv6_address_is_bracketed(service_account: Path) -> None:
    access = kubeconfig.in_cluster({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account)
    assert access.server == "https://[fd00::1]:443"


@pytest.mark.parametrize("environ", [{}, POD], ids=["no-pod", "no-token"])
def test_outside_of_a_pod_there_is_no_service_account(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(KubeConfigError):
        kubeconfig.in_cluster(environ, tmp_path)


def issued(name: str, issuer: tuple[bytes, bytes] | None = None) -> tuple[bytes, bytes]:
    """Return a certificate and its key as PEM; without an issuer one that signs itself and others."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by = x509.load_pem_x509_certificate(issuer[0]).subject if issuer else subject
    by_key = serialization.load_pem_private_key(issuer[1], None) if issuer else key
    assert isinstance(by_key, ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(minutes=5))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(by_key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), pem


@pytest.mark.parametrize("inline", [True, False], ids=["as-data", "as-files"])
async def test_a_server_and_its_client_prove_who_they_are(inline: bool, tmp_path: Path) -> None:
    authority = issued("authority")
    served, owned = issued("api.internal", authority), issued("anna", authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority[0].decode())
    context.verify_mode = ssl.CERT_REQUIRED
    (tmp_path / "served").write_bytes(served[0] + served[1])
    context.load_cert_chain(tmp_path / "served")

    async def answer(request: web.Request) -> web.Response:
        assert request.transport
        return web.json_response({"subject": request.transport.get_extra_info("peercert")["subject"][0][0][1]})

    app = web.Application()
    app.router.add_get("/api", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    cluster: dict[str, Any] = {}
    user: dict[str, Any] = {}
    for part, key, pem in (
        (cluster, "certificate-authority", authority[0]),
        (user, "client-certificate", owned[0]),
        (user, "client-key", owned[1]),
    ):
        (tmp_path / key).write_bytes(pem)
        part.update({f"{key}-data": base64.b64encode(pem).decode()} if inline else {key: key})
    cluster |= {"server": f"https://127.0.0.1:{runner.addresses[0][1]}", "tls-server-name": "api.internal"}
    credentials = await asyncio.to_thread(Credentials.load, written(tmp_path, cluster, user))
    async with KubeApi(credentials, user_agent="test") as api:
        assert await api.get("/api") == {"subject": "anna"}
    await runner.cleanup()


def test_an_unverified_server_is_one_that_asks_for_it(tmp_path: Path) -> None:
    careless = {"server": "https://main:1", "insecure-skip-tls-verify": True}
    access = kubeconfig.load(written(tmp_path, careless))
    assert access.ssl
    assert access.ssl.verify_mode is ssl.CERT_NONE


NEEDLESS = ("kubernetes", "requests", "rich.console", "streams", "sinks", "faust", "jgo", "rocksdict")


def test_an_agents_process_imports_nothing_it_does_not_need(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
import abdrift.cli.agent
from abdrift.kubeapi import Credentials
Credentials.load(Path({str(written(tmp_path, user={"token": "t"}))!r}))
print([name for name in {NEEDLESS!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_embedded_kubeconfig_holds_all_that_it_needs(tmp_path: Path) -> None:
    access = kubeconfig.embedded(written(tmp_path, user={"token": "t0ken"}).read_bytes())
    assert (access.server, access.authorization(), access.blocking) == ("http://main:1", "Bearer t0ken", False)


@pytest.mark.parametrize(
    ("cluster", "user"),
    [
        ({}, {"exec": {"command": "steal"}}),
        ({}, {"auth-provider": {"name": "oidc"}}),
        ({}, {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}),
        ({}, {"client-certificate": "/etc/passwd", "client-key": "/etc/passwd"}),
        ({"certificate-authority": "/etc/passwd"}, {}),
        ({"insecure-skip-tls-verify": True}, {}),
    ],
    ids=["exec", "auth-provider", "token-file", "client-certificate", "certificate-authority", "insecure"],
)
def test_an_embedded_kubeconfig_reaches_nothing_of_this_machine(
    cluster: dict[str, Any], user: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(KubeConfigError, match="refused in a kubeconfig that comes from a Secret"):
        kubeconfig.embedded(written(tmp_path, cluster, user).read_bytes())


def test_what_is_no_yaml_is_refused_without_being_quoted() -> None:
    with pytest.raises(KubeConfigError) as refused:
        kubeconfig.embedded(b"token: 's3cret")
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 200_000, "nested"),
        (b"- " * 200_000, "nested"),
        (b"? " * 200_000, "nested"),
        (b"{a: " * 100_000, "nested"),
        (b"a: &a {x: y}\nb: &b {<<: [*a, *a]}\n", "aliases"),
        (b"x" * (1024 * 1024 + 1), "bytes"),
        (b"\xff\xfe\x00", "YAML"),
        (b"[]", "no mapping"),
    ],
    ids=["flow", "block", "keys", "mappings", "merged-aliases", "long", "no-text", "list"],
)
def test_an_embedded_kubeconfig_that_would_take_its_reader_down_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(KubeConfigError, match=said):
        kubeconfig.embedded(text)
