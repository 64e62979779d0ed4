"""From a file on disk to patterns with ids, terms and fast vectors.

Chroma's writer is the slowest part of a first index and holds the interpreter lock, so everything
else happens here: pure functions of files, run in worker processes when there is much to do.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.store.embedding import pattern_vectors
from hub.store.lexical import ChunkTerms, chunk_terms
from hub.types import CHUNK_FIELDS, Pattern
from hub.words import signed_text
from hub.workers import start_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hub.types import Chunk, Encoder, Vectors
    from indexers.files import FileEntry

BATCH_BYTES = 250_000  # source a worker gets at a time: large beside the cost of handing it over
PARALLEL_BYTES = 1_000_000  # below this, starting a worker costs more than it saves
MAX_WORKERS = 4  # one or two keep up with Chroma's writer
AHEAD = 4  # batches in flight per worker: bounds memory when the writer is slower


@dataclass(frozen=True, slots=True)
class Task:
    """One file to read and cut; ``known`` is the digest of what the index holds of it."""

    source: str
    root: Path
    entry: FileEntry
    max_chars: int
    known: str = ""
    new: bool = True


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of a file: patterns, or the reason it was skipped, or nothing new."""

    source: str
    entry: FileEntry
    seen_ns: int
    digest: str = ""
    skipped: str = ""
    same: bool = False
    language: str = ""
    patterns: tuple[Pattern, ...] = ()
    terms: tuple[ChunkTerms, ...] = ()
    vectors: Vectors = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))


def prepare(task: Task) -> Prepared:
    """Read, cut and analyse one file."""
    from indexers.code import chunk_file, detect_language
    from indexers.files import Skip, read_source

    seen = time.time_ns()
    data = read_source(task.root, task.entry)
    if isinstance(data, Skip):
        return Prepared(task.source, task.entry, seen, skipped=data.reason)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    if digest == task.known:
        return Prepared(task.source, task.entry, seen, digest=digest, same=True)
    path = task.entry.path
    language = detect_language(path, data[:4096])
    chunks = chunk_file(path, data, language=language, max_chars=task.max_chars)
    patterns = with_ids(task.source, chunks)
    return Prepared(
        task.source,
        task.entry,
        seen,
        digest=digest,
        language=language,
        patterns=patterns,
        terms=tuple(chunk_terms(p) for p in patterns),
    )


def prepare_all(tasks: Sequence[Task], encoder: Encoder) -> Iterator[Prepared]:
    """Prepare files in order, in worker processes when there is enough to do.

    ``encoder`` makes the fast vectors; it travels to the workers.
    """
    batches = _batches(tasks)
    workers = min(MAX_WORKERS, (os.cpu_count() or 2) - 1)
    if workers < 1 or sum(task.entry.size for task in tasks) < PARALLEL_BYTES:
        for batch in batches:
            yield from prepare_batch(batch, encoder)
        return
    executor = start_workers(workers, env={"TOKENIZERS_PARALLELISM": "false"})
    first = next(batches)
    try:
        with TemporaryDirectory(prefix="patternhub-") as folder:
            waiting: deque[Any] = deque()
            submit = partial(executor.submit, _prepare_into, Path(folder), encoder)
            for batch in islice(batches, AHEAD * workers):
                waiting.append(submit(batch))
            yield from prepare_batch(first, encoder)  # the workers are still starting
            while waiting:
                path = waiting.popleft().result()
                for batch in islice(batches, 1):
                    waiting.append(submit(batch))
                yield from pickle.loads(path.read_bytes())
                path.unlink()
    finally:
        executor.shutdown(kill_workers=True)  # none is busy but where this run was broken off


def _prepare_into(folder: Path, encoder: Encoder, tasks: Sequence[Task]) -> Path:
    """Prepare in a worker and leave the result in a file.

    Through the pool's own pipe a worker could hand nothing over while Chroma writes and holds the
    interpreter lock, and would stand still meanwhile.
    """
    path = folder / secrets.token_hex(8)
    path.write_bytes(pickle.dumps(prepare_batch(tasks, encoder), pickle.HIGHEST_PROTOCOL))
    return path


def prepare_batch(tasks: Sequence[Task], encoder: Encoder) -> list[Prepared]:
    """Prepare files, and encode all their patterns at once."""
    prepared = [prepare(task) for task in tasks]
    encode = encoder.encode_documents
    vectors = pattern_vectors([p for file in prepared for p in file.patterns], encode, encode)
    ends = np.cumsum([len(file.patterns) for file in prepared])
    parts = np.split(vectors, ends[:-1])
    return [replace(file, vectors=part) for file, part in zip(prepared, parts, strict=True)]


def with_ids(source: str, chunks: Sequence[Chunk]) -> tuple[Pattern, ...]:
    """Patterns whose ids follow from where they are from and what is embedded of them.

    Lines are no part of that: a pattern keeps its id when it moves within its file.
    """
    seen: Counter[str] = Counter()
    patterns = []
    for chunk in chunks:
        key = "\0".join(
            (source, chunk.path, chunk.kind, chunk.symbol, str(chunk.part), signed_text(chunk))
        )
        nth, seen[key] = seen[key], seen[key] + 1
        id_ = hashlib.blake2b(f"{key}\0{nth}".encode(), digest_size=16).hexdigest()
        fields = {name: getattr(chunk, name) for name in CHUNK_FIELDS}
        patterns.append(Pattern(id=id_, source=source, **fields))
    return tuple(patterns)


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    batch: list[Task] = []
    size = 0
    for task in tasks:
        batch.append(task)
        size += task.entry.size
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
