"""A text as a reader sees it: disguises taken off, with the way back to the original.

Compatibility forms (NFKD), accents, invisible characters, letters of other scripts that look Latin
(the Unicode Consortium's table of confusables, from the package confusable-homoglyphs) and HTML
character references become plain letters. Case is kept.
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
LATIN_NAME = re.compile(
    r"(?:LATIN (?P<case>CAPITAL|SMALL) LETTER|LATIN LETTER SMALL CAPITAL"
    r"|(?:NEGATIVE |CROSSED )?(?:CIRCLED|SQUARED) LATIN (?:CAPITAL|SMALL) LETTER"
    r"|REGIONAL INDICATOR SYMBOL LETTER) (?P<letter>[A-Z])(?: WITH .*)?$"
)
# Look-alikes that the table leaves out, because a careful reader could tell them apart.
FURTHER = dict(zip("εҽєτтηпнκкμмωгβвʟσΣλΛ", "eeettnnhkkuuwrbbloEla", strict=True))
INVISIBLE = {"Cf", "Mn", "Me", "Cc", "Cs"}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
BLANK = "\u3164\uffa0\u115f\u1160\u2800"  # letters and symbols without ink


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text, and where its stretches come from.

    The characters from ``starts[i]`` on come from ``origins[i]`` on in the original.
    """

    text: str
    starts: Sequence[int]
    origins: Sequence[int]

    def origin(self, offset: int) -> int:
        """The offset in the original of the character at ``offset``."""
        run = bisect_right(self.starts, offset) - 1
        return self.origins[run] + offset - self.starts[run]


def plain(text: str) -> PlainText:
    """``text`` without disguises; what is plain already costs next to nothing."""
    if text.isascii() and not _has_reference(text) and not CONTROL.search(text):
        return PlainText(text, (0,), (0,))
    parts: list[str] = []
    origins: list[int] = []
    for start, source in _characters(text):
        for letters in map(_plain_character, source):
            parts.append(letters)
            origins += [start] * len(letters)
    shown = "".join(parts)
    return PlainText(shown, range(len(shown) + 1), [*origins, len(text)])


def _has_reference(text: str) -> bool:
    return "&" in text and REFERENCE.search(text) is not None


def _characters(text: str) -> list[tuple[int, str]]:
    """Each character with its offset; a character reference is what it refers to."""
    found: list[tuple[int, str]] = []
    done = 0
    for match in REFERENCE.finditer(text) if "&" in text else ():
        found += enumerate(text[done : match.start()], start=done)
        found.append((match.start(), html.unescape(match[0])))
        done = match.end()
    found += enumerate(text[done:], start=done)
    return found


@functools.lru_cache(maxsize=20_000)
def _plain_character(char: str) -> str:
    if char.isascii():
        return "" if CONTROL.match(char) else char
    shown = "".join(c for c in unicodedata.normalize("NFKD", char) if not _is_invisible(c))
    return "".join(c if c.isascii() else _latin(c) for c in shown)


def _is_invisible(char: str) -> bool:
    """Format and control characters, combining marks, lone surrogates, blank fillers."""
    return char in BLANK or unicodedata.category(char) in INVISIBLE


def _latin(char: str) -> str:
    """The Latin letter that a character looks like, else itself."""
    known = FURTHER.get(char) or _confusables().get(char)
    if known:
        return known
    name = LATIN_NAME.search(unicodedata.name(char, ""))
    if not name:
        return char
    return name["letter"].lower() if name["case"] == "SMALL" else name["letter"]


@functools.cache
def _confusables() -> dict[str, str]:
    from confusable_homoglyphs.confusables import confusables_data

    return {
        char: option["c"]
        for char, options in confusables_data.items()
        for option in options
        if len(char) == 1 and len(option["c"]) == 1 and option["c"].isascii()
    }
