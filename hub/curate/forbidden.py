"""Terms that a dataset must not contain: who, or what, wrote the code is not part of it.

The terms and how they are written down are in ``forbidden.toml``. A text is searched as a reader
sees it (:mod:`hub.curate.plain`). In code, fenced code as well, only comments and strings count, as
the language's grammar tells them from the rest; what does not parse counts as a whole.

A term that a program puts together, as in ``"clau" + "de"``, is not found.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from hub.curate.plain import plain
from hub.curate.rows import LANGUAGES, fences

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYWHERE, EXTRA = "a name, everywhere", "a term of hub.toml"
PROSE = {"", "markdown", "restructuredtext", "text"}
WRITTEN = re.compile(r"comment|string|heredoc_body|(?:^|_)text$")  # kinds of syntax nodes
INSERTED = re.compile(r"interpolat|substitution")  # code inside a string
IN_CLASS = (b"class C {\n", b"\n}")  # around a method, which some grammars know only there
GRAMMARS = {"jsx": "javascript"}  # where a language goes by another name in the grammar package

# A line break inside a word, with the hyphen before it and the comment leader after it.
BREAK = r"[-\\]?[ \t\r]*+\n[ \t]*+(?:[#*;%>/!<\"'-]{1,4}[ \t]*+)?"
LETTER_GAP = rf"(?>[*`~]{{1,2}}|{BREAK}|- ?)?+"  # or Markdown emphasis, or the hyphen alone
WORD_GAP = r"(?:(?![.,;)])[\W_]){1,60}+"
# No part of a longer word, where it begins and ends with a letter; GitHubCopilot is two words.
START = r"(?:(?<![A-Za-z0-9])(?<![A-Za-z0-9]_)|(?<=[a-z])(?=[A-Z])|(?![A-Za-z0-9]))"
END = r"(?:(?![a-z]|_[A-Za-z0-9])|(?<![A-Za-z0-9]))"
PART_START = r"(?:(?<![A-Za-z])|(?=[A-Z]))"  # of an identifier's words
LOOKS = {"a": "4@", "e": "3", "g": "9", "i": "1l|", "l": "1iI|", "o": "0", "s": "5$", "t": "7"}
MARKS = {
    ":": r"[\"'\s]{0,4}[:=](?:(?![.,;)])[\W_]){0,60}+",
    "-": r"[-\s_#*/\u2010-\u2015]{0,8}+",
    "...": r"(?:[\w'-]{1,20}[\W_]{1,20}){0,5}?",
}
SHORT = 200  # characters of a text whose hits are remembered
UNDISGUISED = {"ai"}  # "41" is a number


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
class _Phrase:
    """An expression, and the words of which it needs one of each of ``parts``, by their letters."""

    rule: str
    parts: list[set[bytes]]
    expression: re.Pattern[str]


def find_terms(
    text: str, *, language: str = "", everywhere: bool = False, extra: tuple[str, ...] = ()
) -> list[Hit]:
    """The forbidden terms in ``text``, in order, without overlaps.

    Args:
        text: Anything, lone surrogates and null characters included.
        language: Of code; "", "text" and "markdown" are prose, in which a fence may hold code.
        everywhere: A name is a hit in identifiers of code as well.
        extra: Further terms, each a hit as whole words.
    """
    search = _find if len(text) > SHORT else _find_in_short
    return list(search(text, language, everywhere, extra))


def _find(text: str, language: str, everywhere: bool, extra: tuple[str, ...]) -> tuple[Hit, ...]:
    shown = plain(text)
    letters = _letters_of(shown.text)
    letters += letters.replace(b"rn", b"m")
    phrases, words = _phrases(extra, everywhere)
    there = {word for word in words if word in letters}
    matches = [
        (*match.span(), phrase.rule)
        for phrase in phrases
        if all(part & there for part in phrase.parts)
        for match in phrase.expression.finditer(shown.text)
    ]
    written = None if everywhere or not matches else _written(text, language)
    hits: list[Hit] = []
    line, counted = 1, 0
    for low, high, rule in sorted(matches, key=lambda match: (match[0], -match[1])):
        start, last = shown.origin(low), shown.origin(high - 1)
        if (hits and start < hits[-1].end) or (written and not written[last]):
            continue
        line += text.count("\n", counted, start)
        counted = start
        term = " ".join(shown.text[low:high].split())
        hits.append(Hit(rule, term, start, last + 1, line))
    return tuple(hits)


_find_in_short = functools.lru_cache(1 << 15)(_find)  # roles, tasks and paths come in every row


def find_terms_in(
    value: Any,
    *,
    language: str = "",
    code: tuple[str, ...] = (),
    everywhere: bool = False,
    extra: tuple[str, ...] = (),
) -> list[Hit]:
    """The forbidden terms in a JSON value: in strings, in keys, and in a key with its string.

    ``{"author": "Cursor"}`` reads as the trailer ``author: Cursor``. What stands at the places of
    ``code``, and below them, is in ``language``. Offsets are in the string; those of a hit in a key
    are 0.
    """
    hits = []
    for place, key, text in _strings(value, "", ""):
        spoken = language if place.startswith(code) else ""
        head = "" if spoken or not key else f"{key}: "
        for hit in find_terms(head + text, language=spoken, everywhere=everywhere, extra=extra):
            start, end = (max(0, offset - len(head)) for offset in (hit.start, hit.end))
            hits.append(replace(hit, start=start, end=end, place=place))
    return hits


def _strings(value: Any, place: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Every string with its place and the nearest key; a key without a string, with none."""
    if isinstance(value, str):
        yield place, key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item, f"{place}.{name}" if place else str(name), str(name))
    elif isinstance(value, list | tuple) and value:
        for number, item in enumerate(value):
            yield from _strings(item, f"{place}.{number}" if place else str(number), key)
    elif key:
        yield place, key, ""


def _written(text: str, language: str) -> bytearray:
    """Of each character, whether it counts: all of prose, but of code in it what says something."""
    whole = _said(text, language)
    if whole is not None:
        return whole
    counts = bytearray(b"\x01") * len(text)
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    for info, line, code, _ in fences(text):
        said = _said(code, LANGUAGES.get(info.lower(), info.lower()))
        if said:
            counts[starts[line] : starts[line] + len(code)] = said
    return counts


def _said(code: str, language: str) -> bytearray | None:
    """Of each character of code, whether it is in a comment or a string.

    None where it is prose, or does not parse, or has no grammar.
    """
    from tree_sitter_language_pack import get_parser

    if language in PROSE:
        return None
    try:
        parser = get_parser(GRAMMARS.get(language, language))
    except LookupError:
        return None
    source = re.sub(r"[^\x00-\x7f]", "x", code).encode()  # so that bytes count as characters
    for before, after in ((b"", b""), IN_CLASS):
        root = parser.parse(before + source + after).root_node
        if not root.has_error:
            break
    else:
        return None
    said = bytearray(len(before) + len(source))
    nodes = [root]
    while nodes:  # what is inside overrides what is around it
        node = nodes.pop()
        inserted = INSERTED.search(node.type)
        if inserted or WRITTEN.search(node.type):
            size = min(node.end_byte, len(said)) - node.start_byte
            said[node.start_byte : node.start_byte + size] = bytes([not inserted]) * size
        nodes += node.children
    return said[len(before) :]


@functools.cache
def _phrases(extra: tuple[str, ...], everywhere: bool) -> tuple[list[_Phrase], list[bytes]]:
    """``forbidden.toml`` and further terms, compiled, and all words that they need."""
    source = resources.files("hub.curate").joinpath("forbidden.toml").read_text("utf-8")
    lists: dict[str, Any] = tomllib.loads(source)
    found = [
        _phrase(rule, phrase, lists)
        for rule, phrases in lists.pop("rules").items()
        for phrase in phrases
    ]
    found += [_phrase(EXTRA, plain(term).text.lower(), {}) for term in extra]
    if everywhere:
        names = [*lists["names"], *lists["authors"]]
        inside = "|".join(f"{PART_START}{_words(name)}(?![a-z])" for name in names)
        found.append(_Phrase(EVERYWHERE, [{*map(_letters_of, names)}], re.compile(inside)))
    return found, sorted({word for phrase in found for part in phrase.parts for word in part})


def _letters_of(text: str) -> bytes:
    """The letters of a text, and what looks like some, alone and each in one form."""
    return text.encode("ascii", "ignore").translate(*_sieve())


@functools.cache
def _sieve() -> tuple[bytes, bytes]:
    looks = {look: letter for letter, all_looks in LOOKS.items() for look in all_looks}
    form = {chr(i): looks.get(chr(i), chr(i).lower()).replace("i", "l") for i in range(128)}
    return (
        bytes.maketrans("".join(form).encode(), "".join(form.values()).encode()),
        "".join(char for char, one in form.items() if not one.isalpha()).encode(),
    )


def _phrase(rule: str, phrase: str, lists: dict[str, list[str]]) -> _Phrase:
    """A phrase of ``forbidden.toml`` with what stands for its lists."""
    parts, needed = [], []
    for part in re.split(r"(\{[\w|]+\}|\.{3})", phrase):
        named = part[1:-1].split("|") if lists and part.startswith("{") else []
        entries = [entry for name in named for entry in lists[name]] or [part]
        parts.append(f"(?:{'|'.join(map(_words, entries))})")
        needed.append({_letters_of(entry) for entry in entries})
    needed = [words for words in needed if b"" not in words]
    return _Phrase(rule, needed, re.compile(f"{START}{''.join(parts)}{END}"))


def _words(phrase: str) -> str:
    """Words with what may stand between them and between their letters."""
    parts = []
    for token in re.findall(r"[A-Za-z]+|:?\s+|\.{3}|[^A-Za-z\s]", phrase):
        if token.isalpha() and token.isascii():
            letters = [_letter(each, disguised=token not in UNDISGUISED) for each in token]
            spaced = "[ ._]".join(letters)
            parts.append(f"(?:{LETTER_GAP.join(letters)}|{spaced})")
        elif token.isspace():
            parts.append(WORD_GAP)
        else:
            parts.append(MARKS.get(token.strip(), re.escape(token)))
    return "".join(parts)


def _letter(letter: str, *, disguised: bool) -> str:
    if letter.isupper():
        return letter
    looks = re.escape(LOOKS.get(letter, "")) if disguised else ""
    one = f"[{letter}{letter.upper()}{looks}]"
    return f"(?:{one}|rn)" if letter == "m" and disguised else one
