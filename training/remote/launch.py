"""Launching: everything is tried, what is needed is sent, and only then is hardware asked for."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import TrainingError
from training.hugging_face import LOG_IN, HubAnswerError, asking, hub, patiently
from training.remote import space
from training.remote.bucket import Bucket
from training.remote.job import QUEUE, WHEELS, describe
from training.remote.preflight import MARGIN, remote_preflight
from training.remote.run import RemoteRun
from training.remote.wheel import build_wheel
from training.remote.worker import OUTCOME, read_outcome

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from training.config import Config
    from training.remote.job import Job
    from training.remote.run import Remote, Where

LABEL = "pattern-hub-run"
ALIVE = {"SCHEDULING", "RUNNING"}


def launch(
    config: Config,
    where: Where,
    remote: Remote,
    *,
    name: str = "",
    resume: bool = False,
    checked: bool = False,
) -> RemoteRun:
    """Start ``config`` on a Space or as a Job; its output folder notes where, and is the run's id.

    Args:
        config: What to train; dataset and output are folders of this machine.
        where: space or job.
        remote: The account, the hardware and the limits.
        name: What the adapter is to be called, for whoever finds the run in the bucket.
        resume: Go on with a run of this folder that ended before it was done.
        checked: The caller has just tried everything, and all of it passed.

    Raises:
        TrainingError: a check failed, and nothing was spent; or the Hub broke off, and the same
            call goes on.
    """
    api = hub()
    checks = [] if checked else remote_preflight(config, where, remote, api)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise TrainingError("\n".join(str(check) for check in failed))
    job = describe(config, where, remote, remote.minutes * 60 * MARGIN, name=name)
    run = RemoteRun(
        run=job.run,
        folder=config.output,
        where=where,
        repo=remote.repo,
        bucket=remote.storage,
        hardware=remote.hardware,
        push_to=remote.push_to,
    )
    bucket = Bucket(api, remote.storage)
    if where == "space" and (busy := [name for name in waiting(bucket) if name != job.run]):
        raise TrainingError(
            f"the Space {remote.repo} has not finished {', '.join(busy)}: wait, or stop it"
        )
    _send(bucket, job, config, resume)
    run.save()  # before it costs: whatever happens now, the run is found again
    known = token()
    if where == "space":
        if os.environ.get("SPACE_ID") == remote.repo:
            space.stay(api, remote)
            return run
        space.deploy(api, remote, known)
        space.start(api, remote)
        return run
    run = replace(run, job=_start_job(api, bucket, job, remote, known))
    run.save()
    return run


def waiting(bucket: Bucket) -> list[str]:
    """Ids of the runs that a Space was given and has not ended, oldest first."""
    given = [path for path in bucket.sizes(QUEUE) if path.endswith(".json")]
    names = [Path(path).stem for path in given]
    return sorted(name for name in names if read_outcome(bucket, f"runs/{name}") is None)


def _send(bucket: Bucket, job: Job, config: Config, resume: bool) -> None:
    """The dataset, where the bucket has it not yet, then the specification."""
    outcome = read_outcome(bucket, job.prefix)
    if outcome and not resume:
        raise TrainingError(
            f"{job.run} in the bucket {bucket.name} is {outcome.stage}: name another output, or "
            "go on with --resume"
        )
    if not job.dataset.repo:
        there = bucket.sizes(job.dataset.path)
        files = {f"{job.dataset.path}/{name}": name for name in job.dataset.files}
        new = {p: Path(config.dataset) / name for p, name in files.items() if p not in there}
        patiently(bucket.write, new)
    if outcome:
        patiently(bucket.delete, [f"{job.prefix}/{OUTCOME}"])
    text = job.model_dump_json(indent=2).encode()
    patiently(bucket.write, {job.path: text})


def _start_job(api: HfApi, bucket: Bucket, job: Job, remote: Remote, known: str) -> str:
    """Ask for the Job; where the answer is lost, it is found by its label."""
    from huggingface_hub import Volume

    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        there = f"{WHEELS}/{job.run}/{wheel.name}"
        patiently(bucket.write, {there: wheel})
    package = f"pattern-hub[train] @ file://{space.MOUNT}/{there}"
    volume = Volume(type="bucket", source=remote.storage, mount_path=space.MOUNT, read_only=True)

    def ask() -> str:
        try:
            with asking(f"a Job on {remote.hardware}"):
                info = api.run_uv_job(
                    "python",
                    script_args=["-m", "training", f"{space.MOUNT}/{job.path}"],
                    dependencies=[package],
                    secrets={"HF_TOKEN": known},
                    flavor=remote.hardware,
                    timeout=int(remote.minutes * 60),
                    labels={LABEL: job.run, "name": job.run},
                    volumes=[volume],
                    namespace=remote.namespace,
                )
        except HubAnswerError:
            if found := find_job(api, remote.namespace, job.run, alive=True):
                return found
            raise
        return str(info.id)

    return patiently(ask)


def find_job(api: HfApi, namespace: str, run: str, *, alive: bool = False) -> str:
    """The id of the newest Job of a run, or of one that has not ended; empty: there is none."""
    with asking(f"the Jobs of {namespace}"):
        jobs = list(api.list_jobs(labels={LABEL: run}, namespace=namespace))
    found = [job for job in jobs if not alive or job.status.stage in ALIVE]
    return str(found[0].id) if found else ""


def token() -> str:
    """The token of this machine, which becomes a secret of the Space or Job.

    Raises:
        TrainingError: there is none.
    """
    from huggingface_hub import get_token

    found = get_token()
    if not found:
        raise TrainingError(f"there is no token: {LOG_IN}")
    return str(found)
