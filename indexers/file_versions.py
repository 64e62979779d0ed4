"""Versions of a file: where they differ, and the functions there.

Where a function begins and what it is called is the chunker's decision (outline.py). Here it is
kept whole, with its syntax tree. Only what differs is looked at, which is most of the speed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from indexers.code import parse
from indexers.languages import GRAMMARS
from indexers.outline import outline
from indexers.spans import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node, Tree

    from indexers.outline import Ranges

MAX_COMPARED_LINES = 5000  # beyond them, all between the first and last difference differs
_KINDS = {"function", "method", "test"}


class Version(NamedTuple):
    """A file, which is UTF-8, and its tree."""

    data: bytes
    language: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Function:
    """A function with its decorators and the comments that belong to it.

    ``line`` is the 1-based line of its first byte; ``nodes`` are the attributes that some grammars
    put beside it, and itself.
    """

    symbol: str
    kind: str
    language: str
    signature: str
    text: str
    line: int
    nodes: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The last part of the qualified symbol."""
        return re.split(r"[.>\s]+", self.symbol)[-1]


def parse_version(data: bytes, language: str, like: Version | None = None) -> Version:
    """A file parsed; ``like``, another version of it, saves most of the time.

    Raises:
        HubError: the language's grammar cannot be loaded.
    """
    edited = None
    if like and like.language == language:
        if like.data == data:
            return like
        hunks, their_hunks = differences(data, like.data)
        start, end, their_end = hunks[0][0], hunks[-1][1], their_hunks[-1][1]
        points = (_point(data, start), _point(like.data, their_end), _point(data, end))
        edited = like.tree.copy()
        edited.edit(start, their_end, end, *points)
    return Version(data, language, parse(GRAMMARS[language].name, data, edited))


def functions(version: Version, within: Ranges | None = None) -> Iterator[Function]:
    """The outermost functions of a file, in order; those that touch the ranges ``within``."""
    data, language, tree = version
    source = Source(data, max_chars=1)  # nothing is cut here
    for span in outline(source, GRAMMARS[language], tree.root_node, within):
        if span.kind in _KINDS and span.symbol:
            nodes = [span.nodes[-1]]
            while (node := nodes[0].prev_sibling) is not None and node.start_byte >= span.start:
                nodes.insert(0, node)
            text = data[span.start : nodes[-1].end_byte].decode().rstrip()
            line = data.count(b"\n", 0, span.start) + 1
            yield Function(
                span.symbol, span.kind, language, span.signature, text, line, tuple(nodes)
            )


@lru_cache(maxsize=1)  # asked to parse, and again to compare
def differences(old: bytes, new: bytes) -> tuple[Ranges, Ranges]:
    """The bytes that differ, by whole lines, in each of two versions of a file.

    The nearest lines of text around them belong to them: what is only in one version has no bytes
    of its own in the other one, and still changes the function there.
    """
    ours, theirs = old.splitlines(keepends=True), new.splitlines(keepends=True)
    first = _common(ours, theirs)
    last = _common(reversed(ours[first:]), reversed(theirs[first:]))
    rest, other_rest = ours[first : len(ours) - last], theirs[first : len(theirs) - last]
    changed = [[0, len(rest), 0, len(other_rest)]]
    if max(len(rest), len(other_rest)) <= MAX_COMPARED_LINES:
        hunks = SequenceMatcher(None, rest, other_rest).get_opcodes()
        changed = [lines for tag, *lines in hunks if tag != "equal"]
    return (
        _ranges(ours, [(first + start, first + end) for start, end, _, _ in changed]),
        _ranges(theirs, [(first + start, first + end) for _, _, start, end in changed]),
    )


def _common(ours: Iterable[bytes], theirs: Iterable[bytes]) -> int:
    """How many items are the same before the first that is not."""
    number = 0
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            break
        number += 1
    return number


def _ranges(lines: list[bytes], hunks: list[tuple[int, int]]) -> Ranges:
    """The bytes of each hunk, with the next line above and below that is not blank."""
    offsets = [0, *accumulate(map(len, lines))]
    ranges = []
    for start, end in hunks:
        above = next((i for i in range(start - 1, -1, -1) if lines[i].strip()), 0)
        below = next((i for i in range(end, len(lines)) if lines[i].strip()), len(lines) - 1)
        ranges.append((offsets[above], offsets[below + 1]))
    return ranges


def _point(data: bytes, offset: int) -> tuple[int, int]:
    """Row and column, from 0."""
    return data.count(b"\n", 0, offset), offset - data.rfind(b"\n", 0, offset) - 1
