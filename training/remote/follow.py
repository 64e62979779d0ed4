"""Following a remote run, from any process at any time: state is in the bucket and in one note."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.checkpoints import problems
from training.hugging_face import HubAnswerError, asking, hub, patiently
from training.output import ADAPTER
from training.remote import space
from training.remote.bucket import PARTIAL, Bucket
from training.remote.launch import find_job
from training.remote.run import Status
from training.remote.worker import read_outcome, write_outcome
from training.runlog import FILE as LOG
from training.runlog import read_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingface_hub import HfApi

    from training.remote.run import RemoteRun
    from training.runlog import Event

POLL_SECONDS = 15.0
STARTING = {"SCHEDULING", "BUILDING", "APP_STARTING"}


def status(run: RemoteRun, api: HfApi | None = None) -> Status:
    """How the run is; the run's own word counts before the machine's.

    Raises:
        TrainingError: the Hub does not say.
    """
    api = api or hub()
    if said := read_outcome(Bucket(api, run.bucket), run.prefix):
        return said
    return _job(run, api) if run.where == "job" else _space(run, api)


def fetch(run: RemoteRun, api: HfApi | None = None) -> Path | None:
    """Bring the run's log, and its adapter where there is one; returns the adapter's folder.

    What arrived is whole, by its digests, or is not there. Call it as often as you like.

    Raises:
        TrainingError: the Hub does not give it.
    """
    api = api or hub()
    folder, bucket = Path(run.folder), Bucket(api, run.bucket)
    _bring_log(run, bucket)
    adapter = folder / ADAPTER
    if not adapter.is_dir() or problems(adapter):
        wrong = bucket.bring(f"{run.prefix}/{ADAPTER}", adapter)
        if wrong and not (run.push_to and _pulled(api, run, adapter)):
            return None
    return adapter


def follow(
    run: RemoteRun,
    *,
    listener: Callable[[Event], None] | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> Status:
    """Wait for the end, bringing the log as it grows; then fetch, and send the hardware to rest.

    A Hub that does not answer is asked again at the next turn.

    Args:
        run: To wait for.
        listener: Called with each event of the run's log.
        poll_seconds: Between two questions.
    """
    api, shown = hub(), len(read_log(Path(run.folder)))
    while True:
        now = Status("waiting")
        try:
            now = status(run, api)
            _bring_log(run, Bucket(api, run.bucket))
        except HubAnswerError as error:
            if not error.passing:
                raise
        events = read_log(Path(run.folder))
        if listener:
            for event in events[shown:]:
                listener(event)
        shown = len(events)
        if now.ended:
            finish(run, api)
            return now
        time.sleep(poll_seconds)


def finish(run: RemoteRun, api: HfApi | None = None) -> Path | None:
    """What is left to do when a run has ended: its adapter comes here, its hardware rests."""
    api = api or hub()
    adapter = patiently(fetch, run, api)
    if run.where == "space":
        space.rest(api, run.repo)
    return adapter


def stop(run: RemoteRun, api: HfApi | None = None) -> Status:
    """End the run; what it has saved stays in the bucket, to be fetched or gone on with.

    Raises:
        TrainingError: the Hub refuses.
    """
    api = api or hub()
    if (said := status(run, api)).ended:
        return said
    said = Status("stopped", "on demand; go on with --resume")
    write_outcome(Bucket(api, run.bucket), run.prefix, said)  # or a restart would go on
    if run.where == "space":
        space.rest(api, run.repo)
        return said
    if job := run.job or find_job(api, run.namespace, run.run):
        with asking(f"cancelling the Job {job}"):
            api.cancel_job(job_id=job, namespace=run.namespace)
    return said


def log_lines(run: RemoteRun, api: HfApi | None = None) -> Iterator[str]:
    """What the machine has printed: more than the run's own log where it failed to start."""
    api = api or hub()
    if run.where == "space":
        yield from space.log_lines(api, run.repo)
        return
    job = run.job or find_job(api, run.namespace, run.run)
    if job:
        with asking(f"the log of the Job {job}"):
            yield from api.fetch_job_logs(job_id=job, namespace=run.namespace)


def _job(run: RemoteRun, api: HfApi) -> Status:
    job = run.job or find_job(api, run.namespace, run.run)
    if not job:
        return Status("failed", "the Job was never started; launch it again")
    if not run.job:
        replace(run, job=job).save()
    with asking(f"the Job {job}"):
        said = api.inspect_job(job_id=job, namespace=run.namespace).status
    if said.stage in STARTING | {"RUNNING"}:
        return Status("waiting" if said.stage in STARTING else "running", said.stage.lower())
    # A Job that has said nothing itself was ended from outside: by its limit, or by its machine.
    reason = f"the Job ended as {said.stage}" + (f": {said.message}" if said.message else "")
    return Status("failed", f"{reason}; what it saved is kept, go on with --resume")


def _space(run: RemoteRun, api: HfApi) -> Status:
    with asking(f"the Space {run.repo}"):
        stage = str(api.get_space_runtime(run.repo).stage)
    if stage in space.BROKEN:
        return Status("failed", f"the Space is in {stage}: `patternhub space logs` says why")
    if stage in space.RESTING:
        return Status("stopped", f"the Space is {stage.lower()}; go on with --resume")
    return Status("waiting" if "STARTING" in stage or "BUILDING" in stage else "running", stage)


def _bring_log(run: RemoteRun, bucket: Bucket) -> None:
    """The remote log takes the place of the one here where it is longer."""
    here = Path(run.folder) / LOG
    path = f"{run.prefix}/{LOG}"
    size = bucket.sizes(run.prefix).get(path, 0)
    if size > (here.stat().st_size if here.exists() else 0):
        partial = here.with_name(f".{LOG}")
        bucket.download({path: partial})
        partial.rename(here)


def _pulled(api: HfApi, run: RemoteRun, adapter: Path) -> bool:
    """The adapter from the model repository that it was pushed to; False where it is not whole."""
    with tempfile.TemporaryDirectory(dir=adapter.parent, prefix=PARTIAL) as folder:
        with asking(f"the adapter in {run.push_to}"):
            api.snapshot_download(run.push_to, allow_patterns=f"{run.run}-*/*", local_dir=folder)
        for found in Path(folder).glob(f"{run.run}-*"):
            if not problems(found):
                shutil.rmtree(adapter, ignore_errors=True)
                found.rename(adapter)
                return True
    return False
