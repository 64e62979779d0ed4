"""What runs on a Space or in a Job: one specification, from the dataset to the kept adapter.

Whatever an earlier machine saved is brought back first, so that a restart goes on. The run trains
on the machine's own disk and is sent to the bucket at each save; a Hub that is away then is asked
again at the next save, and for long at the end.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints import MANIFEST, digest, problems, saved
from training.errors import TrainingError
from training.hugging_face import MANY, HubAnswerError, asking, patiently
from training.output import ADAPTER, CHECKPOINTS
from training.remote.bucket import Bucket
from training.remote.mirror import Mirror
from training.remote.pushing import send_checkpoint
from training.remote.run import Status
from training.runlog import RunLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from huggingface_hub import HfApi

    from training.config import Config
    from training.remote.job import Job
    from training.runlog import Event
    from training.sft import Result

    Train = Callable[..., Result]

OUTCOME = "outcome.json"
LOG_SECONDS = 30  # between two copies of the log, at least


def work(
    job: Job,
    api: HfApi,
    *,
    train: Train | None = None,
    listener: Callable[[Event], None] | None = None,
) -> Status:
    """Run ``job`` to its end, or to its limit; the outcome is in the bucket too.

    Args:
        job: What to do.
        api: The Hub, with a token that may write to the bucket and to ``push_to``.
        train: As :func:`training.sft.train`, which it is by default.
        listener: Called with each event of the run's log.

    Raises:
        TrainingError: the Hub does not give what is needed, or does not take the adapter; what was
            made is still on this machine's disk, and running the job again goes on from there.
    """
    place = Path(tempfile.gettempdir()) / "patternhub" / job.run
    output = place / "run"
    bucket = Bucket(api, job.bucket)
    mirror = Mirror(output, bucket, job.prefix)
    output.mkdir(parents=True, exist_ok=True)
    patiently(mirror.bring, tries=MANY)
    keeper = Keeper(job, api, mirror, listener)
    status = Status("done", f"the adapter is in the bucket {job.bucket}")
    if problems(output / ADAPTER):
        config = local_config(job, bucket, place)
        if train is None:
            from training.sft import train as whole
        try:
            result = (train or whole)(
                config,
                resume=bool(saved(output / CHECKPOINTS)),
                listener=keeper,
                seconds=job.seconds,
            )
            if result.adapter is None:
                status = Status("stopped", f"after step {result.steps}: {result.stopped}")
        except TrainingError as error:
            status = Status("failed", str(error))
    patiently(keeper.keep, tries=MANY)
    write_outcome(bucket, job.prefix, status)
    return status


class Keeper:
    """Listens to a run, and keeps away from this machine what it has saved."""

    def __init__(
        self, job: Job, api: HfApi, mirror: Mirror, listener: Callable[[Event], None] | None
    ) -> None:
        self.job, self.api, self.mirror, self.listener = job, api, mirror, listener
        self._log = RunLog(mirror.folder, listener)
        self._pushed = ""
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        if self.listener:
            self.listener(event)
        try:
            if event["event"] == "save":
                self.keep()
            elif time.monotonic() > self._next:
                self.mirror.send_log()
                self._next = time.monotonic() + LOG_SECONDS
        except (
            HubAnswerError
        ) as error:  # training is dearer than one copy: the next save tries again
            self._log("not kept", reason=str(error))

    def keep(self) -> None:
        """Send what is new to the bucket, then push it.

        Raises:
            HubAnswerError: the Hub does not take it.
        """
        self.mirror.send()
        if self.job.push_to:
            self._push()

    def _push(self) -> None:
        """The adapter, or until there is one the newest checkpoint on a branch, as one commit."""
        adapter = self.mirror.folder / ADAPTER
        checkpoints = saved(self.mirror.folder / CHECKPOINTS)
        done = adapter.is_dir() and not problems(adapter)
        source = adapter if done else (checkpoints[-1] if checkpoints else None)
        if source is None or source.name == self._pushed:
            return
        repo = self.job.push_to
        if done:
            with asking(f"pushing {source.name} to {repo}"):
                self.api.upload_folder(
                    repo_id=repo,
                    folder_path=source,
                    path_in_repo=f"{self.job.run}-{name_of(adapter)}",
                    commit_message=f"{source.name} of run {self.job.run}",
                )
        else:
            send_checkpoint(self.api, repo, self.job.run, source)
        self._pushed = source.name


def name_of(adapter: Path) -> str:
    """The beginning of the digest by which the hub's registry knows an adapter."""
    files = json.loads((adapter / MANIFEST).read_text(encoding="utf-8"))["files"]
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def write_outcome(bucket: Bucket, prefix: str, status: Status) -> None:
    """How a run ended, for whoever asks: the last thing that is written.

    Raises:
        HubAnswerError: the Hub does not take it.
    """
    text = json.dumps({"stage": status.stage, "detail": status.detail}).encode()
    patiently(bucket.write, {f"{prefix}/{OUTCOME}": text}, tries=MANY)


def read_outcome(bucket: Bucket, prefix: str) -> Status | None:
    """How a run ended; None while it has not."""
    text = bucket.read(f"{prefix}/{OUTCOME}")
    return None if text is None else Status(**json.loads(text))


def local_config(job: Job, bucket: Bucket, place: Path) -> Config:
    """The run's settings with this machine's folders, the dataset's files in one of them.

    Raises:
        TrainingError: the dataset is not there, or is not the one that was meant.
    """
    dataset = place / "dataset"
    given = job.dataset
    wrong = [n for n, sha256 in given.files.items() if not _is(dataset / n, sha256)]
    if given.repo:
        with asking(f"the dataset {given.repo}"):
            for name in wrong:
                found = bucket.api.hf_hub_download(
                    given.repo, name, repo_type="dataset", revision=given.revision or None
                )
                (dataset / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, dataset / name)
    else:
        files = {f"{given.path}/{name}": dataset / name for name in wrong}
        patiently(bucket.download, files, tries=MANY)
    for name, sha256 in given.files.items():
        if not _is(dataset / name, sha256):
            raise TrainingError(
                f"{name} in {given.repo or job.bucket} is not the file that the run was meant for: "
                "start it again with the dataset as it is"
            )
    changed: dict[str, Any] = {"dataset": str(dataset), "output": str(place / "run")}
    if job.chat_template:
        template = place / "template.jinja"
        template.write_text(job.chat_template, encoding="utf-8")
        changed["data"] = job.config.data.model_copy(update={"chat_template": str(template)})
    return job.config.model_copy(update=changed)


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and digest(path) == sha256
