"""Checkpoints of a run to a branch of a model repository, from a thread that holds up nothing.

The branch ``checkpoints-RUN`` has the newest one alone; the main branch has adapters. What was sent
is noted in the run's folder, so that whatever is missing can be sent later.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from training.checkpoints import saved
from training.errors import TrainingError
from training.hugging_face import asking, hub
from training.output import ADAPTER, CHECKPOINTS
from training.runlog import RunLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huggingface_hub import HfApi

    from training.runlog import Event

BRANCH = "checkpoints-"
NOTE = "pushed.json"
ENDS = ("done", "stop", "failed")
LAST_SECONDS = 60.0  # that the end of a run waits for what is on its way


def send_checkpoint(api: HfApi, repo: str, run: str, checkpoint: Path) -> None:
    """Put a checkpoint in the place of the one before it, as one commit.

    Raises:
        HubAnswerError: the Hub does not take it.
    """
    branch = f"{BRANCH}{run}"
    with asking(f"pushing {checkpoint.name} to {repo}"):
        api.create_branch(repo, branch=branch, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=checkpoint,
            revision=branch,
            delete_patterns="*",
            commit_message=f"{checkpoint.name} of run {run}",
        )


def to_send(folder: Path, repo: str) -> Path | None:
    """The newest checkpoint of a run that has no adapter yet, where ``repo`` has it not."""
    checkpoints = saved(folder / CHECKPOINTS)
    if not checkpoints or (folder / ADAPTER).is_dir():
        return None
    try:
        noted = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        noted = {}
    return None if noted == _note(repo, checkpoints[-1]) else checkpoints[-1]


def push_newest(folder: Path, repo: str, *, private: bool = True) -> Path | None:
    """Send what :func:`to_send` says, and note it; a repository that is not there is made.

    Raises:
        HubAnswerError: the Hub does not take it.
    """
    checkpoint = to_send(folder, repo)
    if checkpoint is None:
        return None
    api = hub()
    with asking(f"the model repository {repo}"):
        api.create_repo(repo, private=private, exist_ok=True)
    send_checkpoint(api, repo, folder.name, checkpoint)
    text = json.dumps(_note(repo, checkpoint))
    (folder / NOTE).write_text(text, encoding="utf-8")
    return checkpoint


class Pusher:
    """Listens to a run in ``folder``, and sends each checkpoint to ``repo`` while it goes on.

    While one is on its way, only the newest after it waits. A Hub that is away is told in the log
    and asked again at the next save.
    """

    def __init__(
        self, folder: Path, repo: str, listener: Callable[[Event], None] | None = None
    ) -> None:
        self._folder, self._repo, self._listener = folder, repo, listener
        self._log = RunLog(folder, listener)
        self._saved, self._ended = threading.Event(), False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        if self._listener:
            self._listener(event)
        if event["event"] == "save":
            self._saved.set()
        self._ended |= event["event"] in ENDS

    def close(self) -> None:
        """Wait a little for what is on its way; the rest is ``patternhub adapters push``'s."""
        self._ended = True
        self._saved.set()
        self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        last = False
        while not last:
            self._saved.wait()
            self._saved.clear()
            last = self._ended
            try:
                push_newest(self._folder, self._repo)
            except (TrainingError, OSError, ValueError) as error:  # training is dearer than a copy
                if not self._ended:  # how the run ended is the last word of its log
                    self._log("not pushed", reason=str(error))


def _note(repo: str, checkpoint: Path) -> dict[str, str]:
    return {"repository": repo, "checkpoint": checkpoint.name}
