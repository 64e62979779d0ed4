"""The vector of a pattern: what it says, and a little of where it stands.

Content and path are embedded apart and added. Measured, that ranks as well as a path in the text;
but a content's vector is then the same wherever it stands, so that a moved or copied file embeds
nothing but its new path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hub.words import content_text, place_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.types import Pattern, Vectors

PLACE_WEIGHT = np.float32(0.2)  # of the path against the content


def pattern_vectors(
    patterns: Sequence[Pattern],
    encode_contents: Callable[[list[str]], Vectors],
    encode_places: Callable[[list[str]], Vectors],
) -> Vectors:
    """One unit vector a pattern; every distinct content and path is encoded once."""
    if not patterns:
        return np.zeros((0, encode_places(["empty"]).shape[1]), dtype=np.float32)
    contents = _each_once([content_text(p) for p in patterns], encode_contents)
    places = _each_once([place_text(p.path) for p in patterns], encode_places)
    vectors = contents + PLACE_WEIGHT * places
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _each_once(texts: list[str], encode: Callable[[list[str]], Vectors]) -> Vectors:
    distinct = list(dict.fromkeys(texts))
    row = {text: i for i, text in enumerate(distinct)}
    return encode(distinct)[[row[text] for text in texts]]
