"""The Space that trains, for the hub: what it is doing, and the adapters that lie there."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.serving.registry import Registry

SETTINGS = "adapter_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceStatus:
    """What the Space is doing; ``waiting`` are runs that it was given and has not ended."""

    repo: str
    stage: str
    hardware: str
    waiting: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        runs = ", ".join(self.waiting) or "none"
        return f"{self.repo}: {self.stage} on {self.hardware}; runs that are not ended: {runs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAdapter:
    """An adapter elsewhere: where, what is wrong with it, and where it is here once rescued.

    ``reference`` is what the registry calls it then.
    """

    place: str
    problems: list[str]
    folder: str = ""
    reference: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        if self.problems:
            return f"{self.place}: not whole: {'; '.join(self.problems)}"
        here = f", now in {self.folder}" if self.folder else ""
        return f"{self.place}: whole{here}" + (f" as {self.reference}" if self.reference else "")

    def registered(self, registry: Registry, name: str) -> FoundAdapter:
        """The same, taken into the registry where it was rescued."""
        if not self.folder:
            return self
        try:
            taken = registry.take(Path(self.folder), name=name)
        except HubError as error:
            return replace(self, problems=[str(error)])
        return replace(self, reference=taken.reference)


class Space:
    """One Space and its bucket; every method asks the Hub, and raises HubError where it refuses."""

    def __init__(self, repo: str, bucket: str = "", *, private: bool = True) -> None:
        from training.hugging_face import hub
        from training.remote import Remote
        from training.remote.bucket import Bucket

        self.remote = Remote(repo=repo, bucket=bucket, private=private)
        with as_hub_errors():
            self.remote.check("space")
        self.api = hub()
        self.bucket = Bucket(self.api, self.remote.storage)

    def deploy(self, *, hub_repo: str = "") -> str:
        """Create or update the Space with its bucket; its address.

        Args:
            hub_repo: A dataset repository with a hub that the page shows; empty: as it was.
        """
        from training.hugging_face import asking
        from training.remote.launch import token
        from training.remote.space import HUB_VARIABLE, deploy

        with as_hub_errors():
            known = token()
            self.bucket.create(private=self.remote.private)
            address = deploy(self.api, self.remote, known)
            if hub_repo:
                with asking(f"setting up the Space {self.remote.repo}"):
                    self.api.add_space_variable(self.remote.repo, HUB_VARIABLE, hub_repo)
            return address

    def status(self) -> SpaceStatus:
        """Its stage and hardware, and the runs that wait."""
        from training.hugging_face import asking
        from training.remote.launch import waiting

        with as_hub_errors():
            with asking(f"the Space {self.remote.repo}"):
                runtime = self.api.get_space_runtime(self.remote.repo)
            return SpaceStatus(
                repo=self.remote.repo,
                stage=str(runtime.stage),
                hardware=str(runtime.hardware or runtime.requested_hardware or "no hardware"),
                waiting=waiting(self.bucket),
            )

    def logs(self, *, build: bool = False) -> Iterator[str]:
        """What it has printed, or its build."""
        from training.remote.space import log_lines

        with as_hub_errors():
            yield from log_lines(self.api, self.remote.repo, build=build)

    def sleep(self) -> None:
        """Pause it."""
        from training.remote.space import pause

        with as_hub_errors():
            pause(self.api, self.remote.repo)

    def adapters(self, to: Path | None = None) -> list[FoundAdapter]:
        """The adapters in the bucket and in the Space's repository, each verified by its digests.

        Args:
            to: Where each whole one is brought, into a folder named after its run.
        """
        with as_hub_errors(), tempfile.TemporaryDirectory() as scratch:
            target = to or Path(scratch)
            return [*self._in_bucket(target, to), *self._in_repository(target, to)]

    def _in_bucket(self, target: Path, to: Path | None) -> Iterator[FoundAdapter]:
        paths = self.bucket.sizes("runs")
        for place in sorted(p.rpartition("/")[0] for p in paths if p.endswith(f"/{SETTINGS}")):
            if "/checkpoints/" in place:
                continue
            folder = target / place.split("/")[1] / "adapter"
            folder.parent.mkdir(parents=True, exist_ok=True)
            wrong = self.bucket.bring(place, folder)
            yield _found(f"bucket {self.bucket.name}/{place}", wrong, folder if to else None)

    def _in_repository(self, target: Path, to: Path | None) -> Iterator[FoundAdapter]:
        from training.checkpoints import problems
        from training.hugging_face import asking

        repo = self.remote.repo
        with asking(f"the Space {repo}"):
            files = self.api.list_repo_files(repo, repo_type="space")
        for place in sorted(f.rpartition("/")[0] for f in files if f.endswith(SETTINGS)):
            with asking(f"{place} in the Space {repo}"):
                self.api.snapshot_download(
                    repo, repo_type="space", allow_patterns=f"{place}/*", local_dir=target
                )
            folder = target / place
            yield _found(f"Space {repo}/{place}", problems(folder), folder if to else None)


def _found(place: str, wrong: list[str], folder: Path | None) -> FoundAdapter:
    here = str(folder) if folder and not wrong else ""
    return FoundAdapter(place=place, problems=wrong, folder=here)


@contextmanager
def as_hub_errors() -> Iterator[None]:
    """What training says is what its user is told."""
    from training.errors import TrainingError

    try:
        yield
    except TrainingError as error:
        raise HubError(str(error)) from error
