"""Vectors by content: an unchanged text is never embedded twice, wherever it moves.

A small SQLite file beside the collections. It is derived, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from hub.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hub.types import Vectors

_SCHEMA = "CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
LOOKUP = 500  # keys a query; SQLite allows a limited number of parameters


class VectorCache:
    """A persistent map from (model, text) to a float16 vector."""

    def __init__(self, path: Path, *, model: str) -> None:
        """Open ``path``; ``model`` is the encoder's digest."""
        self._model = model
        self._db = Database(path, _SCHEMA)

    def key(self, text: str) -> bytes:
        data = f"{self._model}\0{text}".encode()
        return hashlib.blake2b(data, digest_size=16).digest()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The vectors that are known, by key."""
        found: dict[bytes, Vectors] = {}
        for at in range(0, len(keys), LOOKUP):
            part = keys[at : at + LOOKUP]
            marks = ",".join("?" * len(part))
            rows = self._db.rows(f"SELECT key, value FROM vector WHERE key IN ({marks})", part)
            for key, value in rows:
                found[key] = np.frombuffer(value, dtype=np.float16).astype(np.float32)
        return found

    def put(self, items: Iterable[tuple[bytes, Vectors]]) -> None:
        rows = [(key, vector.astype(np.float16).tobytes()) for key, vector in items]
        with self._db.writing() as db:
            db.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", rows)

    def close(self) -> None:
        self._db.close()
