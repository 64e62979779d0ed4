"""Worker processes that a terminal's Ctrl-C does not reach: who started them ends them."""

from __future__ import annotations

import signal
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor


def start_workers(count: int, **options: Any) -> ProcessPoolExecutor:
    """An executor whose ``count`` processes are starting; ``options`` are loky's."""
    from loky import ProcessPoolExecutor

    # Python 3.11 lets SIGINT through again whenever it starts this process, so it comes first.
    resource_tracker.ensure_running()
    executor = ProcessPoolExecutor(count, **options)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        executor.submit(int)  # starts them all, and they inherit the mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return executor
