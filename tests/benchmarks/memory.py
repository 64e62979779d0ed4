"""How much memory a benchmark holds, all its processes together."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Resident megabytes of this process and its workers together, at their highest so far."""
    done = threading.Event()
    highest = 0

    def watch() -> None:
        nonlocal highest
        process = psutil.Process()
        while not done.wait(0.2):
            total = 0
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += each.memory_info().rss
            highest = max(highest, total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: highest // 2**20
    finally:
        done.set()
        watcher.join()
