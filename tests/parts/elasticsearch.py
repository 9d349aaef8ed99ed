"""Real Elasticsearch on loopback: the server from its jars, started by a launcher of our own.

Maven Central has the server and its transport, and none of its modules. So it has no ILM and no data-stream lifecycle,
no scripts, no `constant_keyword`, `wildcard` or `match_only_text`, no `_delete_by_query`, no ES|QL and no security;
`java/MissingRoutes.java` answers two requests that clients cannot do without. Data streams are natively there.
Elastic's licences let nobody pass the jars on: they are fetched where tests run.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jgo.maven import MavenContext

from abdrift.broker import BrokerError, jars, java
from abdrift.broker.lock import lines
from tests.parts import store
from tests.parts.build import BuildError
from tests.parts.loopback import HOST, answers
from tests.parts.process import Part, Program
from tests.parts.versions import ECJ_VERSION, ELASTICSEARCH_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.parts.guard import Guard
    from tests.parts.loopback import Ports

HEAP_MB = 384
_SOURCES = Path(__file__).parent / "java"
_LOCK = _SOURCES / "elasticsearch.lock"
_TRANSPORT, _ROUTES = "transport-netty4", "missing-routes"
_MODULES = {_TRANSPORT: "org.elasticsearch.transport.netty4.Netty4Plugin", _ROUTES: "MissingRoutes"}
"""The classes of the modules that it runs with."""
_OF_TRANSPORT = ("netty-", f"{_TRANSPORT}-")
_COMPILER = "ecj-"
_HEADER = """\
# The jars of Elasticsearch, and of the compiler of its launcher. Written by `python -m tests.parts.elasticsearch`.
# group:artifact:version[:classifier] sha256:HEX SIZE_BYTES
"""


@dataclass(frozen=True)
class Elasticsearch:
    """A server, and where it answers."""

    part: Part
    url: str


def folder() -> Path:
    """Where the installation is kept, built or not."""
    return store.root() / f"elasticsearch-{ELASTICSEARCH_VERSION}"


def is_built() -> bool:
    """Whether it is in the store, from this very recipe."""
    return store.is_current(folder(), _recipe())


def ensure(say: Callable[[str], None]) -> Path:
    """Return the installation's folder, made now if it must be.

    Raises `BuildError` where there is no Java, a jar can't be fetched, or the launcher does not compile.
    """
    try:
        return store.install(folder(), _recipe(), lambda into: _build(into, say), say)
    except BrokerError as error:
        raise BuildError(str(error)) from error


def server(directory: Path, ports: Ports, guard: Guard, say: Callable[[str], None]) -> Elasticsearch:
    """Return a server with its data in `directory`, not started."""
    home, data = ensure(say), directory / "elasticsearch"
    data.mkdir(parents=True)
    url = f"http://{HOST}:{(port := ports.take())}"
    settings = {
        "es.path.home": str(home),
        "es.nativelibs.path": str(home / "native"),
        "org.elasticsearch.nativeaccess.enableVectorLibrary": "false",
        "io.netty.noUnsafe": "true",
        "log4j2.disable.jmx": "true",
        "java.io.tmpdir": str(data),
    }
    # The classes of the launcher come first: its settings of the log must be found before another's.
    class_path = ":".join([str(home / "launcher.jar"), *map(str, _libraries(_fetched()))])
    argv = [
        *java.command(java.find(), class_path=class_path, heap_mb=HEAP_MB, settings=settings),
        "Launcher",
        str(home),
        str(data),
        str(port),
    ]
    # What warms up longest is not worth it in a test, and natives are looked for at every start.
    argv[1:1] = ["-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED"]
    # Any answer would do for a new server; one that was started again refuses until it has its indices back.
    ready = answers(f"{url}/_cluster/health?wait_for_status=yellow&timeout=1s")
    program = Program("elasticsearch", argv, directory / "elasticsearch.log", ready)
    return Elasticsearch(Part(program, guard), url)


def _recipe() -> str:
    files = [_LOCK, *sorted(_SOURCES.glob("*.java")), *sorted(_SOURCES.glob("*.properties")), Path(__file__)]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _fetched() -> tuple[Path, ...]:
    return jars.fetched(jars.parse_lock(_LOCK.read_text()), store.root() / f"{folder().name}-jars" / "libs")


def _libraries(paths: Sequence[Path]) -> list[Path]:
    return sorted(path for path in paths if not path.name.startswith((*_OF_TRANSPORT, _COMPILER)))


def _build(into: Path, say: Callable[[str], None]) -> None:
    say(f"fetching Elasticsearch {ELASTICSEARCH_VERSION} (50 MB) and compiling its launcher")
    fetched = _fetched()
    (into / "config").mkdir()
    for module, entry in _MODULES.items():
        (into / "modules" / module).mkdir(parents=True)
        (into / "modules" / module / "plugin-descriptor.properties").write_text(_descriptor(module, entry))
    for path in fetched:
        if path.name.startswith(_OF_TRANSPORT):
            (into / "modules" / _TRANSPORT / path.name).symlink_to(path)
    _compile(fetched, "MissingRoutes.java", into / "modules" / _ROUTES / f"{_ROUTES}.jar")
    _compile(fetched, "Launcher.java", into / "launcher.jar", _SOURCES / "log4j2.properties")
    (into / "native").mkdir()
    for path in Path("/usr/lib").glob("*-linux-gnu/libzstd.so.1"):  # for index.codec best_compression
        (into / "native" / "libzstd.so").symlink_to(path)


def _descriptor(module: str, entry: str) -> str:
    fields = {
        "name": module,
        "description": module,
        "classname": entry,
        "version": ELASTICSEARCH_VERSION,
        "elasticsearch.version": ELASTICSEARCH_VERSION,
        "java.version": "21",
    }
    return "".join(f"{name}={value}\n" for name, value in fields.items())


def _compile(fetched: Sequence[Path], source: str, jar: Path, *added: Path) -> None:
    (compiler,) = (path for path in fetched if path.name.startswith(_COMPILER))
    class_path = jars.class_path(_libraries(fetched))
    with tempfile.TemporaryDirectory() as classes:
        options = ["-21", "-nowarn", "-proc:none", "-cp", class_path, "-d", classes]
        argv = [str(java.find()), "-jar", str(compiler), *options, str(_SOURCES / source)]
        compiled = subprocess.run(argv, capture_output=True, text=True, check=False)
        if compiled.returncode:
            raise BuildError(f"{source} does not compile:\n{compiled.stdout}{compiled.stderr}")
        with zipfile.ZipFile(jar, "w") as archive:
            for path in (*sorted(Path(classes).glob("*.class")), *added):
                archive.write(path, path.name)


def main() -> None:
    """Write the lock file anew, after changing a version. Read its difference before committing it."""
    roots = (
        f"org.elasticsearch:elasticsearch:{ELASTICSEARCH_VERSION}",
        f"org.elasticsearch.plugin:transport-netty4:{ELASTICSEARCH_VERSION}",
        f"org.eclipse.jdt:ecj:{ECJ_VERSION}",
    )
    with tempfile.TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository), local_repos=[], timeout=30)
        direct, transitive = context.resolver.resolve([context.create_dependency(root) for root in roots])
        locked = lines(dependency.artifact for dependency in (*direct, *transitive))
    _LOCK.write_text(_HEADER + "\n".join(locked) + "\n")
    sys.stdout.write(f"{_LOCK.name}: {len(locked)} jars\n")


if __name__ == "__main__":
    main()
