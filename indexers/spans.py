"""From spans to chunks: where a file may be cut, and which of those cuts are taken.

A grammar says where constructs begin (spans); this module alone decides sizes. Every span runs to
the start of the next one, so the chunks of a file partition its bytes by construction.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from hub.types import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\f\v"
_WHITESPACE = re.compile(rb"[ \t\r\n\f\v]*")
_WORD = re.compile(rb"[\w\x80-\xff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The start of a construct, and what is known of it.

    ``nodes`` are where to look for cuts if it is too long; ``points`` are the file's cuts (sorted)
    where no tree has them. A span that is ``glue`` may share a
    chunk with glue of the same kind and symbol. ``declares`` names the function of which this is
    only a declaration, so that an implementation right below can take it in.
    """

    start: int
    kind: str
    symbol: str = ""
    signature: str = ""
    docstring: str = ""
    glue: bool = False
    declares: str = ""
    nodes: tuple[Node, ...] = ()
    points: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class _Piece:
    """One chunk to be: a stretch of bytes and the span that describes it."""

    start: int
    end: int
    span: Span
    part: int


class Source:
    """The bytes of one file, and the questions about offsets that cutting them asks."""

    def __init__(self, data: bytes, max_chars: int) -> None:
        if max_chars < 1:
            raise ValueError(f"max_chars must be at least 1, got {max_chars}")
        self.data = data
        self.max_chars = max_chars
        self.is_ascii = data.isascii()

    @cached_property
    def newlines(self) -> list[int]:
        """Where the lines end; searched once, when the first line number is asked for."""
        return [match.start() for match in re.finditer(rb"\n", self.data)]

    def line(self, offset: int) -> int:
        """The 1-based line that ``offset`` lies on."""
        return bisect_left(self.newlines, offset) + 1

    def line_start(self, offset: int) -> int | None:
        """The start of the line of ``offset``, or None if more than indentation precedes it."""
        while offset > 0 and self.data[offset - 1] in _BLANKS:
            offset -= 1
        if offset == len(BOM) and self.data.startswith(BOM):
            return 0
        return offset if offset == 0 or self.data[offset - 1] == ord("\n") else None

    def skip_space(self, offset: int) -> int:
        """The first offset from ``offset`` on that is not ASCII whitespace."""
        match = _WHITESPACE.match(self.data, offset)
        return match.end() if match else offset

    def reach(self, start: int) -> int:
        """How far a chunk may run from ``start``: surrounding whitespace costs nothing."""
        start = self.skip_space(start)
        if self.is_ascii:
            return self.skip_space(start + self.max_chars)
        window = self.data[start : start + 4 * self.max_chars].decode("utf-8", "ignore")
        return self.skip_space(start + len(window[: self.max_chars].encode()))

    def fits(self, start: int, end: int) -> bool:
        """Whether the stretch is within the budget, surrounding whitespace not counted."""
        return end - start <= self.max_chars or end <= self.reach(start)

    def has_word(self, start: int, end: int) -> bool:
        """Whether the stretch says anything, or is whitespace and punctuation only."""
        return _WORD.search(self.data, start, end) is not None


def to_chunks(source: Source, spans: list[Span], *, path: str, language: str) -> list[Chunk]:
    """Cut the file at its spans, and spans over the budget at the syntax inside them."""
    pieces = [piece for group in _grouped(source, spans) for piece in _cut(source, group)]
    return [_chunk(source, piece, path, language) for piece in _number_classes(pieces)]


def _chunk(source: Source, piece: _Piece, path: str, language: str) -> Chunk:
    data = source.data[piece.start : piece.end]
    first = piece.start + len(data) - len(data.lstrip())
    last = piece.start + len(data.rstrip()) - 1
    return Chunk(
        path=path,
        start_byte=piece.start,
        end_byte=piece.end,
        start_line=source.line(min(first, piece.end - 1)),
        end_line=source.line(max(last, piece.start)),
        language=language,
        kind=piece.span.kind,
        symbol=piece.span.symbol,
        signature=piece.span.signature,
        docstring=piece.span.docstring,
        part=piece.part,
        text=data.decode("utf-8"),
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """Adjacent spans that share chunks: one definition, or a run of glue."""

    start: int
    end: int
    spans: list[Span]


def _grouped(source: Source, spans: list[Span]) -> list[_Group]:
    """Runs of glue of one kind and symbol together, everything else by itself.

    Glue without a word in it (closing braces, a semicolon) opens no group: it stays with what
    precedes it.
    """
    ends = [span.start for span in spans[1:]] + [len(source.data)]
    kept = [
        span
        for span, end in zip(spans, ends, strict=True)
        if not span.glue or source.has_word(span.start, end)
    ] or spans[:1]
    runs: list[list[Span]] = [[replace(kept[0], start=0)]]
    for span in kept[1:]:
        if _mergeable(runs[-1][-1], span):
            runs[-1].append(span)
        else:
            runs.append([span])
    starts = [run[0].start for run in runs] + [len(source.data)]
    extents = zip(runs, pairwise(starts), strict=True)
    return [_Group(start, end, run) for run, (start, end) in extents if start < end]


def _mergeable(left: Span, right: Span) -> bool:
    return left.glue and right.glue and (left.kind, left.symbol) == (right.kind, right.symbol)


def _cut(source: Source, group: _Group) -> list[_Piece]:
    """One piece if the group fits; else as few as its cut points allow, numbered from 1."""
    starts = [group.start]
    if not source.fits(group.start, group.end):
        starts = _pack(source, group.start, group.end, _cut_points(source, group))
    first = group.spans[0]
    rest = replace(first, docstring="")
    if first.declares:  # its docstring is for the implementation that did not come
        first = rest
    return [
        _Piece(start, end, rest if index else first, index + 1 if len(starts) > 1 else 0)
        for index, (start, end) in enumerate(pairwise([*starts, group.end]))
    ]


def _cut_points(source: Source, group: _Group) -> list[int]:
    """Line starts of the largest syntax nodes that fit the budget, and of the spans themselves.

    An explicit stack: nesting in the file must not become nesting in Python.
    """
    given = group.spans[0].points
    within = given[bisect_right(given, group.start) : bisect_left(given, group.end)]
    points = {*within, *(span.start for span in group.spans)}
    stack = [node for span in group.spans for node in span.nodes]
    while stack:
        node = stack.pop()
        if node.end_byte <= group.start or node.start_byte >= group.end:
            continue
        start = source.line_start(node.start_byte)
        if start is not None:
            points.add(start)
        if not source.fits(node.start_byte, node.end_byte):
            stack.extend(node.named_children)
    return sorted(points)


def _pack(source: Source, start: int, end: int, points: list[int]) -> list[int]:
    """Starts of pieces, each up to the last cut point in reach, else a line, else a character."""
    starts = [start]
    while not source.fits(start, end):
        first_word, limit = source.skip_space(start), source.reach(start)
        index = bisect_right(points, limit) - 1
        if index >= 0 and points[index] > first_word:
            start = points[index]
        else:
            start = _line_cut(source.data, first_word, limit)
        starts.append(start)
    if len(starts) > 1 and not source.has_word(starts[-1], end):
        starts.pop()
    return starts


def _line_cut(data: bytes, start: int, limit: int) -> int:
    """The last blank line in the second half of the stretch, else its last line, else its end."""
    blank = data.rfind(b"\n\n", (start + limit) // 2, limit)
    if blank < 0:
        blank = data.rfind(b"\n\r\n", (start + limit) // 2, limit)
    newline = data.rfind(b"\n", start, limit)
    if newline < 0:
        return limit
    return data.find(b"\n", blank + 1) + 1 if blank >= 0 else newline + 1


def _number_classes(pieces: list[_Piece]) -> list[_Piece]:
    """Number the pieces of a class across the file: methods lie between them."""
    totals = Counter(piece.span.symbol for piece in pieces if piece.span.kind == "class")
    seen: Counter[str] = Counter()
    numbered = []
    for piece in pieces:
        symbol = piece.span.symbol
        if piece.span.kind == "class":
            seen[symbol] += 1
            piece = replace(piece, part=seen[symbol] if totals[symbol] > 1 else 0)
        numbered.append(piece)
    return numbered
