"""Writes the peers' lock files anew: `python -m benchmarks.java.lock`, after changing a version below.

The locks are trusted from then on, so read their difference before committing it.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

from abdrift.broker.jars import KAFKA_VERSION
from abdrift.broker.lock import lines

_ARROW: Final = "18.3.0"
_FLINK: Final = "2.0.0"

_ROOTS: Final = {
    "ecj": ("org.eclipse.jdt:ecj:3.42.0",),
    "kafka-streams": (
        f"org.apache.kafka:kafka-streams:{KAFKA_VERSION}",
        f"org.apache.arrow:arrow-vector:{_ARROW}",
        f"org.apache.arrow:arrow-memory-unsafe:{_ARROW}",
        # Frames are zstd as a whole, so Arrow's own compression is not needed.
        "com.github.luben:zstd-jni:1.5.6-10",
        "com.fasterxml.jackson.core:jackson-databind:2.18.3",
        "org.slf4j:slf4j-nop:2.0.17",
    ),
    "flink": (
        f"org.apache.flink:flink-streaming-java:{_FLINK}",
        f"org.apache.flink:flink-clients:{_FLINK}",
        "org.apache.flink:flink-connector-kafka:4.0.0-2.0",
        f"org.apache.flink:flink-connector-base:{_FLINK}",
        f"org.apache.flink:flink-statebackend-rocksdb:{_FLINK}",
        "com.fasterxml.jackson.core:jackson-databind:2.18.2",
        "org.slf4j:slf4j-nop:1.7.36",
    ),
}
_HEADER: Final = """\
# The jars of a benchmark's Java peer. Written by `python -m benchmarks.java.lock`; not to be edited.
# group:artifact:version[:classifier] sha256:HEX SIZE_BYTES
"""


def main() -> None:
    """Write the lock files beside this module."""
    for name, roots in _ROOTS.items():
        with tempfile.TemporaryDirectory() as repository:
            context = MavenContext(repo_cache=Path(repository), local_repos=[], timeout=30)
            direct, transitive = context.resolver.resolve([context.create_dependency(root) for root in roots])
            locked = lines(dependency.artifact for dependency in (*direct, *transitive))
        path = Path(__file__).with_name(f"{name}.lock")
        path.write_text(_HEADER + "\n".join(locked) + "\n")
        sys.stdout.write(f"{path.name}: {len(locked)} jars\n")


if __name__ == "__main__":
    main()
