"""Configurations that users write: YAML read into a pydantic model, and in words what is wrong with it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

M = TypeVar("M", bound=BaseModel)


class ConfigurationError(ValueError):
    """A configuration that cannot be used; the message names the place and the way out."""


class Settings(BaseModel):
    """A part of a configuration: what it does not know is refused, so that nobody believes in what does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def doubled(names: Iterable[str]) -> str | None:
    """Return the name that is there more than once, the first by alphabet; None where all differ."""
    return min((name for name, count in Counter(names).items() if count > 1), default=None)


def load(model: type[M], path: Path, **instead: Any) -> M:
    """Read a file of YAML, of which JSON is a part.

    Args:
        model: What it is to say.
        path: The file.
        instead: Values that stand in place of the file's, by name.

    Raises:
        ConfigurationError: it cannot be read, or says what cannot be.

    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no YAML: {error}") from error
    try:
        return model.model_validate({**data, **instead} if isinstance(data, dict) else data)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_in_words(error)}") from error


def section(model: type[M], name: str, data: Any) -> M:
    """Read a part of a configuration that stands under a dotted name.

    Raises:
        ConfigurationError: it says what cannot be.

    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(_in_words(error, name)) from error


def _in_words(error: ValidationError, *within: str) -> str:
    """Return where the first error is, what it is, and how many there are."""
    first, count = error.errors()[0], error.error_count()
    place = ".".join((*within, *map(str, first["loc"]))) or "the file"
    return f"{place}: {first['msg'].removeprefix('Value error, ')} ({count} {'error' if count == 1 else 'errors'})"
