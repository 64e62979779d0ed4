"""A built dataset to the Hugging Face Hub, private unless said otherwise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hub.config import CARD, MANIFEST
from hub.errors import HubError
from hub.hugging_face import asking

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What went to the Hub, or would go."""

    repository: str
    private: bool
    tag: str
    files: dict[str, int]  # bytes by name
    url: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def publish(
    folder: Path, repository: str, *, private: bool = True, tag: str = "", dry_run: bool = False
) -> PublishReport:
    """Upload a dataset folder and tag the revision.

    The client tries again by itself where the Hub is busy or hangs up. Run again, this goes on:
    the Hub knows by its digest a large file that it has. What the build no longer has is deleted
    in the same commit.

    Args:
        folder: What :func:`hub.dataset.build.build` wrote.
        repository: ``organisation/name``.
        private: Whether a new repository is; one that is there stays as it is.
        tag: Of the revision; by default ``build-`` and the beginning of the manifest's digest.
        dry_run: List what would leave the machine, and send nothing.

    Raises:
        HubError: not a dataset, files that are not the build's, or the Hub refuses or is not
            there.
    """
    files = _files(folder)
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    tag = tag or f"build-{digest[:12]}"
    report = PublishReport(repository, private, tag, files)
    if dry_run:
        return report
    from huggingface_hub import HfApi

    api = HfApi()
    with asking(repository):
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=list(files),
            delete_patterns="*",
            commit_message=f"Pattern Hub dataset {tag}",
        )
        api.create_tag(repository, repo_type="dataset", tag=tag, revision=done.oid, exist_ok=True)
    return PublishReport(repository, private, tag, files, url=str(done.commit_url))


def _files(folder: Path) -> dict[str, int]:
    """The build's files and their sizes, each as it was built.

    Raises:
        HubError: ``folder`` is no dataset, or a file was changed since it was built.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HubError(
            f"{folder} is no dataset: {MANIFEST} cannot be read ({error}); "
            "`patternhub dataset build` makes one"
        ) from error
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise HubError(f"{path} is not as it was built: build the dataset again")
    if not (folder / CARD).is_file():
        raise HubError(f"{folder / CARD}, the card, is missing: build the dataset again")
    names = [*expected, MANIFEST, CARD]
    return {name: (folder / name).stat().st_size for name in names}
