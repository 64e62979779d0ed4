"""The job specification: what a remote machine is told, as JSON in the bucket.

It holds references and settings, never a secret: the token comes as a secret of the Space or Job.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.checkpoints import digest
from training.config import Config  # noqa: TC001 - pydantic reads the annotation
from training.errors import TrainingError
from training.remote.run import Where  # noqa: TC001 - so it does here

if TYPE_CHECKING:
    from training.remote.run import Remote

MANIFEST = "manifest.json"  # of a dataset that the hub built: it names the dataset
QUEUE, JOBS, DATASETS, WHEELS = "queue", "jobs", "datasets", "wheels"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dataset(_Record):
    """Files that are the dataset, wherever they are, by sha256."""

    files: dict[str, str] = Field(description="sha256 by name")
    repo: str = Field(default="", description="a dataset repository; empty: in the bucket")
    revision: str = Field(default="", description="of the repository")

    @property
    def path(self) -> str:
        """In the bucket: the same files are sent once."""
        text = "".join(f"{name} {sha256}\n" for name, sha256 in sorted(self.files.items()))
        return f"{DATASETS}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Job(_Record):
    """One run; ``config.dataset`` and ``config.output`` are replaced where it runs."""

    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="its id")
    where: Where = Field(description="what runs it")
    name: str = Field(default="", description="of the adapter, where it is registered")
    config: Config
    chat_template: str = Field(default="", description="text of a template of the user's own")
    dataset: Dataset
    bucket: str = Field(description="what the run makes is kept there, under runs/")
    push_to: str = Field(default="", description="a model repository")
    seconds: float = Field(default=0, ge=0, description="stop with a checkpoint; 0: no limit")

    @property
    def path(self) -> str:
        """Of the specification in the bucket; what a Space finds in its queue, it runs."""
        return f"{QUEUE if self.where == 'space' else JOBS}/{self.run}.json"

    @property
    def prefix(self) -> str:
        """Of what the run makes."""
        return f"runs/{self.run}"


def describe(
    config: Config, where: Where, remote: Remote, seconds: float, *, name: str = ""
) -> Job:
    """The specification of ``config``, whose output folder's name is the run's id.

    Raises:
        TrainingError: something it names is only on this machine, or cannot be read.
    """
    if config.base and Path(config.base).is_dir():
        raise TrainingError(
            f"base = {config.base!r} is a folder of this machine: push the model to the Hub and "
            "name its id"
        )
    template = ""
    if config.data.chat_template:
        from training.prepare import read_template_file

        template = read_template_file(config.data.chat_template)
    try:
        return Job(
            run=Path(config.output).name,
            where=where,
            name=name,
            config=config,
            chat_template=template,
            dataset=Dataset(
                files=_digests(config),
                repo=remote.dataset_repo,
                revision=remote.dataset_revision,
            ),
            bucket=remote.storage,
            push_to=remote.push_to,
            seconds=seconds,
        )
    except ValidationError as error:
        run = Path(config.output).name
        raise TrainingError(f"the run {run!r}: letters, digits, '.', '_' and '-' alone") from error


def read_job(text: str | bytes, source: str) -> Job:
    """A specification from its JSON.

    Raises:
        TrainingError: it is none.
    """
    try:
        return Job.model_validate_json(text, strict=False)
    except ValidationError as error:
        raise TrainingError(f"{source} is no job specification: {error}") from error


def _digests(config: Config) -> dict[str, str]:
    folder = Path(config.dataset)
    optional = (config.data.evaluation, MANIFEST)
    names = [config.data.train, *(name for name in optional if (folder / name).is_file())]
    try:
        return {name: digest(folder / name) for name in names}
    except OSError as error:
        raise TrainingError(f"{error.filename} cannot be read: {error.strerror}") from error
