"""What this machine has: a number format that is fast on it, and memory."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TUNABLES = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"


def precision() -> str:
    """bf16 where it is fast, on GPUs and on CPUs with instructions for it; else fp16 or fp32."""
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capable = Path("/proc/cpuinfo")
    fast = capable.is_file() and "avx512_bf16" in capable.read_text()
    return "bf16" if fast else "fp32"


def length_multiple(precision: str, device: str) -> int:
    """What the lengths of batches should be multiples of.

    On a CPU, PyTorch compiles its bf16 kernels anew for each shape and keeps them, up to a thousand
    in oneDNN and more beside it: rows of many lengths took 2.1 GB where padded ones take 1.0.
    """
    return 64 if (precision, device) == ("bf16", "cpu") else 1


def device_kind() -> str:
    """cuda or cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def free_memory() -> int:
    """Bytes that a run could take: of the GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    known = Path("/proc/meminfo")
    if known.is_file():
        fields = dict(line.split(":", 1) for line in known.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def device() -> str:
    """What a run computes on, in words."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"CPU, {torch.get_num_threads()} threads"


def steady_memory(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose memory does not grow from step to step.

    PyTorch asks for aligned memory. What glibc cuts off for that goes to its caches of small pieces
    and never back into the whole, so that a tensor's place, once freed, is too small for the next
    of the same size. Without those caches a run that had grown to 1.20 GB stayed at 1.05.
    """
    given = environment.get("GLIBC_TUNABLES", "")
    if TUNABLES in given:
        return dict(environment)
    return {**environment, "GLIBC_TUNABLES": f"{given}:{TUNABLES}".strip(":")}


def peak_memory() -> int:
    """Most bytes that this process has held: on the GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a child begins at what its parent held
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
