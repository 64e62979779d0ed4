"""Under which licence a source is: by the texts of its licence files, else as its manifest says."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    Shingles = frozenset[tuple[str, ...]]

NAMES = re.compile(r"(?i)(?:un)?licen[cs]e|copying")
MANIFESTS = {"pyproject.toml": "project", "Cargo.toml": "package", "package.json": ""}
SHINGLE = 6  # words
SAME = 0.9  # of the shorter text's shingles stand in the other: some leave out the appendix
MAX_BYTES = 200_000


class Licence(NamedTuple):
    """What a file of a source says of its licence; ``spdx`` is "" where its text is not known."""

    file: str
    spdx: str


def licences_of(root: Path) -> list[Licence]:
    """The licences of the source at ``root``, a folder or file; none where nothing says one.

    They are in the nearest folder upward that has a licence file, or a manifest that names one, as
    far as its git repository reaches.
    """
    for folder in _folders(root):
        files = sorted(f for f in folder.glob("*") if NAMES.match(f.name) and f.is_file())
        found = [Licence(file.name, spdx_id(_text(file))) for file in files]
        if not any(licence.spdx for licence in found):
            found += _declared(folder)
        if found:
            return found
    return []


def told(licences: Iterable[Licence]) -> str:
    """The SPDX ids; of files that hold none that is known, the names; "" where there is nothing."""
    licences = list(licences)
    known = dict.fromkeys(licence.spdx for licence in licences if licence.spdx)
    return ", ".join(known) or ", ".join(f"unknown: {licence.file}" for licence in licences)


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


def _declared(folder: Path) -> Iterator[Licence]:
    """What the manifests of package managers say."""
    for name, table in MANIFESTS.items():
        path = folder / name
        try:
            read = json.loads if path.suffix == ".json" else tomllib.loads
            data: Any = read(_text(path))
            said = (data[table] if table else data)["license"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(said, dict):
            said = said.get("text")
        if isinstance(said, str) and len(said) < 100 and said.strip():
            yield Licence(name, said.strip())


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
