"""The command `abdrift`: the one place where stages are wired together.

Each module adds its commands by `register`. Forbidden here: deciding or computing what a stage should; a command reads
its options, calls one function, and shows what it returned.
"""

import importlib
import sys
from typing import Annotated

import typer
from rich.console import Console

from abdrift import __version__

MODULES = ("demo", "up", "broker", "topics", "agent", "git", "worker", "sink", "drift", "command", "policy", "keys")
"""In the order in which help lists their commands."""


def build() -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        name="abdrift",
        help="Watches a fleet of Kubernetes clusters drift off the course that Git sets, and brings it back.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in MODULES:
        importlib.import_module(f"abdrift.cli.{name}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"abdrift {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that stand before every command."""


def main() -> None:
    """Run the program; errors that a user can mend are shown in one line with the way out."""
    from abdrift.kafka import KafkaUnreachableError, SettingsError, TopicMissingError  # noqa: PLC0415  slow to import
    from abdrift.kubeapi import KubeConfigError  # noqa: PLC0415

    try:
        build()()
    except (KafkaUnreachableError, SettingsError, TopicMissingError, KubeConfigError) as error:
        Console(stderr=True).print(f"[red]Error:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
