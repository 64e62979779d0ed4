"""Terms that a dataset must not contain: who, or what, wrote the code is not part of it.

The terms and how they are written down are in ``forbidden.toml``. A text is searched as a reader
sees it (:mod:`hub.curate.plain`). In code only comments and strings count, as the language's
grammar tells them from the rest; where there is no grammar, all of it counts.

A term that a program puts together, as in ``"clau" + "de"``, is not found.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from hub.curate.plain import PlainText, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

EVERYWHERE = "a name, everywhere"
PROSE = {None, "", "markdown", "restructuredtext", "text"}
WRITTEN = re.compile(r"comment|string|heredoc_body|(?:^|_)text$|ERROR")  # kinds of syntax nodes
INSERTED = re.compile(r"interpolat|substitution")  # code inside a string
CLASS = b"class C {\n"
GRAMMARS = {"jsx": "javascript"}  # where a language goes by another name in the grammar package

BREAK = "\x00"  # stands for a line break with the hyphen before it and the comment leader after
LEADER = re.compile(r"[ \t]*(?:[#*;%>/!<\"'-]{1,4}[ \t]*)?")
HYPHENS = ("-", "\\", "\u2010")
LETTER_GAP = f"[{BREAK}*`~]{{0,2}}"  # also Markdown emphasis inside a word
WORD_GAP = r"(?:(?![.,;)])[\W_]){1,60}+"
WORD_START, WORD_END = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z_])"
LOOKS = {"a": "4@", "e": "3", "g": "9", "i": "1l|!", "l": "1iI|", "o": "0", "s": "5$", "t": "7"}
MARKS = {
    ":": r"[\"'\s]{0,4}[:=](?:(?![.,;)])[\W_]){0,60}+",
    "-": r"[-\s_\x00#*/\u2010-\u2015]{0,8}+",
}
UNDISGUISED = {"ai"}  # "41" is a number
BEFORE, AFTER = 120, 80  # characters around a name in which its phrases are looked for


@dataclass(frozen=True, slots=True)
class Hit:
    """A forbidden term: ``start`` and ``end`` in characters of the original, ``line`` from 1.

    ``term`` is how it reads, ``rule`` the name of its rule in ``forbidden.toml``, ``place`` the
    way to the text in a JSON value, such as ``prompt.0.content``.
    """

    rule: str
    term: str
    start: int
    end: int
    line: int
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Terms:
    marks: re.Pattern[str]
    names: re.Pattern[str]
    rules: dict[str, re.Pattern[str]]


def find_terms(text: str, *, language: str | None = None, everywhere: bool = False) -> list[Hit]:
    """The forbidden terms in ``text``, in order, without overlaps.

    Args:
        text: Anything, lone surrogates and null characters included.
        language: Of code; None, "text" and "markdown" are prose through and through.
        everywhere: A name alone is a hit, in identifiers of code as well.
    """
    shown = plain(text)
    read = _unbroken(shown.text)
    spans = sorted(_spans(read.text, everywhere), key=lambda span: (span[1], -span[2]))
    is_prose = _prose_of(text, language) if spans and not everywhere else None
    hits: list[Hit] = []
    line, counted = 1, 0
    for rule, low, high in spans:
        start, last = (shown.origin(read.origin(each)) for each in (low, high - 1))
        if (hits and start < hits[-1].end) or (is_prose and not is_prose(start)):
            continue
        line += text.count("\n", counted, start)
        counted = start
        term = " ".join(read.text[low:high].replace(BREAK, " ").split())
        hits.append(Hit(rule, term, start, last + 1, line))
    return hits


def find_terms_in(value: Any, *, everywhere: bool = False) -> list[Hit]:
    """The forbidden terms in a JSON value: in strings, in keys, and in a key with its string.

    ``{"author": "Codex"}`` reads as the trailer ``author: Codex``. Offsets are in the string; those
    of a hit in a key are 0.
    """
    hits = []
    for place, key, text in _strings(value, "", ""):
        ahead = len(key) + 2 if key else 0
        for hit in find_terms(f"{key}: {text}" if key else text, everywhere=everywhere):
            start, end = max(0, hit.start - ahead), max(0, hit.end - ahead)
            hits.append(replace(hit, start=start, end=end, place=place))
    return hits


def _strings(value: Any, place: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Every string with its place and the nearest key; a key without a string, with none."""
    if isinstance(value, str):
        yield place, key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item, f"{place}.{name}" if place else str(name), str(name))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _strings(item, f"{place}.{number}" if place else str(number), key)
    elif key:
        yield place, key, ""


def _spans(text: str, everywhere: bool) -> Iterator[tuple[str, int, int]]:
    """Every match of every rule near a name, and every name alone if it counts everywhere."""
    terms = _terms()
    if everywhere:
        yield from ((EVERYWHERE, *match.span()) for match in terms.names.finditer(text))
    for start, end in _windows(text, terms.marks):
        for rule, pattern in terms.rules.items():
            yield from ((rule, *match.span()) for match in pattern.finditer(text, start, end))


def _windows(text: str, marks: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where a phrase can be, each character once: the work stays linear in the text."""
    windows: list[tuple[int, int]] = []
    for match in marks.finditer(text):
        start, end = max(0, match.start() - BEFORE), min(len(text), match.end() + AFTER)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return windows


def _unbroken(text: str) -> PlainText:
    """Line breaks, with hyphens before and comment leaders after them, as one character each."""
    parts: list[str] = []
    starts: list[int] = []
    origins: list[int] = []
    begin = length = 0
    for line in text.split("\n"):
        leader = LEADER.match(line) if begin else None
        low = leader.end() if leader else 0
        kept = line[low:].rstrip(" \t\r")
        kept = kept[:-1] if kept.endswith(HYPHENS) else kept
        parts.append(kept)
        starts.append(length)
        origins.append(begin + low)
        begin += len(line) + 1
        length += len(kept) + 1
    return PlainText(BREAK.join(parts), starts, origins)


def _prose_of(text: str, language: str | None) -> Callable[[int], bool] | None:
    """Whether an offset of code is in a comment or a string; None where all of it is prose.

    The answer wants ever larger offsets: bytes are counted from one to the next. Where the grammar
    is lost, all is prose.
    """
    from tree_sitter_language_pack import get_parser

    if language in PROSE:
        return None
    try:
        parser = get_parser(GRAMMARS.get(str(language), str(language)))
    except LookupError:
        return None
    source = text.encode("utf-8", "surrogatepass")
    root, ahead = parser.parse(source).root_node, 0
    if root.has_error:  # a method without its class
        in_class = parser.parse(CLASS + source + b"\n}").root_node
        root, ahead = (root, 0) if in_class.has_error else (in_class, len(CLASS))
    counted, position = 0, ahead

    def is_prose(offset: int) -> bool:
        nonlocal counted, position
        position += len(text[counted:offset].encode("utf-8", "surrogatepass"))
        counted = offset
        return _is_written(root.descendant_for_byte_range(position, position + 1))

    return is_prose


def _is_written(node: Node | None) -> bool:
    while node is not None and node.parent is not None:
        if INSERTED.search(node.type):
            return False
        if WRITTEN.search(node.type):
            return True
        node = node.parent
    return False


@functools.cache
def _terms() -> _Terms:
    """``forbidden.toml``, compiled."""
    source = resources.files("hub.curate").joinpath("forbidden.toml").read_text("utf-8")
    lists: dict[str, Any] = tomllib.loads(source)
    rules = {
        rule["name"]: re.compile("|".join(_phrase(phrase, lists) for phrase in rule["phrases"]))
        for rule in lists.pop("rule")
    }
    names = [_words(name) for name in lists["names"]]
    marks = [*names, *(WORD_START + _words(mark) for mark in lists["marks"])]
    return _Terms(re.compile("|".join(marks)), re.compile("|".join(names)), rules)


def _phrase(phrase: str, lists: dict[str, list[str]]) -> str:
    """A phrase of ``forbidden.toml`` as an expression, with what stands for its lists."""
    parts = []
    for part in re.split(r"(\{\w+\})", phrase):
        if part.startswith("{"):
            parts.append(f"(?:{'|'.join(_words(entry) for entry in lists[part[1:-1]])})")
        else:
            parts.append(_words(part))
    begin = WORD_START if phrase[0].isalpha() or phrase[0] == "{" else ""
    end = WORD_END if phrase[-1].isalpha() or phrase[-1] == "}" else ""
    return begin + "".join(parts) + end


def _words(phrase: str) -> str:
    """Words with what may stand between them and between their letters."""
    parts = []
    for token in re.findall(r"[A-Za-z]+|:?\s+|[^A-Za-z\s]", phrase):
        if token.isalpha():
            disguised = token not in UNDISGUISED
            parts.append(LETTER_GAP.join(_letter(each, disguised=disguised) for each in token))
        elif token.isspace():
            parts.append(WORD_GAP)
        else:
            parts.append(MARKS.get(token[0], re.escape(token)))
    return "".join(parts)


def _letter(letter: str, *, disguised: bool) -> str:
    if letter.isupper():
        return letter
    looks = re.escape(LOOKS.get(letter, "")) if disguised else ""
    one = f"[{letter}{letter.upper()}{looks}]"
    return f"(?:{one}|rn)" if letter == "m" and disguised else one
