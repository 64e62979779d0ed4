"""Markdown and reStructuredText by section, and plain text by paragraph.

Line scanners, not tree-sitter grammars: that of Markdown crashes the process on a thousand nested
block quotes, and sections need only headings, fences, comments and front matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from indexers.spans import BOM, Span

_FENCE = re.compile(rb" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_ATX = re.compile(rb" {0,3}(#{1,6})(?=[ \t]|$)(.*)")
_MAX_TITLE = 200
_UNDERLINE = re.compile(rb" {0,3}(=+|-+)[ \t]*$")
_NOT_PARAGRAPH = re.compile(rb" {4}|\t| {0,3}(?:[>|<]|[-+*](?:[ \t]|$)|\d{1,9}[.)](?:[ \t]|$))")
_RAW_HTML = re.compile(rb" {0,3}<(!--|pre\b|script\b|style\b|textarea\b)", re.IGNORECASE)
_FRONT_MATTER = re.compile(rb"(---|\+\+\+)[ \t]*\r?\n(?:.*\n)*?(?:\1|\.\.\.)[ \t]*\r?(?:\n|\Z)")


# Of reStructuredText: what titles are underlined, and overlined, with.
_ADORNMENT = re.compile(rb"([!-/:-@\[-`{-~])\1+[ \t]*$")
_MIN_ADORNMENT = 4  # or the length of its title, says docutils


def text_spans() -> list[Span]:
    """Text has no syntax to cut at: one span, which is split at blank lines and lines."""
    return [Span(start=0, kind="text")]


def section_spans(data: bytes) -> list[Span]:
    """One span per heading, named by the headings above it; what precedes the first has no name."""
    scan = _Scan(data)
    for line, start, end in _lines(data, _after_front_matter(data)):
        scan.line(line, start, end)
    return scan.sections()


def rest_spans(data: bytes) -> list[Span]:
    """The same of reStructuredText, where the order in which adornments appear makes the levels."""
    scan = _Scan(data)
    lines = _lines(data, len(BOM) if data.startswith(BOM) else 0)
    levels: dict[tuple[bytes, bool], int] = {}
    at = 0
    while at < len(lines):
        text, start, end = lines[at]
        title = _adorned([line for line, *_ in lines[at : at + 3]])
        if title and not (at and lines[at - 1][0].strip()):
            level = levels.setdefault((title.mark, title.overlined), len(levels) + 1)
            scan.heading(start, level, title.text)
            at += 3 if title.overlined else 2
            continue
        at += 1
        following = lines[at][0] if at < len(lines) else b""
        if not text.strip() and not following.startswith((b" ", b"\t")):
            scan.breaks.append(end)  # what is indented belongs to what is above
    return scan.sections()


class _Title(NamedTuple):
    text: bytes
    mark: bytes
    overlined: bool


def _adorned(lines: list[bytes]) -> _Title | None:
    """The title that lines begin with, if they do."""
    above, title, below = [*lines, b"", b"", b""][:3]
    over, under = _ADORNMENT.match(above), _ADORNMENT.match(below)
    if over and under and over[1] == under[1] and title.strip() and not _ADORNMENT.match(title):
        return _Title(title.strip(), over[1], overlined=True)
    title, under = above, _ADORNMENT.match(title)
    long_enough = under and len(under[0]) >= min(len(title.rstrip()), _MIN_ADORNMENT)
    if under and long_enough and not over and title[:1].strip():
        return _Title(title.strip(), under[1], overlined=False)
    return None


def _lines(data: bytes, begin: int) -> list[tuple[bytes, int, int]]:
    """Each line without its end, and where it starts and ends with it."""
    lines = data[begin:].split(b"\n")
    starts = accumulate((len(line) + 1 for line in lines), initial=begin)
    return [
        (line.rstrip(b"\r"), start, end)
        for line, (start, end) in zip(lines, pairwise(starts), strict=True)
    ]


def _after_front_matter(data: bytes) -> int:
    start = len(BOM) if data.startswith(BOM) else 0
    match = _FRONT_MATTER.match(data, start)
    return match.end() if match else start


@dataclass(slots=True)
class _Scan:
    """Where the scanner is: the open fence or HTML block, the open paragraph, what was found.

    ``paragraph`` is the start of a paragraph that an underline would make a heading.
    """

    data: bytes
    spans: list[Span] = field(default_factory=lambda: [Span(start=0, kind="section")])
    breaks: list[int] = field(default_factory=list)
    titles: dict[int, str] = field(default_factory=dict)
    closer: re.Pattern[bytes] | None = None
    paragraph: int | None = None
    in_container: bool = False

    def line(self, line: bytes, start: int, end: int) -> None:
        if self.closer is not None:
            self.closer = None if self.closer.search(line) else self.closer
        elif not line.strip():
            self.breaks.append(end)
            self._end_paragraph()
        elif opener := _closer_of(line):
            self.closer = None if opener.search(line, line.find(b"<") + 4) else opener
            self._end_paragraph()
        elif atx := _ATX.match(line):
            self.heading(start, len(atx[1]), re.sub(rb"(?<!\S)#+$", b"", atx[2].strip()))
        elif self.paragraph is not None and (underline := _UNDERLINE.match(line)):
            title = self.data[self.paragraph : start]
            self.heading(self.paragraph, 1 if underline[1][:1] == b"=" else 2, title)
        elif self.paragraph is None:
            self._open_paragraph(line, start)

    def _open_paragraph(self, line: bytes, start: int) -> None:
        """A list, quote, table or HTML block is none, up to the next blank line."""
        self.in_container = self.in_container or _NOT_PARAGRAPH.match(line) is not None
        if not self.in_container:
            self.paragraph = start

    def _end_paragraph(self) -> None:
        self.paragraph, self.in_container = None, False

    def heading(self, start: int, level: int, title: bytes) -> None:
        """A section begins at ``start``."""
        self._end_paragraph()
        self.titles = {above: text for above, text in self.titles.items() if above < level}
        self.titles[level] = " ".join(title.decode("utf-8", "replace").split())[:_MAX_TITLE]
        symbol = " > ".join(text for text in self.titles.values() if text)
        self.spans.append(Span(start=start, kind="section", symbol=symbol))

    def sections(self) -> list[Span]:
        """The spans, all of which may be cut at blank lines outside fences."""
        return [replace(span, points=self.breaks) for span in self.spans]


def _closer_of(line: bytes) -> re.Pattern[bytes] | None:
    """The pattern that ends the fence or raw HTML block which ``line`` opens, if it opens one."""
    if fence := _FENCE.match(line):
        marker = fence[1]
        return re.compile(rb"^ {0,3}%s{%d,}[ \t]*$" % (marker[:1], len(marker)))
    if html := _RAW_HTML.match(line):
        tag = html[1].lower()
        return re.compile(b"-->" if tag == b"!--" else b"</%s>" % tag, re.IGNORECASE)
    return None
