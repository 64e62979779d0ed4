"""Citations held against what was retrieved: a made-up one is marked, and so is an empty one.

A citation is ``path:start-end`` or ``path:line``. It is known if a retrieved passage of that path
has those lines, and supported if they share text or syntax with what the answer says elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from hub.answering.records import Citation
from hub.curate.shape import KEYWORDS, code_of
from hub.curate.shingles import shingles, tokens
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.answering.records import Passage

MADE_UP = " [made up: not among the sources]"
UNSUPPORTED = " [unsupported: these lines say something else]"
SHARED_WORDS = 2  # telling words that lines and answer have in common
SHARED_SHAPE = 0.3  # share of the answer's code that is the same but for its names
# Of a file that is not among the sources: a range of lines, or one line of what is surely a file.
_UNKNOWN = (
    r"(?<![\w/:.-])(?!//)[\w@.+-]+(?:/[\w@.+\[\]()-]+)*(?:\.[A-Za-z]\w{0,9}|/[\w@.+-]+)"
    r":\d+-\d+(?!\w)"
    r"|(?<![\w/:.-])(?!//)[\w@+-][\w@.+/\[\]()-]*\.(?:py|pyi|js|jsx|mjs|ts|tsx|go|rs|java|c|h|cc|cpp"
    r"|hpp|cs|rb|php|kt|swift|sh|md|rst|txt|toml|ya?ml|json):\d+(?:-\d+)?(?![\w-])"
)
_FENCED = re.compile(r"^(?P<fence>```+|~~~+)[^\n]*\n(?P<code>.*?)^(?P=fence)", re.M | re.S)
_COMPOUND = re.compile(r"\w*(?:[a-z\d][A-Z]|[A-Za-z\d]_[A-Za-z\d])\w*")
_COMMON = frozenset(
    """about above after again also because been before being below between both call called code
    each every example file files first following from function have here into just like line lines
    list made make many method more most much must name need number object only other over return
    returns same should some string such than that their them then there these this those through
    true type under used uses using value values very what when where which while will with without
    would your""".split()  # noqa: SIM905 - a list of words reads best as words
)


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """``text`` with a mark behind each citation that does not hold; and each citation once."""
    form = _form(passages)
    said = form.sub(" ", text)
    found: dict[str, Citation] = {}

    def marked(match: re.Match[str]) -> str:
        place = match[0]
        if place not in found:
            found[place] = _checked(place, said, passages)
        citation = found[place]
        mark = "" if citation.holds else UNSUPPORTED if citation.known else MADE_UP
        return place + mark

    return form.sub(marked, text), tuple(found.values())


def _form(passages: Sequence[Passage]) -> re.Pattern[str]:
    """What a citation looks like; the paths that were retrieved may have any characters."""
    paths = sorted({re.escape(passage.path) for passage in passages}, key=len, reverse=True)
    known = rf"(?<![\w/.-])(?:{'|'.join(paths)}):\d+(?:-\d+)?(?![\w-])|" if paths else ""
    return re.compile(known + _UNKNOWN)


def _checked(place: str, said: str, passages: Sequence[Passage]) -> Citation:
    path, _, numbers = place.rpartition(":")
    first, _, last = numbers.partition("-")
    start, end = int(first), int(last or first)
    lines = [
        (passage, cited)
        for passage in passages
        if passage.path == path and (cited := _lines(passage, start, end))
    ]
    supported = any(_shares(said, cited, passage.language) for passage, cited in lines)
    return Citation(location=place, known=bool(lines), supported=supported)


def _lines(passage: Passage, start: int, end: int) -> str:
    """The cited lines; nothing where the passage does not have them all."""
    if not passage.start_line <= start <= end <= passage.end_line:
        return ""
    lines = passage.text.split("\n")
    return "\n".join(lines[start - passage.start_line : end - passage.start_line + 1]) or " "


def _shares(said: str, cited: str, language: str) -> bool:
    """Whether lines and answer have text in common, or code of one shape under other names."""
    names = set(_COMPOUND.findall(said)) & set(_COMPOUND.findall(cited))
    if names or len(_telling(said) & _telling(cited)) >= SHARED_WORDS:
        return True
    if np.isin(shingles(_words(said)), shingles(_words(cited))).any():
        return True
    theirs = set(_shapes(cited, language))
    ours = [shape for code in _FENCED.finditer(said) for shape in _shapes(code["code"], language)]
    return bool(ours) and sum(each in theirs for each in ours) >= SHARED_SHAPE * len(ours)


def _words(text: str) -> list[str]:
    """Words in a row; marks alone are in any code."""
    return [token for token in tokens(text) if token[0].isalnum() or token[0] == "_"]


def _telling(text: str) -> set[str]:
    words = {word.lower() for word in split_words(text) if len(word) > 3 and not word.isdigit()}
    return words - _COMMON - KEYWORDS


def _shapes(code: str, language: str) -> list[int]:
    """Runs of words of code, names of its own left out."""
    return list(shingles(code_of(code, language=language).words).tolist())
