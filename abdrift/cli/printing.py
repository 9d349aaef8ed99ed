"""What commands print for people: tables, and errors with the way out.

rich is imported where something is printed: an agent that runs for months needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import typer

if TYPE_CHECKING:
    from rich.table import Table

_FILE_COLUMNS: Final = 200
"""Of a table that goes into a file or a pipe, where nobody's window bounds it."""


def fail(message: str) -> NoReturn:
    """Say what is wrong and end with status 1."""
    complain(message)
    raise typer.Exit(1)


def complain(message: str) -> None:
    """Say what is wrong."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    Console(stderr=True).print(f"[red]Error:[/red] {escape(message)}", highlight=False, soft_wrap=True)


def table(*headings: str) -> Table:
    """Return an empty table without lines."""
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        made.add_column(heading)
    return made


def show(what: Table) -> None:
    """Print a table as wide as the terminal."""
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    console.print(what, width=None if console.is_terminal else _FILE_COLUMNS)
