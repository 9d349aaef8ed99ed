"""`abdrift drift`: what is off course, and why it is called so."""

import typer

from abdrift.cli.drift_judge import judge
from abdrift.cli.drift_list import list_findings
from abdrift.cli.drift_show import show
from abdrift.cli.drift_watch import watch
from abdrift.cli.kafka import with_kafka


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="See what is drift, and ask why something is.", no_args_is_help=True)
    group.command("list")(with_kafka(list_findings))
    group.command("show")(with_kafka(show))
    group.command("watch")(with_kafka(watch))
    group.command("judge")(judge)
    app.add_typer(group, name="drift")
