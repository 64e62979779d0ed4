"""From the configuration to the two encoders of a hub."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.endpoint import post
from hub.errors import HubError, MissingExtraError
from hub.store.minilm import NAME, MiniLMEncoder, file_sha256, is_minilm, packaged_folder
from hub.store.static import StaticEncoder
from hub.store.tuned import ADAPTER, CARD, MODEL, SHIPPED, SHIPPED_NAME, STATIC, Tuned
from training.hugging_face import is_at_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.config import Embedding, Tier
    from hub.types import Encoder, Vectors

ENDPOINT_BATCH = 64

# Of the dense arm in a hybrid search, fitted for models that were not tuned; BM25 has the rest.
DENSE_WEIGHT: dict[Tier, float] = {"best": 0.65, "fast": 0.3}


@dataclass(frozen=True, slots=True)
class Encoders:
    """The encoder of each tier, and how much its vectors count against words.

    Static vectors that were trained know other things than the model: the best tier hears both.
    """

    fast: Encoder
    best: Encoder
    dense_weight: dict[Tier, float] = field(default_factory=lambda: dict(DENSE_WEIGHT))
    static_share: float = 0.0  # of the fast vectors in what the best tier's vectors say


def open_encoders(config: Embedding, folder: Path) -> Encoders:
    """The encoders that ``config`` names; relative model folders are looked up in ``folder``.

    No model is loaded until it is used. The fast tier is part of a tuned retriever, distilled from
    any other model that runs here, and the shipped one's where the model is at an endpoint.

    Raises:
        HubError: a folder that is not there, or a tuned retriever of which a file is missing or
            altered.
    """
    tokens = config.max_tokens
    if config.endpoint:
        shipped = Tuned.from_folder(SHIPPED)
        shipped.verify()
        fast = StaticEncoder(MiniLMEncoder(packaged_folder(), max_tokens=tokens), shipped)
        weights = DENSE_WEIGHT | {"fast": shipped.dense_weight["fast"]}
        return Encoders(fast, EndpointEncoder(config), weights)
    if tuned := tuned_of(config, folder):
        tuned.verify()
        return _tuned_encoders(tuned, config, folder)
    local = folder / Path(config.model).expanduser()
    if config.model == NAME or (local.is_dir() and is_minilm(local)):
        source = packaged_folder() if config.model == NAME else local
        best = MiniLMEncoder(source, max_tokens=tokens)
        return Encoders(StaticEncoder(best), best)
    if not local.is_dir() and _is_path(config.model):
        raise HubError(
            f"embedding.model = {config.model!r}: there is no folder {local}; put it back, or name "
            "another model in hub.toml"
        )
    model = str(local) if local.is_dir() else config.model
    other = SentenceTransformerEncoder(model, max_tokens=config.max_tokens)
    return Encoders(StaticEncoder(other), other)


def _is_path(model: str) -> bool:
    """Whether ``model`` cannot be the id of a model to download, a name after at most one owner."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1


def tuned_of(config: Embedding, folder: Path) -> Tuned | None:
    """The tuned retriever that ``config`` names, or None where it names a model.

    Raises:
        HubError: its card is missing, or cannot be read.
    """
    named = config.model == SHIPPED_NAME
    local = SHIPPED if named else folder / Path(config.model).expanduser()
    found = named or any((local / name).is_file() for name in (CARD, ADAPTER, STATIC))
    return Tuned.from_folder(local) if found and not config.endpoint else None


def _tuned_encoders(tuned: Tuned, config: Embedding, folder: Path) -> Encoders:
    best: Any
    if tuned.adapter_sha256:
        best = MiniLMEncoder(packaged_folder(), max_tokens=config.max_tokens, tuned=tuned)
    elif (tuned.folder / MODEL).is_dir():
        best = SentenceTransformerEncoder(str(tuned.folder / MODEL), max_tokens=config.max_tokens)
    else:
        best = open_encoders(config.model_copy(update={"model": tuned.base}), folder).best
    return Encoders(StaticEncoder(best, tuned), best, tuned.dense_weight, tuned.static_share)


class SentenceTransformerEncoder:
    """Any sentence-transformers model, with its own query and document prompts."""

    def __init__(self, model: str, *, max_tokens: int) -> None:
        """Use ``model``, a local folder or a model id, which may be downloaded."""
        self.name = model
        self.max_tokens = max_tokens

    @functools.cached_property
    def digest(self) -> str:
        key = f"{_folder_digest(self.name)}/{self.max_tokens}"
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    @functools.cached_property
    def dimension(self) -> int:
        return int(self._model.get_embedding_dimension())

    @functools.cached_property
    def tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = self._model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not isinstance(backend, Tokenizer):
            raise HubError(
                f"{self.name} has no fast tokenizer, so no static vectors can be distilled from it"
            )
        own = Tokenizer.from_str(backend.to_str())
        own.no_padding()  # many models ship one that pads every text to its full length
        return own

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        vectors = self._model.encode_document(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        if on_done:
            on_done(len(texts))
        return np.asarray(vectors, dtype=np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        vectors = self._model.encode_query(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    def encode_ids(self, token_ids: Sequence[Sequence[int]]) -> Vectors:
        import torch

        vectors = []
        with torch.inference_mode():
            for at in range(0, len(token_ids), 1024):
                ids = torch.tensor(token_ids[at : at + 1024], device=self._model.device)
                features = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
                if self._is_static:
                    starts = torch.arange(0, ids.numel(), ids.shape[1], device=ids.device)
                    features = {"input_ids": ids.flatten(), "offsets": starts}
                vectors.append(self._model.forward(features)["sentence_embedding"].float().cpu())
        return np.asarray(torch.cat(vectors).numpy(), dtype=np.float32)

    @functools.cached_property
    def _model(self) -> Any:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError(f"the embedding model {self.name!r}", "train") from error
        # On a GPU half precision is the fastest that keeps the ranking; on a CPU it is float32 that
        # every model supports.
        dtype = torch.float16 if torch.cuda.is_available() else torch.float32
        try:
            model = SentenceTransformer(
                self.name,
                model_kwargs={"torch_dtype": dtype},
                local_files_only=is_at_hand(self.name),
            )
        except (OSError, ValueError) as error:
            raise HubError(
                f"embedding.model = {self.name!r} is neither {NAME!r}, a folder with a model, nor "
                f"a model that can be downloaded: {error}"
            ) from error
        if model.max_seq_length != math.inf:
            model.max_seq_length = min(model.max_seq_length or self.max_tokens, self.max_tokens)
        return model.eval()

    @property
    def _is_static(self) -> bool:
        """Whether it only looks its tokens up: such a model reads a text of any length."""
        return bool(self._model.max_seq_length == math.inf)


class EndpointEncoder:
    """Embeddings from an OpenAI-compatible endpoint, with back-off where it limits the rate."""

    def __init__(self, config: Embedding) -> None:
        self.name = config.model
        self._url = f"{config.endpoint.rstrip('/')}/embeddings"
        self._key_name = config.api_key_env
        self.digest = hashlib.sha256(f"{self._url}/{self.name}".encode()).hexdigest()[:16]

    @functools.cached_property
    def dimension(self) -> int:
        return int(self._embed(["dimension"]).shape[1])

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        parts = []
        for at in range(0, len(texts), ENDPOINT_BATCH):
            batch = list(texts[at : at + ENDPOINT_BATCH])
            parts.append(self._embed(batch))
            if on_done:
                on_done(len(batch))
        return np.concatenate(parts) if parts else np.zeros((0, self.dimension), np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_documents(texts)

    def _embed(self, texts: list[str]) -> Vectors:
        answer = post(self._url, {"model": self.name, "input": texts}, self._key_name)
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise HubError(
                f"{self._url} answered no embeddings of {self.name!r}: {error!r}"
            ) from error
        norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.all(norms > 0):
            raise HubError(
                f"{self._url} answered {vectors.shape} numbers for {len(texts)} texts of "
                f"{self.name!r}; expected one finite vector a text, none of them zero"
            )
        return np.asarray(vectors / norms)


def _folder_digest(model: str) -> str:
    """The content of a local model's weights and settings; for a model id, the id itself."""
    folder = Path(model)
    if not folder.is_dir():
        return model
    kept = {".safetensors", ".bin", ".json", ".txt", ".model"}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in kept)
    parts = [f"{p.relative_to(folder)} {file_sha256(p)}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
