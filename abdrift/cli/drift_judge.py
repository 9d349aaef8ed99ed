"""`abdrift drift judge`: is this drift, and where, by the code that the drift stream runs."""

import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Any, Final

import orjson
import typer
import yaml
from rich.console import Console
from rich.markup import escape

from abdrift.masking import Masker
from streams.drift.compare import CompareOptions, Comparison, UnjudgeableError, compare, managed_fields
from streams.drift.compare.options import parse_options

IN_SYNC, DRIFTED, UNJUDGEABLE = 0, 1, 2
_MAX_DOCUMENT_BYTES: Final = 16 << 20
_MAX_NODES: Final = 1_000_000
_JSON_TYPES: Final = (dict, list, str, int, float, type(None))
_KEY_BYTES: Final = 32
_SHOWN_CHARS: Final = 200
_LEADING_ID: Final = re.compile(rb'[^{]{0,8}\{\s*"id"\s*:\s*("(?:[^"\\]|\\.){0,512}"|-?\d{1,18})')
_VERBS: Final = {"add": "added", "remove": "removed", "replace": "changed"}
_COLOURS: Final = {"add": "green", "remove": "red", "replace": "yellow"}


def judge(
    live: Annotated[Path | None, typer.Argument(help="The live object, YAML or JSON.", show_default=False)] = None,
    desired: Annotated[
        Path | None, typer.Argument(help="What GitOps applied or would apply.", show_default=False)
    ] = None,
    manager: Annotated[
        list[str] | None, typer.Option(help="A field manager whose fields count. May be given again.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="A JSON pointer to ignore, /spec/replicas. May be given again.")
    ] = None,
    predicted_live: Annotated[
        Path | None, typer.Option(help="A server-side dry run's answer, to compare live with instead.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Judge a pair a line from standard input, answer a line each.")
    ] = False,
) -> None:
    """Say whether and where a live object differs from what GitOps applied.

    Ends with 0 where the two agree, 1 where they differ and 2 where they can't be judged. Secret values are never
    shown: keyed hashes stand for them, equal where the values are.
    """
    given = {"manager": manager or [], "ignore": ignore or []}
    if jsonl:
        _judge_lines(sys.stdin.buffer, sys.stdout.buffer, given)
        return
    if live is None or desired is None:
        raise typer.BadParameter("name two files, LIVE and DESIRED, or read pairs with --jsonl")
    masker = Masker(os.urandom(_KEY_BYTES))
    try:
        now, wanted = masker.mask(_read(live)), masker.mask(_read(desired))
        answer = None if predicted_live is None else masker.mask(_read(predicted_live))
        comparison = compare(now, wanted, parse_options(given), answer)
    except UnjudgeableError as error:
        Console(stderr=True).print(f"[red]can't judge:[/] {escape(str(error))}")
        raise typer.Exit(UNJUDGEABLE) from None
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(_spelled_out(comparison, now)) + b"\n")
    else:
        _show(comparison, now, Console())
    raise typer.Exit(DRIFTED if comparison.modified else IN_SYNC)


def _judge_lines(questions: IO[bytes], answers: IO[bytes], given: Mapping[str, Any]) -> None:
    while line := questions.readline(_MAX_DOCUMENT_BYTES):
        answer = {"id": _leading_id(line), "error": f"the line is longer than {_MAX_DOCUMENT_BYTES} bytes"}
        if line.endswith(b"\n") or len(line) < _MAX_DOCUMENT_BYTES:
            if line.isspace():
                continue
            answer = _answered(line, given)
        else:
            while (rest := questions.readline(_MAX_DOCUMENT_BYTES)) and not rest.endswith(b"\n"):
                pass
        answers.write(orjson.dumps(answer) + b"\n")
        answers.flush()


def _answered(line: bytes, given: Mapping[str, Any]) -> dict[str, Any]:
    """One line's answer; whatever is wrong with the line is its answer too."""
    asked: Any = None
    try:
        asked = orjson.loads(line)
        comparison = _judged(asked, given)
    except orjson.JSONDecodeError as error:
        return {"id": _leading_id(line), "error": f"the line is no JSON: {error}"}
    except UnjudgeableError as error:
        return {"id": asked.get("id") if isinstance(asked, dict) else None, "error": str(error)}
    except Exception as error:  # noqa: BLE001  one line's surprise is that line's answer; the rest go on
        return {"id": asked.get("id"), "error": f"the pair can't be judged: {type(error).__name__}: {error}"}
    return {"id": asked.get("id"), "modified": comparison.modified, "paths": comparison.paths}


def _leading_id(line: bytes) -> Any:
    """Return the id with which a line begins that is no JSON as a whole."""
    match = _LEADING_ID.match(line)
    try:
        return orjson.loads(match[1]) if match else None
    except orjson.JSONDecodeError:
        return None


def _judged(asked: Any, given: Mapping[str, Any]) -> Comparison:
    if not isinstance(asked, dict):
        raise UnjudgeableError("a line is an object with id, live and desired")
    if missing := [key for key in ("live", "desired") if key not in asked]:
        raise UnjudgeableError(f"the line has no {' and no '.join(missing)}")
    options = _options(asked.get("options"), given)
    return compare(asked["live"], asked["desired"], options, asked.get("predicted_live"))


def _options(raw: Any, given: Mapping[str, Any]) -> CompareOptions:
    if raw is None or isinstance(raw, dict):
        said = {key: value for key, value in (raw or {}).items() if value is not None}
        return parse_options({**given, **said})
    return parse_options(raw)


_INT_TAG, _FLOAT_TAG, _TIME_TAG = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_INT: Final = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: `12:30` and what looks like a time are text, `1e3` is a number, keys are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  the parent's own table, less three entries
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT_TAG, _FLOAT_TAG, _TIME_TAG)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a map with its keys as text; raises ConstructorError for a key that is there twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        return {_as_key(key): value for key, value in super().construct_mapping(node, deep).items()}


_Loader.add_implicit_resolver(_INT_TAG, _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+0123456789."))


def _as_key(key: Any) -> str:
    return key if isinstance(key, str) else orjson.dumps(key).decode()


def _read(path: Path) -> dict[str, Any]:
    """Return the one object in a file."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise UnjudgeableError(f"{path} can't be read: {error.strerror}") from None
    if len(raw) > _MAX_DOCUMENT_BYTES:
        raise UnjudgeableError(f"{path} is larger than {_MAX_DOCUMENT_BYTES} bytes")
    try:
        documents = [document for document in yaml.load_all(raw, Loader=_Loader) if document is not None]
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise UnjudgeableError(f"{path} is neither YAML nor JSON: {error}") from None
    if len(documents) != 1:
        raise UnjudgeableError(f"{path} holds {len(documents)} objects; give one object a file")
    (document,) = documents
    if not isinstance(document, dict):
        raise UnjudgeableError(f"{path} holds no Kubernetes object")
    for count, node in enumerate(_nodes(document)):
        if count == _MAX_NODES:
            raise UnjudgeableError(f"{path} has more than {_MAX_NODES} values once its aliases are followed")
        if not isinstance(node, _JSON_TYPES) or (isinstance(node, float) and not math.isfinite(node)):
            raise UnjudgeableError(f"{path} holds what JSON does not have: {node!r:.40}")
    return document


def _nodes(document: Any) -> Iterator[Any]:
    left = [document]
    while left:
        node = left.pop()
        yield node
        left.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())


def _spelled_out(comparison: Comparison, live: Mapping[str, Any]) -> dict[str, Any]:
    entries = managed_fields.entries_of(live)
    changes = [
        {
            "path": change.path,
            "op": change.op,
            "desired": change.old,
            "live": change.new,
            "managers": [entry.manager for entry in managed_fields.owners(entries, live, change.path)],
        }
        for change in comparison.changes
    ]
    return {"modified": comparison.modified, "exempt": comparison.exempt, "changes": changes}


def _show(comparison: Comparison, live: Mapping[str, Any], console: Console) -> None:
    metadata = live["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    subject = escape(f"{live['kind']} {place}{metadata.get('name', '')}")
    if comparison.exempt:
        console.print(f"[bold]{subject}[/]: [cyan]exempt[/], {escape(comparison.exempt)}")
        return
    if not comparison.modified:
        console.print(f"[bold]{subject}[/]: [green]in sync[/]")
        return
    count = len(comparison.changes)
    console.print(f"[bold]{subject}[/]: [red]drifted[/], {count} {'field differs' if count == 1 else 'fields differ'}")
    entries = managed_fields.entries_of(live)
    for change in comparison.changes:
        owner = next(iter(managed_fields.owners(entries, live, change.path)), None)
        who = "written by nobody on record" if owner is None else f"by {owner.manager}, {_when(owner.time)}"
        colour = _COLOURS[change.op]
        # Lines, not a table: a narrow terminal would cut the pointer, which is what an ignore rule needs.
        console.print(f"  [bold]{escape(change.path)}[/]  [{colour}]{_VERBS[change.op]}[/]", soft_wrap=True)
        console.print(f"    desired  {escape(_brief(change.old))}", soft_wrap=True)
        console.print(f"    live     [{colour}]{escape(_brief(change.new))}[/]  {escape(who)}", soft_wrap=True)


def _when(time: str | None) -> str:
    return f"since {time}" if time else "since when is not on record"


def _brief(value: Any) -> str:
    if value is None:
        return "—"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
