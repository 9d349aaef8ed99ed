"""`abdrift keys`: the key pairs of the governor and of the operators."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from abdrift.cli import printing
from abdrift.keyring import GOVERNOR, OPERATOR, Keyring, KeyringError

KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", help="Where keys lie.", envvar="ABDRIFT_KEYS", show_default="keys/ in Abdrift's data"),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="Make and show the keys that sign commands and words.", no_args_is_help=True)
    group.command("create")(create)
    group.command("show")(show)
    app.add_typer(group, name="keys")


def create(
    keys: KeysOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make the key pairs that are missing. A key that exists is never replaced."""
    _show(keys, create=True, as_json=as_json)


def show(
    keys: KeysOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which keys there are and whom they trust."""
    _show(keys, create=False, as_json=as_json)


def _show(directory: Path | None, *, create: bool, as_json: bool) -> None:
    try:
        ring = Keyring.open(directory, create=create)
        facts = {
            "directory": str(ring.directory),
            "governor": {
                "key_id": ring.signer_governor.key_id,
                "private": str(ring.private_path(GOVERNOR)),
                "trusted": str(ring.trust_path(GOVERNOR)),
                "trusted_key_ids": sorted(ring.trust_governor.keys),
            },
            "operator": {
                "key_id": ring.signer_operator.key_id,
                "private": str(ring.private_path(OPERATOR)),
                "trusted": str(ring.trust_path(OPERATOR)),
                "trusted_key_ids": sorted(ring.trust_operators.keys),
            },
        }
    except KeyringError as error:
        printing.fail(str(error))
    if as_json:
        typer.echo(orjson.dumps(facts))
        return
    for role in (GOVERNOR, OPERATOR):
        shown = facts[role]
        assert isinstance(shown, dict), "a role's facts are shown by name"
        typer.echo(f"{role} {shown['key_id']}")
        typer.echo(f"  signs with {shown['private']}")
        typer.echo(f"  trusted    {shown['trusted']}: {', '.join(shown['trusted_key_ids'])}")
