"""Runs that a machine has no note of, found in the bucket again: a Space's disk forgets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from training.errors import TrainingError
from training.hugging_face import hub
from training.remote.bucket import Bucket
from training.remote.follow import fetch
from training.remote.job import JOBS, QUEUE, read_job
from training.remote.run import RemoteRun
from training.remote.worker import read_outcome

if TYPE_CHECKING:
    from collections.abc import Collection

    from training.remote.job import Job
    from training.remote.run import Remote


def recall(
    remote: Remote, folder: Path, known: Collection[str], *, limit: int
) -> list[tuple[Job, Path]]:
    """Note the newest runs of the bucket below ``folder``, and bring what ended ones made.

    Args:
        remote: Whose bucket.
        folder: Of all runs here; each gets one of its own, named by its id.
        known: Ids of runs that have one.
        limit: Most runs to note; older ones stay in the bucket.

    Raises:
        TrainingError: the Hub refuses, or the disk is full.
    """
    bucket = Bucket(hub(), remote.storage)
    given = [path for where in (QUEUE, JOBS) for path in bucket.sizes(where)]
    new = {Path(path).stem: path for path in given if path.endswith(".json")}
    found = []
    for name in sorted(set(new) - set(known), reverse=True)[:limit]:
        text = bucket.read(new[name])
        if text is None:
            continue
        job, here = read_job(text, new[name]), folder / name
        run = RemoteRun(
            run=name,
            folder=str(here),
            where=job.where,
            repo=remote.repo,
            bucket=remote.storage,
            hardware=remote.hardware,
            push_to=job.push_to,
        )
        try:
            run.save()
            config = job.config.model_copy(update={"output": str(here)})
            text = yaml.safe_dump(config.model_dump(), sort_keys=False).encode()
            (here / "config.yaml").write_bytes(text)
        except OSError as error:
            raise TrainingError(f"{here} cannot be written: {error}") from error
        if said := read_outcome(bucket, run.prefix):
            fetch(run)
            replace(run, ended=said.stage).save()
        found.append((job, here))
    return found
