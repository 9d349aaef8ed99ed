"""Reads who speaks to which Kubernetes API server, from a kubeconfig or a Pod's ServiceAccount.

Tokens, token files, client certificates and passwords are read here. The `kubernetes` package, which takes 15 MB to
import, is asked only where a kubeconfig names an exec plugin or an auth provider. Nothing is sent from here.
"""

import base64
import binascii
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

log = logging.getLogger(__name__)

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast on certificates."""

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGINS: Final = ("exec", "auth-provider")
_FILES: Final = ("tokenFile", "certificate-authority", "client-certificate", "client-key")
_MAX_EMBEDDED_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 50
_UNSUPPORTED: Final = {
    "as": "impersonates somebody else; use a kubeconfig of that user",
    "proxy-url": "is reached through a proxy; use a kubeconfig that reaches it directly",
}

Authorization = Callable[[], str | None]
"""Returns the value of the Authorization header, as it is good for now."""


class KubeConfigError(ValueError):
    """A kubeconfig that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is, and how to speak to it."""

    server: str
    ssl: ssl.SSLContext | None
    """None for plain HTTP."""
    authorization: Authorization
    server_hostname: str | None = None
    """The name that the server's certificate bears, where it is not the address's."""
    blocking: bool = False
    """Whether `authorization` may take long: it runs a program."""


def in_cluster(environ: Mapping[str, str] = os.environ, directory: Path = SERVICE_ACCOUNT) -> Access:
    """Return the access of the Pod's ServiceAccount; its token is read anew whenever the kubelet rotates it.

    Raises:
        KubeConfigError: this is no Pod, or it mounts no token.

    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise KubeConfigError("KUBERNETES_SERVICE_HOST and _PORT are not set: this is no Pod")
    token = TokenFile(directory / "token")
    token.read()
    context = _ssl_context({"certificate-authority": "ca.crt"}, {}, directory)
    return Access(f"https://{f'[{host}]' if ':' in host else host}:{port}", context, token)


def load(path: Path, context: str | None = None) -> Access:
    """Return the access that a kubeconfig's context names, by default its current one.

    Raises:
        KubeConfigError: the file is missing, no kubeconfig, or asks for what is not supported.

    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise KubeConfigError(error.strerror or str(error)) from error
    wanted, cluster, user = _chosen(raw, context)
    if any(user.get(key) for key in _PLUGINS):
        return _by_plugin(path, wanted)
    return _access(cluster, user, path.parent)


def embedded(raw: bytes) -> Access:
    """Return the access of a kubeconfig that is no file, such as a Secret's value, by its current context.

    It must hold all that it needs. Whoever may write it is not thereby trusted to run programs here, to have this
    machine's files sent to a server of their choice, or to switch off the check of who the server is.

    Raises:
        KubeConfigError: it is no kubeconfig, or asks for what is not supported.

    """
    _refuse_bombs(raw)
    _, cluster, user = _chosen(raw, None)
    for part in (cluster, user):
        for key in (*_PLUGINS, *_FILES, "insecure-skip-tls-verify"):
            if part.get(key):
                raise KubeConfigError(
                    f"`{key}` is refused in a kubeconfig that comes from a Secret; embed certificates and token as data"
                )
    return _access(cluster, user, Path())


def _refuse_bombs(raw: bytes) -> None:
    """Refuse what would take down whoever parses it: libyaml's stack overflows, and merged aliases grow without end."""
    if len(raw) > _MAX_EMBEDDED_BYTES:
        raise KubeConfigError(f"it has more than {_MAX_EMBEDDED_BYTES} bytes")
    depth = 0
    try:
        for event in yaml.parse(raw, Loader=_SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise KubeConfigError("it has aliases, which no kubeconfig needs")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise KubeConfigError(f"it is nested more than {_MAX_DEPTH} deep")
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # it is said when it is read


def _chosen(raw: bytes, context: str | None) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Return a context's name, its cluster and its user."""
    try:
        config = yaml.load(raw, Loader=_SafeLoader)  # noqa: S506  it is a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The error itself quotes the text, which has secrets.
        mark = getattr(error, "problem_mark", None)
        raise KubeConfigError(f"it is no YAML{f' (line {mark.line + 1})' if mark else ''}") from None
    if not isinstance(config, dict):
        raise KubeConfigError("it holds no mapping")
    wanted = context or config.get("current-context")
    if not wanted:
        raise KubeConfigError("it names no current-context; name one with --context")
    chosen = _named(config, "contexts", "context", wanted)
    cluster = _named(config, "clusters", "cluster", chosen.get("cluster"))
    user = _named(config, "users", "user", chosen["user"]) if chosen.get("user") else {}
    for part, owner in ((cluster, chosen.get("cluster")), (user, chosen.get("user"))):
        for key, why in _UNSUPPORTED.items():
            if part.get(key):
                raise KubeConfigError(f"{owner!r} {why} (`{key}` is not supported)")
    return str(wanted), cluster, user


class TokenFile:
    """A bearer token in a file that somebody rotates; read anew whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._token = ""

    def __call__(self) -> str:
        """Return the header's value; the last token that could be read, where the file can't be now."""
        try:
            self.read()
        except KubeConfigError as error:
            log.warning("%s; going on with the token read before", error)
        return f"Bearer {self._token}"

    def read(self) -> None:
        """Read the token where it is not the one that was read.

        Raises:
            KubeConfigError: there is none.

        """
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if stamp == self._stamp:
                return
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KubeConfigError(f"the token file {self._path} can't be read: {error}") from error
        if not token:
            raise KubeConfigError(f"the token file {self._path} is empty")
        self._token, self._stamp = token, stamp


def _named(config: Mapping[str, Any], plural: str, singular: str, name: Any) -> Mapping[str, Any]:
    """Return an entry of one of a kubeconfig's lists."""
    entries = config.get(plural)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(singular), dict):
            return dict(entry[singular])
    raise KubeConfigError(f"it has no {singular} {name!r}")


def _access(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> Access:
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise KubeConfigError(f"the server {server!r} is no http or https address")
    return Access(
        server,
        _ssl_context(cluster, user, folder) if server.startswith("https") else None,
        _authorization(user, folder),
        cluster.get("tls-server-name") or None,
    )


def _authorization(user: Mapping[str, Any], folder: Path) -> Authorization:
    """Return what a user authenticates by, in client-go's order: a token file before a token."""
    if user.get("tokenFile"):
        token_file = TokenFile(folder / str(user["tokenFile"]))
        token_file.read()
        return token_file
    value: str | None = None
    if user.get("token"):
        value = f"Bearer {user['token']}"
    elif user.get("username"):
        pair = f"{user['username']}:{user.get('password') or ''}"
        value = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return lambda: value


def _ssl_context(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    try:
        authorities = _material(cluster, "certificate-authority", folder)
        context = ssl.create_default_context(cadata=authorities.decode() if authorities else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = _material(user, "client-certificate", folder)
        if certificate:
            _load_certificate(context, certificate, _material(user, "client-key", folder))
    except (OSError, UnicodeDecodeError, binascii.Error) as error:  # ssl.SSLError is an OSError
        raise KubeConfigError(f"its certificates can't be used: {error}") from error
    return context


def _material(source: Mapping[str, Any], key: str, folder: Path) -> bytes:
    """Return what stands in the kubeconfig, else in the file that it names; nothing where it names none."""
    if data := source.get(f"{key}-data"):
        return base64.b64decode(data, validate=True)
    return (folder / str(source[key])).read_bytes() if source.get(key) else b""


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL takes a client's certificate from a file only; this one is never on a disk.
    with open(os.memfd_create("client-certificate"), "wb") as file:  # noqa: PTH123  a descriptor has no path
        file.write(certificate + b"\n" + key)
        file.flush()
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")


def _by_plugin(path: Path, context: str) -> Access:
    """Return an access whose tokens a plugin gives; the package runs it again when one expires."""
    from kubernetes.client import Configuration  # noqa: PLC0415  15 MB that few need
    from kubernetes.config import ConfigException, load_kube_config  # noqa: PLC0415

    configuration = Configuration()
    try:
        load_kube_config(str(path), context=context, client_configuration=configuration)
        cluster = {
            "certificate-authority": configuration.ssl_ca_cert,
            "insecure-skip-tls-verify": not configuration.verify_ssl,
        }
        user = {"client-certificate": configuration.cert_file, "client-key": configuration.key_file}
        server = str(configuration.host).rstrip("/")
        verifying = _ssl_context(cluster, user, path.parent) if server.startswith("https") else None
        has_token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization") is not None
    # The package checks little: a file of another shape ends in whatever its first use raises.
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise KubeConfigError(f"its plugin gave no credentials: {error}") from error
    if not has_token and not configuration.cert_file:  # a plugin that fails is only logged there
        raise KubeConfigError("its plugin gave no credentials")
    return Access(
        server,
        verifying,
        lambda: configuration.get_api_key_with_prefix("BearerToken", alias="authorization"),
        configuration.tls_server_name,
        blocking=True,
    )
