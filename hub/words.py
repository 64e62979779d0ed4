"""Words of code, and what a model reads of a pattern.

The stored text stays raw. A header of path and qualified name, split into words, is worth more to a
general text model than the choice of the model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.types import Chunk

# Case is told apart in Latin-1; letters of other scripts stay together.
_UPPER, _LOWER = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
_PART = re.compile(
    rf"[{_UPPER}]+(?![{_LOWER}])|[{_UPPER}]?[{_LOWER}]+|\d+|[^\W\d_{_UPPER}{_LOWER}]+"
)


def split_words(text: str) -> list[str]:
    """Lower-case words, identifiers split at underscores, case changes and digits."""
    return [part.lower() for part in _PART.findall(text)]


def content_text(chunk: Chunk) -> str:
    """Qualified name in words, then the text under its signature."""
    return f"{' '.join(split_words(chunk.symbol))}\n{signed_text(chunk)}"


def signed_text(chunk: Chunk) -> str:
    """The text; the later parts of a long function are headed by the signature they lack."""
    return f"{chunk.signature}\n{chunk.text}" if chunk.part > 1 else chunk.text


def place_text(path: str) -> str:
    """A path in words."""
    return " ".join(split_words(path))
