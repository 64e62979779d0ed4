"""What a system under comparison is.

A system is a function without arguments that loads what it needs (models, imports: not timed) and
returns a function ``(stripped copy, scratch folder) -> Built`` (timed: this is indexing). One index
may answer in several ways, which are its arms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.documented import EXTENSIONS
from tests.benchmarks.protocol import Hit

if TYPE_CHECKING:
    from collections.abc import Iterator

Search = Callable[[str, int], list[Hit]]


@dataclass(frozen=True, slots=True)
class Built:
    """A finished index: the source bytes in it, and its ways of searching."""

    indexed_bytes: int
    arms: dict[str, Search]


Build = Callable[[Path, Path], Built]
System = Callable[[], Build]


def texts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Relative path and text of each file of the stripped copy that is not blank."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in EXTENSIONS and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if text.strip():
                yield path.relative_to(folder).as_posix(), text


def size_of(texts: dict[str, str]) -> int:
    return sum(len(text.encode()) for text in texts.values())
