"""Which side of a split a name is on: the same in every process and every build."""

from __future__ import annotations

import hashlib


def bucket(name: str) -> float:
    """A number in [0, 1) that ``name`` always has: what decides on which side of a split it is."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
