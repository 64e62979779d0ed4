"""The storage behind buckets on loopback, as the real ``hf_xet`` wants it.

Files come as *xorbs* (runs of compressed chunks) and *shards* (which chunks make up which file),
and go back by reconstruction, as https://huggingface.co/docs/xet describes it. Chunks stay
compressed: the stand-in needs to know where each begins, and no more.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

CHUNK_HEADER = 8  # version, 3 bytes compressed length, scheme, 3 bytes length
ENTRY = 48
BOOKEND = b"\xff" * 32
VERIFIED, DESCRIBED = 1 << 31, 1 << 30


@dataclass(frozen=True)
class Term:
    """A run of chunks of one xorb."""

    xorb: str
    length: int
    start: int
    end: int


@dataclass
class FakeXet:
    """Xorbs and files by the text form of their hash."""

    xorbs: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, list[Term]] = field(default_factory=dict)

    def add_shard(self, shard: bytes) -> None:
        """Note the files that a shard lists; its section of xorbs says nothing new."""
        at = ENTRY
        while shard[at : at + 32] != BOOKEND:
            name = _text(shard[at : at + 32])
            flags, count = struct.unpack_from("<II", shard, at + 32)
            at += ENTRY
            terms = []
            for _ in range(count):
                xorb = _text(shard[at : at + 32])
                _, length, start, end = struct.unpack_from("<IIII", shard, at + 32)
                terms.append(Term(xorb, length, start, end))
                at += ENTRY
            at += ENTRY * (count * bool(flags & VERIFIED) + bool(flags & DESCRIBED))
            self.files[name] = terms

    def size(self, name: str) -> int:
        return sum(term.length for term in self.files[name])

    def reconstruction(self, name: str, url: str) -> dict[str, Any]:
        """Where the chunks of a file are, as the client asks for it."""
        fetch: dict[str, list[dict[str, Any]]] = {}
        terms = []
        for term in self.files[name]:
            first, last = self._bytes_of(term)
            chunks = {"start": term.start, "end": term.end}
            fetch.setdefault(term.xorb, []).append(
                {
                    "url": f"{url}/xorb/{term.xorb}",
                    "range": chunks,
                    "url_range": {"start": first, "end": last - 1},
                }
            )
            terms.append({"hash": term.xorb, "unpacked_length": term.length, "range": chunks})
        return {"offset_into_first_range": 0, "terms": terms, "fetch_info": fetch}

    def _bytes_of(self, term: Term) -> tuple[int, int]:
        xorb, offsets = self.xorbs[term.xorb], [0]
        for _ in range(term.end):
            packed = int.from_bytes(xorb[offsets[-1] + 1 : offsets[-1] + 4], "little")
            offsets.append(offsets[-1] + CHUNK_HEADER + packed)
        return offsets[term.start], offsets[term.end]

    def answer(self, path: str, headers: Any, body: bytes, url: str) -> tuple[int, bytes]:
        """Status and body for a request to the storage at ``url``."""
        kind, _, rest = path.removeprefix("/xet/").partition("/")
        if kind == "xorb":
            first, last = map(int, headers["Range"].removeprefix("bytes=").split("-"))
            return 206, self.xorbs[rest][first : last + 1]
        verb, _, name = rest.partition("/")
        if kind == "v1" and verb == "xorbs":
            self.xorbs[name.rpartition("/")[2]] = body
            return 200, json.dumps({"was_inserted": True}).encode()
        if kind == "v1" and verb == "shards":
            self.add_shard(body)
            return 200, json.dumps({"result": 1}).encode()
        if kind == "v1" and verb == "reconstructions" and name in self.files:
            return 200, json.dumps(self.reconstruction(name, url)).encode()
        return 404, b"{}"


def _text(raw: bytes) -> str:
    """A hash as the protocol writes it: four little-endian numbers of 64 bits."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))
