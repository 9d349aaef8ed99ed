"""What commands that read a configuration file share: their options, the example, and whose fault it is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from abdrift import configuration
from abdrift.configuration import ConfigurationError

M = TypeVar("M", bound=BaseModel)

_OPTION = "--config"

ExampleOption = Annotated[bool, typer.Option("--example", help="Print a commented configuration and exit.")]
InstanceOption = Annotated[
    str | None,
    typer.Option(
        help="Names this process in its lanes; two that run at the same time must differ.",
        show_default="the host's name",
    ),
]


def epochs_option(folder: str) -> Any:
    """Return the option `--data` of a command whose default is a folder in the data."""
    return typer.Option(help="Where epochs are kept between starts.", show_default=f"{folder}/ in the data")


def chosen(config: Path | None, example: str, *, wants_example: bool) -> Path:
    """Return the file that was named; where the example is wanted instead, print it and end the command.

    Raises:
        typer.BadParameter: none was named.

    """
    if wants_example:
        typer.echo(example, nl=False)
        raise typer.Exit
    if config is None:
        raise typer.BadParameter("name a file; --example prints one", param_hint=_OPTION)
    return config


@contextlib.contextmanager
def configured(model: type[M], path: Path) -> Iterator[M]:
    """Yield what a file says; what turns out to be wrong with it, then or while inside, is a usage error.

    Raises:
        typer.BadParameter: it cannot be used.

    """
    try:
        yield configuration.load(model, path)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint=_OPTION) from error
