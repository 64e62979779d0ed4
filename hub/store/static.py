"""The fast tier's encoder: static token embeddings distilled from a sentence encoder.

The method is model2vec's (Minish Lab, https://github.com/MinishLab/model2vec): pass every token of
the vocabulary through the model alone, keep the principal components, weight tokens down by their
frequency rank. A text is then the mean of its tokens: no model runs, about 3,000 chunks a second.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hub.store.cache import atomic_path, cache_dir
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hub.store.tuned import Tuned
    from hub.types import Vectors

DIMENSION = 256
MAX_TOKENS = 512
SIF = 1e-4  # smooth inverse frequency, Arora et al. 2017, as model2vec sets it
VERSION = 4


class Distillable(Protocol):
    """What an encoder must offer to be distilled."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def tokenizer(self) -> Any:
        """A ``tokenizers.Tokenizer`` that adds the model's special tokens, and no padding."""
        ...

    def encode_ids(self, token_ids: Sequence[Sequence[int]]) -> Vectors: ...


class StaticEncoder:
    """Mean of a text's static token vectors, scaled to unit length."""

    def __init__(self, encoder: Distillable, tuned: Tuned | None = None) -> None:
        """The static form of ``encoder``: distilled when first used, then read from the cache.

        ``tuned`` has token vectors that were trained further.
        """
        self._encoder = encoder
        self._tuned = tuned
        self.name = f"{encoder.name} (static)"

    @functools.cached_property
    def dimension(self) -> int:
        return min(DIMENSION, self._encoder.dimension)

    @functools.cached_property
    def digest(self) -> str:
        made = f"{self._encoder.digest}/{VERSION}/{DIMENSION}/{SIF}"
        key = f"{self._tuned.static_sha256 if self._tuned else made}/{MAX_TOKENS}"
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process needs: where the files are, and not the model."""
        self._distilled()
        return {"name": self.name, "dimension": self.dimension, "digest": self.digest}

    @property
    def table(self) -> Vectors:
        """One vector per token of the vocabulary, shape (vocabulary, dimension)."""
        return _read_table(self._distilled())

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, without its padding and its length."""
        return _read_tokenizer(self._distilled().with_suffix(".json"))

    def _distilled(self) -> Path:
        """The table's file, made the first time; the tokenizer lies beside it."""
        path = cache_dir() / f"static-{self.digest}.npy"
        if not path.is_file():
            with atomic_path(path.with_suffix(".json")) as temporary:
                temporary.write_text(self._encoder.tokenizer.to_str())
            tuned = self._tuned
            table = tuned.table() if tuned else distil(self._encoder, self.dimension)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, table.astype(np.float16))
        return path

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        words = [static_text(text) for text in texts]
        encodings = self.tokenizer.encode_batch_fast(words, add_special_tokens=False)
        table = self.table
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, encoding in enumerate(encodings):
            ids = encoding.ids
            if ids:
                vectors[row] = table[ids].sum(axis=0)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(norms > 0, norms, 1)
        vectors[norms[:, 0] == 0, 0] = 1  # a text without a known token still needs a direction
        if on_done:
            on_done(len(texts))
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_documents(texts)


def static_text(text: str) -> str:
    """A text as static vectors are looked up for it: no punctuation, no camelCase."""
    return " ".join(split_words(text))


@functools.lru_cache(maxsize=4)
def _read_table(path: Path) -> Vectors:
    return np.asarray(np.load(path), dtype=np.float32)


@functools.lru_cache(maxsize=4)
def _read_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def distil(encoder: Distillable, dimension: int) -> Vectors:
    """Static vectors of shape (vocabulary, ``dimension``)."""
    tokenizer = encoder.tokenizer
    size = tokenizer.get_vocab_size()
    prefix, suffix = _special_ids(tokenizer)
    vectors = encoder.encode_ids([[*prefix, token, *suffix] for token in range(size)])
    table = _principal_components(vectors, dimension) * _frequency_weights(size)[:, None]
    table[[*prefix, *suffix]] = 0
    return np.ascontiguousarray(table, dtype=np.float32)


def _special_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens the model wants before and after a text."""
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    start = full.index(bare[0])
    return full[:start], full[start + len(bare) :]


def _principal_components(vectors: Vectors, dimension: int) -> Vectors:
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(centred, rowvar=False))
    axes = axes[:, ::-1][:, :dimension]
    largest = np.abs(axes).argmax(axis=0)  # an axis has no sign of its own: fix one
    axes = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    return np.asarray(centred @ axes, dtype=np.float32)


def _frequency_weights(size: int) -> Vectors:
    """Tokenizers order their vocabulary by frequency; Zipf's law turns the rank into a share."""
    share = 1 / np.arange(2, size + 2)
    share /= share.sum()
    return np.asarray(SIF / (SIF + share), dtype=np.float32)
