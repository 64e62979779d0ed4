"""A text as a reader sees it: disguises taken off, with the way back to the original.

Compatibility forms (NFKD), accents, invisible characters, letters of other scripts that look Latin
(the Unicode Consortium's table of confusables, from the package confusable-homoglyphs), HTML
character references, escapes of string literals and of URLs become plain letters. Case is kept.
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

DISGUISE = re.compile(
    r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"  # HTML
    r"|\\(?:[nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,5}\})"  # string literals
    r"|%[2-7][0-9a-fA-F]"  # URLs
    r"|[^\t-\r -~]"
)
PIECE = re.compile(rf"(?P<plain>[\t-\r -$'-\[\]-~]+)|{DISGUISE.pattern}|[%&\\]")
LATIN_NAME = re.compile(
    r"(?:LATIN (?P<case>CAPITAL|SMALL) LETTER|LATIN LETTER SMALL CAPITAL"
    r"|(?:NEGATIVE |CROSSED )?(?:CIRCLED|SQUARED|PARENTHESIZED) LATIN (?:CAPITAL|SMALL) LETTER"
    r"|REGIONAL INDICATOR SYMBOL LETTER) (?P<letter>[A-Z])(?: WITH .*)?$"
)
# Look-alikes that the table leaves out, because a careful reader could tell them apart.
FURTHER = dict(zip("εҽєτтηпнκкμмωгβвʟσΣλΛχ", "eeettnnhkkuuwrbbloElax", strict=True))
INVISIBLE = {"Cf", "Mn", "Me", "Cc", "Cs"}  # categories
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
    """``text`` without disguises; one that has none costs next to nothing."""
    if not DISGUISE.search(text):
        return PlainText(text, (0,), (0,))
    parts: list[str] = []
    starts, origins, length = [], [], 0
    for piece in PIECE.finditer(text):
        for part in (piece[0],) if piece["plain"] else _letters(piece[0]):
            parts.append(part)
            starts.append(length)
            origins.append(piece.start())
            length += len(part)
    return PlainText("".join(parts), starts or (0,), origins or (0,))


@functools.lru_cache(maxsize=20_000)
def _letters(piece: str) -> str:
    """What one character, character reference or escape shows."""
    if len(piece) == 1:
        shown = piece
    elif piece[0] == "&":
        shown = html.unescape(piece)
    else:
        spaces = {"n": "\n", "r": "\r", "t": "\t"}
        shown = spaces.get(piece[1]) or chr(int(piece.strip("\\xu{%}"), 16))
    decomposed = unicodedata.normalize("NFKD", "".join(map(_latin, shown)))
    return "".join(_latin(char) for char in decomposed if not _is_invisible(char))


def _is_invisible(char: str) -> bool:
    """Format and control characters, combining marks, lone surrogates, blank fillers."""
    return char in BLANK or (unicodedata.category(char) in INVISIBLE and char not in "\t\n\r")


def _latin(char: str) -> str:
    """The Latin letter that a character looks like, else itself."""
    if char.isascii():
        return char
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
