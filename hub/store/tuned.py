"""A tuned retriever is a folder: what was learned, kept apart from the model it was learned on.

- ``adapter.safetensors``: LoRA matrices over the packaged model in float16, rank and alpha in the
  metadata (Hu et al. 2021, https://arxiv.org/abs/2106.09685). Merged into the weights once, when
  the runtime file is written: at run time it costs nothing.
- Or ``model``: a whole sentence-transformers model. Where neither is there, the card names the
  model, and only its static vectors were tuned.
- ``static.npz``: ``tokens`` int8 of shape (vocabulary, dimension) and ``scales`` float32 of shape
  (vocabulary,), the fast tier's vectors.
- ``card.json``: the digests of both, the weights they are fused with, the recipe, and the sources
  and licences of what they were trained on.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.errors import HubError
from hub.store.minilm import file_sha256

if TYPE_CHECKING:
    from hub.config import Tier
    from hub.types import Vectors

ADAPTER, MODEL, STATIC, CARD = "adapter.safetensors", "model", "static.npz", "card.json"
SHIPPED = Path(__file__).with_name("retriever")  # tuned for code: the default
SHIPPED_NAME = "pattern-hub-minilm"


@dataclass(frozen=True, slots=True)
class Tuned:
    """A tuned retriever's folder, as its card describes it."""

    folder: Path
    name: str
    sha256: dict[str, str]  # by file
    dense_weight: dict[Tier, float]  # of the dense arm in a hybrid search
    base: str  # what was tuned, as ``embedding.model`` names it
    static_share: float = 0.0  # of the fast vectors in the best tier's dense arm
    held_out_below: float = 1.0  # files whose bucket is lower were not learned from
    held_out_sources: tuple[str, ...] = ()

    @classmethod
    def from_folder(cls, folder: Path) -> Tuned:
        """Read the card; :meth:`verify` checks the files.

        Raises:
            HubError: there is no card, or it cannot be read.
        """
        path = folder / CARD
        if not path.is_file():
            raise HubError(f"{path}, the card of a tuned retriever, is missing; {WAY_OUT}")
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                folder,
                card["name"],
                {STATIC: card["sha256"][STATIC], **card["sha256"]},
                card["dense_weight"],
                card["base"],
                card.get("static_share", 0.0),
                card.get("held_out_below", 1.0),
                tuple(card.get("held_out_sources", ())),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HubError(f"{path} cannot be read: {error!r}; {WAY_OUT}") from error

    @property
    def digest(self) -> str:
        """Of everything that was learned."""
        return hashlib.sha256(repr(sorted(self.sha256.items())).encode()).hexdigest()[:12]

    @property
    def adapter_sha256(self) -> str:
        """Empty where no adapter was tuned."""
        return self.sha256.get(ADAPTER, "")

    @property
    def static_sha256(self) -> str:
        return self.sha256[STATIC]

    def verify(self) -> None:
        """Check every file against the card: what was made of them once may still be in the cache.

        Raises:
            HubError: one is missing, or altered.
        """
        for name, sha256 in self.sha256.items():
            _verified(self.folder / name, sha256)

    def weights(self, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's weights with the adapter merged into them.

        Raises:
            HubError: the adapter is missing, altered, or of another model.
        """
        from safetensors import safe_open

        path = _verified(self.folder / ADAPTER, self.adapter_sha256)
        merged = dict(weights)
        with safe_open(path, framework="numpy") as file:
            lora = json.loads(file.metadata()["lora"])
            scale = np.float32(lora["alpha"] / lora["rank"])
            for down in (name for name in file.keys() if name.endswith(".lora_A.weight")):  # noqa: SIM118 - not a mapping
                layer = down.removesuffix(".lora_A.weight")
                if f"{layer}.weight" not in merged:
                    raise HubError(f"{path} adapts {layer}, which the model does not have")
                a, b = (
                    file.get_tensor(f"{layer}.lora_{side}.weight").astype(np.float32)
                    for side in "AB"
                )
                merged[f"{layer}.weight"] = merged[f"{layer}.weight"] + scale * (b @ a)
        return merged

    def table(self) -> Vectors:
        """The fast tier's token vectors, shape (vocabulary, dimension).

        Raises:
            HubError: the file is missing or altered.
        """
        with np.load(_verified(self.folder / STATIC, self.static_sha256)) as file:
            return np.asarray(file["tokens"] * file["scales"][:, None])


WAY_OUT = (
    "put the folder back as it was made, or set embedding.model = 'all-MiniLM-L6-v2' in hub.toml"
)


def save_table(path: Path, table: Vectors) -> None:
    """Write token vectors as :meth:`Tuned.table` reads them, a byte a number."""
    scales = np.abs(table).max(axis=1) / 127
    scales[scales < np.finfo(np.float32).tiny] = 1
    tokens = np.round(table / scales[:, None]).astype(np.int8)
    with path.open("wb") as file:
        np.savez(file, tokens=tokens, scales=scales.astype(np.float32))


def write_card(
    folder: Path, *, name: str, dense_weight: dict[Tier, float], base: str, **facts: Any
) -> None:
    """Describe what lies in ``folder``; ``facts`` say how it was made and from what."""
    digests = {
        file: file_sha256(folder / file)
        for file in (ADAPTER, f"{MODEL}/model.safetensors", STATIC)
        if (folder / file).is_file()
    }
    card = {"name": name, "sha256": digests, "dense_weight": dense_weight, "base": base, **facts}
    (folder / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")


def _verified(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise HubError(f"{path} is missing; {WAY_OUT}")
    stat = path.stat()
    found = _sha256(path, stat.st_size, stat.st_mtime_ns)
    if found != sha256:
        raise HubError(f"{path} has sha256 {found}, its card says {sha256}; {WAY_OUT}")
    return path


@functools.lru_cache(maxsize=16)
def _sha256(path: Path, _size: int, _written: int) -> str:
    """Once a process while the file stays as it is: 10 MB, as the shipped ones, cost 10 ms."""
    return file_sha256(path)
