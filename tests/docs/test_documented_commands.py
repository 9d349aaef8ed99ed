"""What README and docs tell a reader to type exists: commands, options, topics, variables, make targets, files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from abdrift.cli import build
from abdrift.topics import TOPICS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM: Any = typer.main.get_command(build())


def console_lines(text: str) -> list[str]:
    """Return what console blocks have typed after `$`, continued lines joined."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def quoted(text: str) -> list[str]:
    """Return what stands between backticks on one line, outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def cases(find: Any, *, program: str) -> list[Any]:
    found = {}
    for page in PAGES:
        for line in find(page.read_text()):
            if line.split() and line.split()[0] == program:
                found[f"{page.name}: {line}"] = line
    return [pytest.param(line, id=name) for name, line in found.items()]


def parse(arguments: list[str], *, is_whole: bool) -> None:
    """Fail where a command, an option or a value does not exist; where it is whole, also where one is missing."""
    command, context, name = PROGRAM, None, "abdrift"
    while True:
        context = command.context_class(command, info_name=name, parent=context)
        given, rest, _ = command.make_parser(context).parse_args(list(arguments))
        if not hasattr(command, "get_command") or not rest:
            break
        name, *arguments = rest
        command = command.get_command(context, name)
        assert command is not None, f"no command {name}"
    assert not rest
    assert not is_whole or not hasattr(command, "get_command"), f"{name} does nothing without a subcommand"
    for parameter in command.params:
        value = given.get(parameter.name)
        if "Path" in str(parameter.type_descriptor.annotation):  # no reader's file is there
            assert value or not (is_whole and parameter.required), f"{parameter.name} is missing"
        elif is_whole or value is not None:
            parameter.process_value(context, value)


@pytest.mark.parametrize("line", cases(console_lines, program="abdrift"))
def test_a_typed_command_is_whole(line: str) -> None:
    parse(words_of(line)[1:], is_whole=True)


@pytest.mark.parametrize("line", cases(quoted, program="abdrift"))
def test_a_named_command_exists(line: str) -> None:
    parse(words_of(line.replace("…", ""))[1:], is_whole=False)


@pytest.mark.parametrize("line", [*cases(console_lines, program="make"), *cases(quoted, program="make")])
def test_a_make_target_exists(line: str) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words_of(line)[1] in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_topics_variables_and_files_exist(page: Path) -> None:
    text = page.read_text()
    topics = {topic.name for topic in TOPICS}
    assert set(re.findall(r"(?<!dev\.)\babdrift\.(?:fleet|signals|internal)\.[a-z]+\.v\d+", text)) <= topics
    code = "".join(path.read_text() for path in (ROOT / "abdrift").rglob("*.py"))
    settings = {name for name in re.findall(r"\bABDRIFT_[A-Z]+\b", text) if name not in code}
    assert not settings
    named = re.findall(r"(?<![/\w])((?:deploy|docs|streams|abdrift|tests)/[\w./-]*\w)", text)
    assert not [name for name in named if not (ROOT / name).exists()]
