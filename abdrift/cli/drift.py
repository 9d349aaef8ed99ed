"""`abdrift drift`: what is off course, and why it is called so."""

import typer

from abdrift.cli.drift_judge import judge


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Ask whether and why something is drift.", no_args_is_help=True)
    group.callback()(_drift)
    group.command("judge")(judge)
    app.add_typer(group, name="drift")


def _drift() -> None:
    """Keep `judge` a subcommand although it is the only one."""
