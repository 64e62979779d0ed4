"""Training on ZeroGPU, where a function has a GPU for a minute or two: slices that checkpoint.

Each slice is a run that goes on from the last checkpoint and stops, with one, when its time is
over; what it saved is kept between slices, by the process that has no GPU.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints import newest, step_of
from training.config import make_config
from training.errors import TrainingError
from training.output import CHECKPOINTS
from training.sft import train as train_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.config import Config
    from training.runlog import Event
    from training.sft import Result

    Slice = Callable[[dict[str, Any], bool, float], Result]

SECONDS = 120.0  # of GPU that a slice asks for
RESERVE = 0.35  # of them for loading the base and saving
LIMITS = (
    "ZeroGPU lends a GPU for {seconds:.0f} seconds at a time, within a daily quota of the account, "
    "without torch.compile; the base is loaded anew in each slice. It suits small runs"
)


def on_gpu(seconds: float = SECONDS) -> Slice:
    """A slice as ZeroGPU wants it, decorated; call it once, when the app starts.

    Off ZeroGPU, where the package ``spaces`` is not installed, a slice runs where it is called.
    """
    try:
        import spaces
    except ImportError:
        return run_slice
    decorated: Slice = spaces.GPU(duration=int(seconds))(run_slice)
    return decorated


def run_slice(settings: dict[str, Any], resume: bool, seconds: float) -> Result:
    """Train for ``seconds``; arguments and result go from one process to another."""
    return train_whole(make_config(settings), resume=resume, seconds=seconds)


def in_slices(slice_of: Slice, gpu_seconds: float = SECONDS) -> Callable[..., Result]:
    """A stand-in for :func:`training.sft.train` that trains in slices of ``gpu_seconds``.

    Its ``listener`` hears of a save after each slice; the steps are in the run's log.
    """

    def train(
        config: Config,
        *,
        resume: bool = False,
        listener: Callable[[Event], None] | None = None,
        seconds: float = 0,
    ) -> Result:
        end = time.monotonic() + seconds if seconds else math.inf
        folder = Path(config.output) / CHECKPOINTS
        before = _step(folder)
        while True:
            result = slice_of(config.model_dump(), resume, gpu_seconds * (1 - RESERVE))
            if result.adapter is not None or time.monotonic() > end:
                return result
            step = _step(folder)
            if step <= before:
                raise TrainingError(
                    f"a slice of {gpu_seconds:.0f} seconds is too short for one step: lower "
                    "train.batch_size or train.accumulation, or take other hardware"
                )
            if listener:
                listener({"event": "save", "step": step})
            before, resume = step, True

    return train


def _step(folder: Path) -> int:
    checkpoint, _ = newest(folder) if folder.is_dir() else (None, {})
    return step_of(checkpoint) if checkpoint else 0
