"""The Java peers: their sources, the jars they run on by lock files, and how they are compiled and started.

No JDK is needed: Eclipse's compiler is a jar, and runs on the same Java runtime as the embedded broker.
"""

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from abdrift import paths
from abdrift.broker import jars, java

_HEAP: Final = "-Xmx1g"
_OPENED: Final = ("java.base/java.nio", "java.base/java.util", "java.base/java.lang", "java.base/java.time")
"""What Arrow and Flink reach into; both name these in their documentation."""
_COMPILER: Final = "ecj"


class CompileError(RuntimeError):
    """A peer's source does not compile here."""


@dataclass(frozen=True, slots=True)
class Program:
    """A main class, the sources it is compiled from, and the lock file of its jars (`NAME.lock` here)."""

    main: str
    sources: tuple[str, ...]
    lock: str


KAFKA_STREAMS_JSON: Final = Program(
    "KafkaStreamsJson", ("Counting", "Event", "KafkaStreamsCounts", "KafkaStreamsJson"), "kafka-streams"
)
KAFKA_STREAMS_FRAMES: Final = Program(
    "KafkaStreamsFrames", ("Counting", "KafkaStreamsCounts", "KafkaStreamsFrames"), "kafka-streams"
)
FLINK_JSON: Final = Program("FlinkJson", ("Counting", "Event", "FlinkJson"), "flink")


def command(program: Program, arguments: Sequence[str], progress: jars.Progress | None = None) -> list[str]:
    """Return the command line that runs a program, after fetching its jars and compiling it where needed.

    Raises:
        abdrift.broker.BrokerError: there is no Java, or a jar can't be fetched.
        CompileError: it does not compile.

    """
    runtime = java.find()
    libraries = _jars(program.lock, progress)
    classes = _compiled(program, runtime, libraries, progress)
    class_path = jars.class_path((classes, *libraries))
    opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
    quiet = ("-XX:+IgnoreUnrecognizedVMOptions", "--sun-misc-unsafe-memory-access=allow", "-XX:-UsePerfData")
    return [str(runtime), _HEAP, *quiet, *opened, "-cp", class_path, program.main, *arguments]


def _folder() -> Path:
    return paths.cache_dir() / "benchmarks"


def _jars(lock: str, progress: jars.Progress | None) -> tuple[Path, ...]:
    text = resources.files("benchmarks.java").joinpath(f"{lock}.lock").read_text()
    return jars.fetched(jars.parse_lock(text), _folder() / lock / "libs", progress)


def _compiled(program: Program, runtime: Path, libraries: Sequence[Path], progress: jars.Progress | None) -> Path:
    """Return the folder of a program's classes, named by all they are made from."""
    package = resources.files("benchmarks.java")
    texts = {f"{name}.java": package.joinpath(f"{name}.java").read_text() for name in program.sources}
    made_from = "\n".join((*(path.name for path in libraries), *texts.values()))
    classes = _folder() / "classes" / f"{program.main}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
    if classes.joinpath(".done").exists():
        return classes
    classes.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        classes.joinpath(name).write_text(text)
    (compiler,) = _jars(_COMPILER, progress)
    wanted = ["-21", "-nowarn", "-proc:none", "-cp", jars.class_path(libraries), "-d", str(classes)]
    sources = [str(classes / name) for name in texts]
    compiled = subprocess.run(  # noqa: S603  the compiler and the sources are ours
        [str(runtime), "-jar", str(compiler), *wanted, *sources], capture_output=True, text=True, check=False
    )
    if compiled.returncode:
        raise CompileError(f"{program.main} does not compile with {runtime}:\n{compiled.stdout}{compiled.stderr}")
    classes.joinpath(".done").touch()
    return classes
