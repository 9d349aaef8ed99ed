"""Git's objects, byte for byte: blobs, trees and commits with their ids, and packs of them.

Pure. Formats: `gitformat-pack(5)` and "Git Internals" of the Git project; ids are SHA-1.
"""

import functools
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson
import yaml

from abdrift.simulation.objects import Object

Tree = Mapping[str, tuple[Object, ...]]
"""Manifests by file path. A chart is a folder with a `Chart.yaml`, whose manifests are templates."""

_PACK_KINDS = {"commit": 1, "tree": 2, "blob": 3}
_FILE, _FOLDER = b"100644", b"40000"
_BLOBS_CACHED = 4_096


@dataclass(frozen=True, slots=True)
class GitObject:
    """One object: `kind` is commit, tree or blob, `id` 40 hexadecimal digits, `body` without Git's header."""

    kind: str
    id: str
    body: bytes


def make(kind: str, body: bytes) -> GitObject:
    """Give the object of that body, with its id."""
    digest = hashlib.sha1(f"{kind} {len(body)}\0".encode() + body)  # noqa: S324  Git's own
    return GitObject(kind, digest.hexdigest(), body)


@functools.lru_cache(maxsize=_BLOBS_CACHED)
def _blob(manifests: bytes) -> GitObject:
    # From JSON text: a fleet's repositories hold the same files, and YAML would show what objects share as anchors.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return make("blob", yaml.dump_all(orjson.loads(manifests), Dumper=dumper, sort_keys=False, encoding="utf-8"))


def blob_of(manifests: tuple[Object, ...]) -> GitObject:
    """Give the file that holds these manifests, as YAML documents."""
    return _blob(orjson.dumps(manifests))


def snapshot(tree: Tree) -> list[tuple[int, GitObject]]:
    """Give all objects of a tree with their depth; the root, whose depth is 0, comes first.

    Raises:
        ValueError: a path is a file and a folder at once.

    """
    return list(_folder({path: blob_of(manifests) for path, manifests in tree.items()}, 0))


def _folder(files: Mapping[str, GitObject], depth: int) -> Iterator[tuple[int, GitObject]]:
    below: list[tuple[int, GitObject]] = []
    entries: dict[bytes, tuple[bytes, str]] = {}
    folders: dict[str, dict[str, GitObject]] = {}
    for path, blob in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(name, {})[rest] = blob
        else:
            entries[name.encode()] = (_FILE, blob.id)
            below.append((depth + 1, blob))
    for name, inner in folders.items():
        if name.encode() in entries:
            raise ValueError(f"{name} is a file and a folder at once")
        found = list(_folder(inner, depth + 1))
        entries[name.encode()] = (_FOLDER, found[0][1].id)
        below += found
    # Git sorts folders as if their names ended in a slash.
    ordered = sorted(entries.items(), key=lambda e: e[0] + b"/" if e[1][0] == _FOLDER else e[0])
    yield depth, make("tree", b"".join(b"%b %b\0%b" % (e[0], name, bytes.fromhex(e[1])) for name, e in ordered))
    yield from below


def tree_entries(tree: GitObject) -> list[str]:
    """Give the ids that a tree names."""
    ids, rest = [], tree.body
    while rest:
        end = rest.index(b"\0") + 1
        ids.append(rest[end : end + 20].hex())
        rest = rest[end + 20 :]
    return ids


def commit(tree_id: str, parent: str, author: str, time_ns: int, message: str) -> GitObject:
    """Give a commit; `author` is `Name <mail>` and commits too, `parent` is empty for a first commit."""
    when = f"{author} {time_ns // 1_000_000_000} +0000"
    lines = [f"tree {tree_id}", *([f"parent {parent}"] if parent else []), f"author {when}", f"committer {when}"]
    return make("commit", ("\n".join(lines) + f"\n\n{message.rstrip()}\n").encode())


def pack(objects: Iterable[GitObject]) -> bytes:
    """Give a pack of version 2, every object whole."""
    found = list(objects)
    parts = [b"PACK", (2).to_bytes(4, "big"), len(found).to_bytes(4, "big")]
    for each in found:
        parts += (_pack_header(_PACK_KINDS[each.kind], len(each.body)), zlib.compress(each.body, 1))
    body = b"".join(parts)
    return body + hashlib.sha1(body).digest()  # noqa: S324  Git's own


def _pack_header(kind: int, size_bytes: int) -> bytes:
    """Kind and size: four bits of the size in the first byte, seven in each that follows, least significant first."""
    header, rest = [kind << 4 | size_bytes & 15], size_bytes >> 4
    while rest:
        header[-1] |= 0x80
        header.append(rest & 0x7F)
        rest >>= 7
    return bytes(header)
