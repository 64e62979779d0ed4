"""The processes of one run: one for each GPU, where ``accelerate launch`` has started several.

The first alone writes log, checkpoints and adapter. Whether to end is decided by all alike, or one
would wait for the others for ever.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def count() -> int:
    """How many there are."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this one writes."""
    return count() == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def first() -> Iterator[None]:
    """The first process runs the block before the others do."""
    if count() == 1:
        yield
        return
    with _state().main_process_first():
        yield


def wait() -> None:
    """Go on when all have come here."""
    if count() > 1:
        _state().wait_for_everyone()


def any_of(asked: bool) -> bool:
    """Whether one of them at least says so; each has to ask."""
    if count() == 1:
        return asked
    import torch

    told = torch.tensor([float(asked)], device=_state().device)
    torch.distributed.all_reduce(told)
    return bool(told.item())


def leave() -> None:
    """End what connects the processes; else its threads may abort one that exits."""
    if count() > 1:
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _state() -> Any:
    """Accelerate's, on the device that the trainer will ask for."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
