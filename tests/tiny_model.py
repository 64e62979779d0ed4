"""One tiny base with an adapter that was really trained on it, for all tests of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.training_fixtures import rows, write_rows
from training.config import make_config
from training.scratch import build_base
from training.sft import train

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 4


class Tiny(NamedTuple):
    """``base`` was built from the rows of ``dataset``, and ``adapter`` was trained on it."""

    base: Path
    adapter: Path
    dataset: Path

    @property
    def question(self) -> str:
        return str(rows(COUNT)[0]["prompt"][0]["content"])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other over matrices this small
    folder = tmp_path_factory.mktemp("tiny")
    write_rows(folder / "dataset/train.jsonl", rows(COUNT))
    settings: dict[str, Any] = {
        "dataset": str(folder / "dataset"),
        "output": str(folder / "run"),
        "data": {"max_length": 128, "packing": False},
        "quantization": None,
        "lora": {"r": 16, "alpha": 32, "dropout": 0.0, "target_modules": "all-linear"},
        "train": {
            "epochs": 50,
            "learning_rate": 5e-3,
            "batch_size": 4,
            "accumulation": 1,
            "precision": "fp32",
            "optimizer": "adamw_torch",
            "gradient_checkpointing": False,
        },
    }
    scratch = {"vocabulary": 400, "hidden": 128, "layers": 2, "heads": 4, "steps": 15}
    base = build_base(make_config({**settings, "scratch": scratch}), folder / "base")
    result = train(make_config({**settings, "base": str(base)}))
    torch.set_num_threads(threads)
    assert result.adapter is not None
    return Tiny(base, result.adapter, folder / "dataset")
