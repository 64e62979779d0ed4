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

    Hunk = tuple[int, int, int, int]  # first line and the one after the last, in both versions

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
        edited = like.tree.copy()
        hunks = zip(*differences(data, like.data), strict=True)
        for (start, end), (old_start, old_end) in reversed(list(hunks)):  # the last moves no other
            row, column = _point(like.data, old_start)
            after = row + data.count(b"\n", start, end), _point(data, end)[1]
            points = (row, column), _point(like.data, old_end), after
            edited.edit(old_start, old_end, old_start + end - start, *points)
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

    The nearest lines of code around them belong to them: what is only in one version has no bytes
    of its own in the other one, and still changes the function there.
    """
    ours, theirs = old.splitlines(keepends=True), new.splitlines(keepends=True)
    first = _common(ours, theirs)
    last = _common(reversed(ours[first:]), reversed(theirs[first:]))
    rest, other_rest = ours[first : len(ours) - last], theirs[first : len(theirs) - last]
    hunks = [(0, len(rest), 0, len(other_rest))]
    if max(len(rest), len(other_rest)) <= MAX_COMPARED_LINES:
        codes = SequenceMatcher(None, rest, other_rest).get_opcodes()
        hunks = [(a, b, c, d) for tag, a, b, c, d in codes if tag != "equal"]
    hunks = _widened(ours, [(first + a, first + b, first + c, first + d) for a, b, c, d in hunks])
    offsets, other_offsets = ([0, *accumulate(map(len, lines))] for lines in (ours, theirs))
    return (
        [(offsets[start], offsets[end]) for start, end, _, _ in hunks],
        [(other_offsets[start], other_offsets[end]) for _, _, start, end in hunks],
    )


def _widened(lines: list[bytes], hunks: list[Hunk]) -> list[Hunk]:
    """With the nearest lines of code above and below; hunks that then touch are one.

    ``lines`` are those of the first version: around a hunk, those of the other are the same.
    Blank lines and comments of Python belong to the function above or not by what follows them.
    """
    is_code = [bool(line.strip()) and not line.lstrip().startswith(b"#") for line in lines]
    wide: list[Hunk] = []
    for start, end, other_start, other_end in hunks:
        above = next((i for i in range(start - 1, -1, -1) if is_code[i]), 0)
        below = next((i + 1 for i in range(end, len(lines)) if is_code[i]), len(lines))
        other_above, other_below = other_start - start + above, other_end - end + below
        if wide and above < wide[-1][1]:
            above, _, other_above, _ = wide.pop()
        wide.append((above, below, other_above, other_below))
    return wide


def _common(ours: Iterable[bytes], theirs: Iterable[bytes]) -> int:
    """How many items are the same before the first that is not."""
    number = 0
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            break
        number += 1
    return number


def _point(data: bytes, offset: int) -> tuple[int, int]:
    """Row and column, from 0."""
    return data.count(b"\n", 0, offset), offset - data.rfind(b"\n", 0, offset) - 1
