"""The Space's side of training: specifications from the bucket, one after another, as programs.

Progress is on disk and in the bucket, never in the page: a reload, or a restart of the Space, finds
the run again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from training.errors import TrainingError
from training.hugging_face import asking, hub
from training.remote import space
from training.remote.bucket import Bucket
from training.remote.job import QUEUE, read_job
from training.remote.launch import waiting
from training.remote.run import FREE_HARDWARE
from training.remote.slices import in_slices, on_gpu
from training.remote.worker import work

if TYPE_CHECKING:
    from training.remote.job import Job
    from training.remote.slices import Slice

POLL_SECONDS = 30.0
LINES = 200  # of the log that the page shows


def worker_tab(worker: Worker, page: gr.Blocks, timer: gr.Timer) -> None:
    """The end of the log, on a page that may be reloaded at any time."""
    gr.Markdown(f"Trains what waits in the bucket `{worker.bucket.name}`, one run after another.")
    log = gr.Textbox(label="Log", lines=20, interactive=False)
    for event in (page.load, timer.tick):
        event(lambda: "\n".join(worker.lines), outputs=log, api_visibility="private")


class Worker:
    """Works through a bucket's specifications; ``lines`` is the end of what they printed."""

    def __init__(self, bucket: str, repo: str = "") -> None:
        self.api = hub()
        self.bucket = Bucket(self.api, bucket)
        self.repo = repo
        self.lines: deque[str] = deque(maxlen=LINES)
        # ZeroGPU looks for decorated functions when the app starts.
        self.slice: Slice | None = on_gpu() if os.environ.get("SPACES_ZERO_GPU") else None

    def start(self) -> None:
        """Work in the background for as long as the app lives."""
        threading.Thread(target=self._forever, daemon=True).start()

    @property
    def hardware(self) -> str:
        """What this Space runs on now.

        Raises:
            TrainingError: the Hub does not say.
        """
        with asking(f"the Space {self.repo}"):
            runtime = self.api.get_space_runtime(self.repo)
        return str(runtime.requested_hardware or runtime.hardware or FREE_HARDWARE)

    def run_waiting(self) -> int:
        """Run what waits, then let the hardware rest; returns how many ran."""
        names = waiting(self.bucket)
        for name in names:
            text = self.bucket.read(f"{QUEUE}/{name}.json")
            if text is not None:
                self.run(text, name)
        if names and self.repo and not waiting(self.bucket):
            space.rest(self.api, self.repo)
        return len(names)

    def run(self, text: bytes, name: str) -> int:
        """One specification, to its end; its exit status."""
        self.lines.append(f"run {name}")
        if self.slice:
            return self._in_slices(read_job(text, name), self.slice)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.json"
            path.write_bytes(text)
            program = subprocess.Popen(
                [sys.executable, "-m", "training", str(path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert program.stdout is not None
            for line in program.stdout:
                sys.stdout.write(line)  # the Space's own log
                self.lines.append(line.rstrip("\n"))
            return program.wait()

    def _in_slices(self, job: Job, slice_of: Slice) -> int:
        said = work(job, self.api, train=in_slices(slice_of))
        self.lines.append(f"{said.stage}: {said.detail}")
        return 0 if said.stage == "done" else 1

    def _forever(self) -> None:
        while True:
            try:
                self.run_waiting()
            except TrainingError as error:  # the Hub is away: what was saved stays, ask again
                self.lines.append(str(error))
            time.sleep(POLL_SECONDS)
