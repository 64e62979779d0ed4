"""A stand-in Hub with buckets, Spaces and Jobs, and a run that is small enough to wait for."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.fake_cloud import FakeCloud
from tests.fake_hub import fake_hub
from tests.training_fixtures import rows, write_rows
from training.config import Config, make_config
from training.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

REPO, ADAPTERS = "team/space", "team/adapter"
# In each process anew: the client reads them when it is imported.
LIVE = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_PROGRESS_BARS": True}


@contextmanager
def live_cloud(folder: Path, patch: pytest.MonkeyPatch, *, run: bool = True) -> Iterator[FakeCloud]:
    """The client of this process speaks with a stand-in; nothing waits between its attempts."""
    constants = importlib.import_module("huggingface_hub.constants")
    with fake_hub() as hub:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", template.replace(constants.ENDPOINT, hub.url)
        )
        patch.setattr(constants, "ENDPOINT", hub.url)
        for name, value in LIVE.items():
            patch.setattr(constants, name, value)
        patch.setenv("HF_TOKEN", hub.token)
        patch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        patch.setattr("tenacity.nap.time.sleep", lambda _: None)
        # What hf_xet has sent to an address it does not send again, and ports come back.
        xet = importlib.import_module("huggingface_hub.utils._xet")
        patch.setenv("HF_XET_CACHE", str(folder / "xet"))
        patch.setattr(xet, "_GLOBAL_XET_HOLDER", xet.XetSessionHolder())
        cloud = FakeCloud(hub, folder, run=run)
        try:
            yield cloud
        finally:
            cloud.close()


def tiny(folder: Path, **train: Any) -> Config:
    """A base and an adapter in seconds; the run's id is the name of its output."""
    dataset = write_rows(folder / "data/train.jsonl", rows(16)).parent
    return make_config(
        {
            "dataset": str(dataset),
            "output": str(folder / "run-1"),
            "scratch": {"vocabulary": 400, "hidden": 64, "layers": 2, "heads": 2, "steps": 3},
            "data": {"max_length": 128, "packing": False},
            "lora": {"r": 4, "dropout": 0.0, "target_modules": "all-linear"},
            "train": {
                "max_steps": 4,
                "batch_size": 2,
                "accumulation": 1,
                "strategy": "steps",
                "save_steps": 2,
                "eval_steps": 2,
            }
            | train,
        }
    )


def settings(**given: Any) -> Remote:
    return Remote(**({"repo": REPO, "hardware": "t4-small"} | given))
