"""What is asked of a remote run, and what is known of one: both are data, one is on disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from training.errors import TrainingError

FILE = "remote.json"
FREE_HARDWARE, ZERO_GPU = "cpu-basic", "zero-a10g"
Where = Literal["space", "job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where to train and within which limits.

    Args:
        repo: ``organisation/name`` of the Space; for a Job, its organisation pays.
        hardware: A flavour of Spaces or of Jobs, as ``a10g-small``.
        minutes: The run ends there with a checkpoint, to go on with later.
        bucket: For datasets and outputs; by default ``repo`` with ``-runs``.
        push_to: A model repository for the adapter, and for checkpoints as they are saved.
        dataset_repo: A dataset repository to read instead of uploading the dataset's files.
        dataset_revision: Of that repository.
        private: Whether what has to be created is.
    """

    repo: str
    hardware: str = FREE_HARDWARE
    minutes: float = 60.0
    bucket: str = ""
    push_to: str = ""
    dataset_repo: str = ""
    dataset_revision: str = ""
    private: bool = True

    @property
    def storage(self) -> str:
        return self.bucket or f"{self.repo}-runs"

    @property
    def namespace(self) -> str:
        return self.repo.partition("/")[0]

    def check(self, where: str) -> None:
        """Refuse what cannot be meant.

        Raises:
            TrainingError: names it.
        """
        if where not in get_args(Where):
            raise TrainingError(f"where = {where!r}: it is one of {', '.join(get_args(Where))}")
        for name in ("repo", "push_to", "bucket", "dataset_repo"):
            value = getattr(self, name)
            if (value or name == "repo") and value.count("/") != 1:
                raise TrainingError(f"{name} = {value!r} is no 'organisation/name'")
        if self.minutes <= 0:
            raise TrainingError(f"minutes = {self.minutes}: a run needs some")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRun:
    """A run elsewhere; ``job`` is the id of an HF Job, empty until it is known.

    ``ended`` is how, once its end has been seen and its adapter, if there is one, is here.
    """

    run: str
    folder: str
    where: Where
    repo: str
    bucket: str
    hardware: str
    push_to: str = ""
    job: str = ""
    ended: str = ""

    @property
    def prefix(self) -> str:
        """Of the run's files in the bucket."""
        return f"runs/{self.run}"

    @property
    def namespace(self) -> str:
        return self.repo.partition("/")[0]

    def save(self) -> None:
        """Write ``remote.json``, whole or not at all."""
        path = Path(self.folder) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        known = {name: value for name, value in asdict(self).items() if name != "folder"}
        partial = path.with_name(f".{FILE}")
        partial.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        partial.rename(path)


@dataclass(frozen=True, slots=True)
class Status:
    """How a remote run is: waiting, running, done, failed or stopped, and the reason."""

    stage: str
    detail: str = ""

    @property
    def ended(self) -> bool:
        return self.stage in {"done", "failed", "stopped"}


def load(folder: Path) -> RemoteRun | None:
    """The remote run of a folder; None where it is a run of this machine.

    Raises:
        TrainingError: its note cannot be read.
    """
    path = folder / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return RemoteRun(folder=str(folder), **known)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
