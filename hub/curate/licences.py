"""Under which licence a source is: the SPDX id of each licence file that applies to it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Shingles = frozenset[tuple[str, ...]]

NAMES = re.compile(r"(?i)(?:un)?licen[cs]e|copying")
SHINGLE = 6  # words
SAME = 0.9  # of the shorter text's shingles stand in the other: some leave out the appendix
MAX_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence file of a source; ``spdx`` is "" where its text is none of the known ones.

    Where a source has no licence file, ``file`` is "" as well.
    """

    source: str
    file: str
    spdx: str


def licences_of(source: str, root: Path) -> list[Licence]:
    """The licence files of the source at ``root``, a folder or file.

    They lie in the nearest folder upward that has any, as far as its git repository reaches.
    """
    for folder in _folders(root):
        files = sorted(f for f in folder.glob("*") if NAMES.match(f.name) and f.is_file())
        if files:
            return [Licence(source, file.name, spdx_id(_text(file))) for file in files]
    return [Licence(source, "", "")]


def spdx_id(text: str) -> str:
    """The SPDX id of the licence that ``text`` is, or holds; "" where it is none of the known.

    A text is known by its shingles of words: of those licences that share nearly all of theirs with
    it, or it with them, the one with the greatest Jaccard similarity.
    """
    mine = _shingles(text)
    best = (0.0, "")
    for spdx, theirs in _known().items():
        shared = len(mine & theirs)
        if mine and shared >= SAME * min(len(mine), len(theirs)):
            best = max(best, (shared / len(mine | theirs), spdx))
    return best[1]


def _folders(root: Path) -> Iterator[Path]:
    first = root if root.is_dir() else root.parent
    above = [first, *first.parents]
    ends = next((i for i, folder in enumerate(above) if (folder / ".git").exists()), 0)
    yield from above[: ends + 1]


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MAX_BYTES)


def _shingles(text: str) -> Shingles:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return frozenset(tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


@functools.cache
def _known() -> dict[str, Shingles]:
    """The licences of choosealicense.com, as the package identify keeps them."""
    from identify.vendor.licenses import LICENSES

    return {spdx: _shingles(text) for spdx, text in LICENSES}
