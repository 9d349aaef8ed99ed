"""Writes `jars.lock` anew: `python -m abdrift.broker.lock`, after changing `jars.KAFKA_VERSION`.

Resolves what Kafka's server needs at run time, fetches every jar and records its hash. The lock is trusted from
then on, so read its difference before committing it.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from jgo.maven import MavenContext

from abdrift.broker import jars

_LOG4J_VERSION: Final = "2.25.4"

# Kafka's own distribution adds the binding that its POM leaves out; of the version that the POM's log4j-core has.
_BINDING: Final = ("org.apache.logging.log4j", "log4j-slf4j-impl", _LOG4J_VERSION)

_HEADER: Final = """\
# The jars of the embedded Kafka broker. Written by `python -m abdrift.broker.lock`; not to be edited.
# group:artifact:version[:classifier] sha256:HEX SIZE_BYTES
"""


def resolve(repository: Path) -> list[str]:
    """Return the lock's lines, sorted, after fetching every jar into a repository folder."""
    context = MavenContext(repo_cache=repository, local_repos=[], timeout=30)
    broker = context.create_dependency(f"org.apache.kafka:kafka_2.13:{jars.KAFKA_VERSION}")
    roots, transitive = context.resolver.resolve([broker])
    # Resolved by itself: as a second root, its POM's managed versions would replace those of Kafka's.
    group, artifact, version = _BINDING
    found = [dependency.artifact for dependency in (*roots, *transitive)]
    found.append(context.project(group, artifact).at_version(version).artifact())
    versions = {(jar.groupId, jar.artifactId): jar.version for jar in found}
    if versions["org.apache.logging.log4j", "log4j-core"] != _LOG4J_VERSION:
        raise SystemExit("log4j-core has moved: set _LOG4J_VERSION to its version and run again")
    return lines(found)


def lines(found: Iterable[Any]) -> list[str]:
    """Return the lock's lines of jgo's artifacts, sorted, after fetching each."""
    lines = []
    for jar in found:
        content = jar.resolve().read_bytes()
        coordinates = ":".join(filter(None, (jar.groupId, jar.artifactId, jar.version, jar.classifier)))
        lines.append(f"{coordinates} sha256:{hashlib.sha256(content).hexdigest()} {len(content)}")
    return sorted(lines)


def main() -> None:
    """Write the lock file beside this module."""
    with tempfile.TemporaryDirectory() as repository:
        locked = resolve(Path(repository))
    path = Path(__file__).with_name(jars.LOCK_NAME)
    path.write_text(_HEADER + "\n".join(locked) + "\n")
    sys.stdout.write(f"{path}: {len(locked)} jars\n")


if __name__ == "__main__":
    main()
