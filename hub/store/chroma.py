"""The Chroma collections of a hub: the system of record, and the only importer of chromadb.

``<name>-<fast digest>-<best digest>`` holds every pattern's document and metadata with its fast
vector; ``<name>-best-<best digest>`` holds ids and vectors of the transformer alone. The digests
are the encoders', so vectors of two models never meet in one collection: a new model's are written
beside the old ones, which answer until the new ones are published.
"""

from __future__ import annotations

import functools
import gc
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from chromadb.errors import ChromaError, NotFoundError
from filelock import FileLock

from hub.errors import HubError, OtherModelError
from hub.store.embedding import pattern_vectors
from hub.types import PATTERN_FIELDS, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hub.config import Config
    from hub.types import Encoder, Vectors

# What Chroma raises when its store cannot be read or written.
StoreError = (ChromaError, httpx.TransportError)
SCHEMA_VERSION = 2
BATCH = 1000  # rows a write; larger is no faster and holds more memory
PAGE = 5000
METADATA = tuple(name for name in PATTERN_FIELDS if name not in {"id", "text"})


@dataclass(frozen=True, slots=True)
class State:
    """What a hub's pattern collection says of itself."""

    generation: int  # 0 until the first is published
    writing: bool  # a writer is at work, or died at it
    best_complete: bool
    chunker: str
    model: str
    digest: str
    fast_digest: str
    embedding: str  # JSON of the settings that choose the model

    @property
    def written_by(self) -> str:
        """The model, as a message names it."""
        return f"{self.model!r} (digest {self.digest}, fast tier {self.fast_digest})"


class PatternStore:
    """Patterns and their vectors in Chroma. Reads are safe at any time; writes need the lock."""

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        place: str,
        name: str,
        embedding: str,
        fast: Encoder,
        best: Encoder,
    ) -> None:
        """Use a client's collections called ``name``, for the vectors of these two encoders.

        ``place`` is what a message calls the store: a folder, or the address of a server.
        ``embedding`` is what a reader needs to open the same encoders.
        """
        self._connect = connect
        self._place = place
        self._name = name
        self._embedding = embedding
        self._fast = fast
        self._best = best
        self._collections: dict[str, Any] = {}
        self._published: int | None = None  # the last generation this store wrote itself

    @classmethod
    def from_config(
        cls, config: Config, folder: Path, *, fast: Encoder, best: Encoder
    ) -> PatternStore:
        """The store that ``config`` names; an embedded one lives in ``folder``/chroma."""
        return cls(
            functools.partial(_connect, config, folder),
            place=_place(config, folder),
            name=config.store.name,
            embedding=config.embedding.model_dump_json(exclude={"tier"}),
            fast=fast,
            best=best,
        )

    @functools.cached_property
    def _client(self) -> Any:
        return self._connect()

    def reopen(self) -> None:
        """See what other processes have written.

        An embedded Chroma reads its vectors once. A reader that keeps them misses what is new; a
        writer that keeps them destroys what others wrote.
        """
        if self.__dict__.pop("_client", None) is not None:
            self._collections = {}
            gc.collect()  # the client's threads and files end with it

    def reopen_if_stale(self) -> None:
        """Reopen, unless the last to write was this very store; it costs half a second at 50,000
        patterns, which an open hub need not pay for every changed file."""
        found = self._find(self.patterns_name)
        state = found.metadata if found else {"writing": True}
        if state["writing"] or state["generation"] != self._published:
            self.reopen()

    @property
    def fast_dimension(self) -> int:
        return self._fast.dimension

    @property
    def patterns_name(self) -> str:
        """The collection of the patterns and their fast vectors."""
        return f"{self._name}-{self._fast.digest}-{self._best.digest}"

    @property
    def _best_name(self) -> str:
        return f"{self._name}-best-{self._best.digest}"

    def state(self) -> State | None:
        """The state of the store, or None where nothing was ever indexed.

        Raises:
            OtherModelError: the patterns are published by another model alone; names both.
            HubError: they were written under another schema.
        """
        own = self.own_state()
        if own is None or not own.generation:
            other = self.previous()
            if other is not None:
                raise OtherModelError(self._mismatch(other))
        return own

    def own_state(self) -> State | None:
        """The state of this model's patterns, published or not, whatever else there is."""
        found = self._find(self.patterns_name)
        return _state(found) if found is not None else None

    def previous(self) -> State | None:
        """The state of the patterns that another model has published."""
        states = [_state(other) for other in self._others()]
        return next((state for state in states if state.generation), None)

    def sources(self) -> dict[str, str]:
        """The location of each source by name, as the last run left them."""
        found = [self._find(self.patterns_name), *self._others()]
        known = (c.metadata["sources"] for c in found if c and "sources" in c.metadata)
        return dict(json.loads(next(known, "{}")))

    def _mismatch(self, other: State) -> str:
        """Why vectors that another encoder wrote cannot be searched, and the way out."""
        own = f"{self._best.digest}, fast tier {self._fast.digest}"
        return (
            f"this hub's vectors were written by model {other.written_by}, the configuration names "
            f"{self._best.name!r} (digest {own}): run `patternhub index` to embed the patterns "
            "anew, or restore embedding.model in hub.toml"
        )

    def set_state(self, **changes: Any) -> None:
        """Record new values of :class:`State` fields."""
        collection = self._open(self.patterns_name)
        kept = {k: v for k, v in collection.metadata.items() if not k.startswith("hnsw:")}
        collection.modify(metadata={**kept, **changes})
        self._collections.pop(self.patterns_name)
        self._published = changes.get("generation", self._published)

    def create(self, chunker: str) -> None:
        """Make the patterns' collection where it is missing."""
        for known in self._mine():
            _check_schema(known)
        if self._find(self.patterns_name) is None:
            self._create(self.patterns_name, self._fast.dimension, chunker)
            self.set_state(writing=True)

    def carry_over(self, latest: str) -> bool:
        """Copy other models' patterns here, with fast vectors of this one; nothing is parsed.

        Those of the collection ``latest`` alone where it is there: returns whether it is. What was
        copied before is not encoded again.
        """
        self.set_state(writing=True)
        others = self._others()
        known = [other for other in others if other.name == latest]
        encode = self._fast.encode_documents
        for other in known or others:
            for page in _pages(other, ["documents", "metadatas"]):
                here = self.get(page["ids"])
                patterns = [p for p in _patterns(page) if p != here.get(p.id)]
                if patterns:
                    self.add(patterns, pattern_vectors(patterns, encode, encode))
        return bool(known)

    def drop_others(self) -> None:
        """Delete the collections that this model does not use.

        The patterns go first: without them no reader takes what is left for an index.
        """
        for collection in sorted(self._mine(), key=lambda c: c.metadata["tier"] != "fast"):
            if collection.name not in {self.patterns_name, self._best_name}:
                self._client.delete_collection(collection.name)

    def create_best(self, chunker: str) -> None:
        """Make the best tier's collection where it is missing."""
        if self._find(self._best_name) is None:
            self._create(self._best_name, self._best.dimension, chunker)

    def add(self, patterns: Sequence[Pattern], vectors: Vectors) -> None:
        """Write new patterns with their fast vectors; a pattern that is there is replaced."""
        collection = self._open(self.patterns_name)
        for at in range(0, len(patterns), BATCH):
            batch = patterns[at : at + BATCH]
            collection.upsert(
                ids=[p.id for p in batch],
                embeddings=vectors[at : at + BATCH],
                documents=[p.text for p in batch],
                metadatas=[_metadata(p) for p in batch],
            )

    def update(self, patterns: Sequence[Pattern]) -> None:
        """Write the metadata of patterns that only moved within their file."""
        collection = self._open(self.patterns_name)
        for at in range(0, len(patterns), BATCH):
            batch = patterns[at : at + BATCH]
            collection.update(ids=[p.id for p in batch], metadatas=[_metadata(p) for p in batch])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove patterns and their vectors; ids that are not there are ignored.

        A pattern goes last, so that a kill leaves no vector without one.
        """
        for name in (self._best_name, self.patterns_name):
            if not ids or self._find(name) is None:
                continue
            collection = self._open(name)
            for at in range(0, len(ids), BATCH):
                collection.delete(ids=list(ids[at : at + BATCH]))

    def add_best(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Write the best tier's vectors of patterns."""
        collection = self._open(self._best_name)
        for at in range(0, len(ids), BATCH):
            collection.upsert(ids=list(ids[at : at + BATCH]), embeddings=vectors[at : at + BATCH])

    def get(self, ids: Sequence[str]) -> dict[str, Pattern]:
        """The patterns of ``ids`` by id; one that was just deleted is left out."""
        if not ids:
            return {}  # Chroma refuses an empty list
        with self._reading(self.patterns_name) as collection:
            found = collection.get(ids=list(ids), include=["documents", "metadatas"])
        return {p.id: p for p in _patterns(found)}

    def pages(self) -> Iterator[tuple[list[Pattern], Vectors]]:
        """All patterns with their fast vectors, a page at a time."""
        with self._reading(self.patterns_name) as collection:
            for page in _pages(collection, ["documents", "metadatas", "embeddings"]):
                yield _patterns(page), np.asarray(page["embeddings"], dtype=np.float32)

    def best_pages(self) -> Iterator[tuple[list[str], Vectors]]:
        """All ids in the best tier with their vectors, a page at a time."""
        if self._find(self._best_name) is None:
            return
        with self._reading(self._best_name) as collection:
            for page in _pages(collection, ["embeddings"]):
                yield page["ids"], np.asarray(page["embeddings"], dtype=np.float32)

    def nearest(
        self, tier: str, vector: Vectors, *, limit: int, where: dict[str, Any] | None
    ) -> list[tuple[str, float]]:
        """Chroma's approximate neighbours: (id, cosine), nearest first."""
        name = self._best_name if tier == "best" else self.patterns_name
        with self._reading(name) as collection:
            found = collection.query(
                query_embeddings=vector[None], n_results=limit, where=where, include=["distances"]
            )
        return [
            (id_, 1 - distance)
            for id_, distance in zip(found["ids"][0], found["distances"][0], strict=True)
        ]

    def counts(self) -> dict[str, int]:
        """Rows by collection name."""
        names = (self.patterns_name, self._best_name)
        return {name: self._open(name).count() for name in names if self._find(name)}

    def _others(self) -> list[Any]:
        """Pattern collections of this hub that other encoders wrote."""
        fast = [c for c in self._mine() if c.metadata["tier"] == "fast"]
        return [c for c in fast if c.name != self.patterns_name]

    def _mine(self) -> list[Any]:
        with self._reaching():
            found = self._client.list_collections()
        return [c for c in found if (c.metadata or {}).get("hub") == self._name]

    def _create(self, name: str, dimension: int, chunker: str) -> None:
        self._client.create_collection(
            name,
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine"}},
            metadata={
                "hub": self._name,
                "tier": "fast" if name == self.patterns_name else "best",
                "schema": SCHEMA_VERSION,
                "chunker": chunker,
                "model": self._best.name,
                "digest": self._best.digest,
                "fast_digest": self._fast.digest,
                "embedding": self._embedding,
                "dimension": dimension,
                "generation": 0,
                "writing": False,
                "best_complete": False,
            },
        )

    def _find(self, name: str) -> Any | None:
        try:
            with self._reaching():
                return self._client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None

    @contextmanager
    def _reading(self, name: str) -> Iterator[Any]:
        """A collection to read; one that was deleted meanwhile is told from a damaged one."""
        collection = self._open(name)
        try:
            with self._reaching():
                yield collection
        except (NotFoundError, HubError) as error:
            if isinstance(error, HubError) and self._find(name) is not None:
                raise
            self._collections.pop(name, None)
            raise OtherModelError(f"{name} was deleted meanwhile: try again") from error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Name the store that does not answer, or cannot: every operation passes here first."""
        try:
            yield
        except NotFoundError:
            raise
        except httpx.TransportError as error:
            raise HubError(f"the Chroma store at {self._place} does not answer: {error}") from error
        except ChromaError as error:
            raise HubError(f"the Chroma store at {self._place} failed: {error}") from error

    def _open(self, name: str) -> Any:
        if name not in self._collections:
            found = self._find(name)
            if found is None:
                raise OtherModelError("this hub is empty: run `patternhub index PATH` first")
            self._collections[name] = found
        return self._collections[name]


def _connect(config: Config, folder: Path) -> Any:
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient
    from chromadb.config import Settings

    store = config.store
    settings = Settings(anonymized_telemetry=False)
    place: dict[str, Any] = {
        k: v for k, v in (("tenant", store.tenant), ("database", store.database)) if v
    }
    try:
        if store.cloud:
            key = os.environ.get("CHROMA_API_KEY")
            if not key:
                raise HubError("store.cloud is set, but CHROMA_API_KEY is not in the environment")
            return chromadb.CloudClient(api_key=key, settings=settings, **place)
        if store.url:
            return _server(store.url, settings, place)
        SharedSystemClient.clear_system_cache()  # else a path is opened once in a process
        with FileLock(folder / "opening.lock"):  # the first to open makes the tables
            return chromadb.PersistentClient(folder / "chroma", settings=settings)
    except HubError:
        raise
    except Exception as error:
        raise HubError(
            f"the Chroma store at {_place(config, folder)} cannot be opened: {error}; "
            "`patternhub doctor` says more"
        ) from error


def _place(config: Config, folder: Path) -> str:
    return "Chroma Cloud" if config.store.cloud else config.store.url or str(folder / "chroma")


def _server(url: str, settings: Any, place: dict[str, Any]) -> Any:
    from urllib.parse import urlsplit

    import chromadb

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise HubError(f"store.url = {url!r} is not an http:// or https:// address")
    secure = parts.scheme == "https"
    return chromadb.HttpClient(
        host=parts.hostname,
        port=parts.port or (443 if secure else 80),
        ssl=secure,
        settings=settings,
        **place,
    )


def _state(collection: Any) -> State:
    _check_schema(collection)
    return State(**{field.name: collection.metadata[field.name] for field in fields(State)})


def _check_schema(collection: Any) -> None:
    schema = collection.metadata.get("schema")
    if schema != SCHEMA_VERSION:
        raise HubError(
            f"this hub was written with schema {schema}, this version of Pattern "
            f"Hub reads schema {SCHEMA_VERSION}: use the version that wrote it, or delete the "
            ".patternhub folder and index again"
        )


def _pages(collection: Any, include: list[str]) -> Iterator[Any]:
    offset = 0
    while True:
        try:
            page = collection.get(limit=PAGE, offset=offset, include=include)
        except NotFoundError:
            raise
        except ChromaError as error:
            raise HubError(
                f"the patterns in {collection.name} cannot be read: {error}; if no index run is at "
                "work, delete .patternhub/chroma and index again"
            ) from error
        if not page["ids"]:
            return
        yield page
        offset += len(page["ids"])


def _metadata(pattern: Pattern) -> dict[str, Any]:
    return {name: getattr(pattern, name) for name in METADATA}


def _patterns(found: Any) -> list[Pattern]:
    rows = zip(found["ids"], found["documents"], found["metadatas"], strict=True)
    return [Pattern(id=id_, text=text, **metadata) for id_, text, metadata in rows]
