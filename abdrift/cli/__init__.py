"""The command `abdrift`: the one place where stages are wired together.

Each module adds its commands by `register`. Forbidden here: deciding or computing what a stage should; a command reads
its options, calls one function, and shows what it returned.
"""

import importlib
import logging
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from abdrift import __version__
from abdrift.cli import printing

MODULES = (
    "demo",
    "simulate",
    "up",
    "broker",
    "topics",
    "agent",
    "hub",
    "inventory",
    "git",
    "receive",
    "scrape",
    "logs",
    "worker",
    "sink",
    "web",
    "fleet",
    "drift",
    "incident",
    "timeline",
    "command",
    "policy",
    "keys",
    "bench",
)
"""In the order in which help lists their commands; each is named as its command."""


class _Commands(TyperGroup):
    """Imports a command's module when it is asked for: all of them together take seconds."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  click's signature
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in MODULES and cmd_name not in self.commands:
            part = typer.Typer(rich_markup_mode="rich")
            importlib.import_module(f"abdrift.cli.{cmd_name}").register(part)
            self.commands.update(typer.main.get_group(part).commands)
        return super().get_command(ctx, cmd_name)


def build() -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        name="abdrift",
        help="Watches a fleet of Kubernetes clusters drift off the course that Git sets, and brings it back.",
        cls=_Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
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
    # A Kafka client's retries are no news to a person; a program that keeps a log gets them all the same.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    try:
        build()()
    except Exception as error:
        if not _is_mendable(error):
            raise
        printing.complain(str(error))
        sys.exit(1)


def _is_mendable(error: Exception) -> bool:
    # Slow to import, and most runs end without an error.
    from abdrift.kafka import KafkaUnreachableError, SettingsError, TopicMissingError  # noqa: PLC0415
    from abdrift.keyring import KeyringError  # noqa: PLC0415
    from abdrift.kubeconfig import KubeConfigError  # noqa: PLC0415
    from collectors.gateway.sending import GatewayError  # noqa: PLC0415

    known = (KafkaUnreachableError, SettingsError, TopicMissingError, KeyringError, KubeConfigError, GatewayError)
    return isinstance(error, known)
