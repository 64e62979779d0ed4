"""Flavours of hardware as the Hub lists them, with their prices, and how long a run takes there.

Prices are asked of the Hub at each launch: none is written here, where it would grow old. What the
Hub does not say is unknown, and said to be.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.hugging_face import asking
from training.remote.run import ZERO_GPU

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Half-precision TFLOPS of one accelerator's tensor cores, without sparsity: hmc-tech.com/gpu, read
# 2026-11-29. The speed of a model that is missing here is unknown.
TFLOPS = {"T4": 65, "L40S": 366, "A100": 312}
# Share of that which is counted on: small batches of a quantised base leave most of it unused. A
# cautious choice, not a measurement.
UTILISATION = 0.15
PASSES = 6  # operations for each weight and token: forward, forward again, backward to activations
START_SECONDS = 600  # of installing, loading the base and saving
HOURS = {"second": 1 / 3600, "minute": 1 / 60, "hour": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """One kind of machine; ``memory`` is of one accelerator, else of the machine; None: unknown."""

    name: str
    accelerator: str
    memory: float | None
    disk: float | None
    dollars_per_hour: float | None

    def seconds(self, weights: int, tokens: int) -> float | None:
        """How long a run over ``tokens``, all epochs together, may take; None: unknown."""
        if self.accelerator not in TFLOPS:
            return None
        rate = TFLOPS[self.accelerator] * 1e12 * UTILISATION
        return START_SECONDS + PASSES * weights * tokens / rate

    def cost(self, seconds: float | None) -> str:
        """Of so long a run, in words."""
        if self.name == ZERO_GPU or self.dollars_per_hour == 0:
            return "free"
        if seconds is None or self.dollars_per_hour is None:
            return "unknown"
        return f"${seconds / 3600 * self.dollars_per_hour:.2f}"


def flavour(api: HfApi, where: str, name: str) -> Flavour:
    """The flavour of that name.

    Raises:
        TrainingError: the Hub has none; names the nearest.
    """
    with asking("the list of hardware"):
        listed = api.list_spaces_hardware() if where == "space" else api.list_jobs_hardware()
    known = {info.name: info for info in listed}
    if name not in known and name == ZERO_GPU and where == "space":
        return Flavour(
            name=name, accelerator="", memory=None, disk=None, dollars_per_hour=0.0
        )  # lent, not sold: the Hub need not list it
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
        raise TrainingError(f"hardware = {name!r} is none that the Hub has for a {where}; {hint}")
    return _flavour(known[name])


def _flavour(info: Any) -> Flavour:
    accelerator = info.accelerator
    memory = _bytes(info.ram)
    if accelerator:
        total = _bytes(accelerator.vram)
        memory = total / max(int(accelerator.quantity), 1) if total else None
    per_hour = HOURS.get(info.unit_label.rstrip("s"))
    return Flavour(
        name=info.name,
        accelerator=accelerator.model if accelerator else "",
        memory=memory,
        disk=_bytes(info.ephemeral_storage),
        dollars_per_hour=info.unit_cost_usd / per_hour if per_hour else None,
    )


def _bytes(text: str) -> float | None:
    """``16 GB`` as bytes; None where it says something else."""
    found = re.fullmatch(r"\s*([\d.]+)\s*([GT])i?B\s*", text or "")
    return float(found[1]) * {"G": 1e9, "T": 1e12}[found[2]] if found else None
