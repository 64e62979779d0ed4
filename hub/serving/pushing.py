"""Adapters to a model repository on the Hugging Face Hub, and back.

Each adapter has a folder there, ``NAME/VERSION-DIGEST``. What waits is whatever the index does not
say is there, so that a process that is killed, or a Hub that fails, leaves the queue as it was;
what came half is seen by its digests and sent again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.hugging_face import asking
from hub.serving.folder import MANIFEST, TAKEN, damage, listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from huggingface_hub.hf_api import RepoFile

    from hub.serving.registry import Registry
    from hub.types import Adapter

    Folders = dict[str, dict[str, RepoFile]]  # files by name, by folder

SHOWN = 12  # characters of the digest in a folder's name


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What went to the Hub; ``damaged`` says why an adapter stays here.

    ``checkpoints`` are ids of unfinished runs, whose newest checkpoint went too.
    """

    repository: str
    pushed: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    damaged: dict[str, Sequence[str]] = field(default_factory=dict)
    checkpoints: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def push(
    registry: Registry, repository: str, *, reference: str = "", private: bool = True
) -> PushReport:
    """Send what waits, or one adapter, oldest first.

    The client tries again by itself where the Hub is busy or hangs up. What was sent is noted one
    by one; the same call goes on with the rest.

    Args:
        registry: Where the adapters are.
        repository: ``organisation/name``; made where it is not there.
        reference: Only this adapter, even if it was noted as sent.
        private: Whether a new repository is; one that is there stays as it is.

    Raises:
        HubError: no such adapter, or the Hub refuses or is not there; says how many wait.
    """
    report = PushReport(repository=repository)
    waiting = [registry.get(reference)] if reference else to_push(registry, repository)
    if not waiting:
        return report
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        with asking(repository):
            api.create_repo(repository, private=private, exist_ok=True)
            folders = _folders(api, repository)
        for adapter in waiting:
            folder = registry.path(adapter)
            if wrong := damage(folder, adapter.digest):
                report.damaged[adapter.reference] = wrong
                continue
            if _differences(registry, adapter, folders):
                with asking(repository):
                    _send(api, repository, folder, adapter)
                report.pushed.append(adapter.reference)
            else:
                report.there.append(adapter.reference)
            registry.note_pushed(adapter, repository)
    except HubError as error:
        left = len(waiting) - len(report.pushed) - len(report.there) - len(report.damaged)
        raise HubError(
            f"{error}\n{left} of {len(waiting)} adapters are not there yet; they stay here, and "
            "`patternhub adapters push` goes on"
        ) from error
    return report


def to_push(registry: Registry, repository: str) -> list[Adapter]:
    """The adapters that wait to be sent to a repository."""
    pushed = registry.pushed(repository)
    return [adapter for adapter in registry.list() if adapter.digest not in pushed]


def verify_remote(
    registry: Registry, repository: str, *, reference: str = ""
) -> dict[str, Sequence[str]]:
    """How the Hub's files differ from those here, by reference; an empty list: by no digest.

    Raises:
        HubError: no such adapter, or the Hub refuses or is not there.
    """
    from huggingface_hub import HfApi

    adapters = [registry.get(reference)] if reference else registry.list()
    with asking(repository):
        folders = _folders(HfApi(), repository)
    return {a.reference: _differences(registry, a, folders) for a in adapters}


def pull(registry: Registry, repository: str) -> list[Adapter]:
    """Take in what a repository has and the registry has not whole, each verified by its digests.

    An adapter may also lie in the repository's root, as a remote run leaves it.

    Raises:
        HubError: nothing there is an adapter, one is not as it was saved, or the Hub refuses or is
            not there. What came before stays.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with asking(repository):
        revision = api.repo_info(repository).sha
        folders = _folders(api, repository, revision)
    if not folders:
        raise HubError(f"{repository} has no adapter: no folder of it has a {MANIFEST}")
    digests = [adapter.digest for adapter in registry.list()]
    whole = {digest for digest in digests if not damage(registry.folder / digest, digest)}
    shown = {digest[:SHOWN] for digest in whole}
    taken = []
    for folder, files in sorted(folders.items()):
        if folder.rpartition("-")[2] in shown:
            continue
        partial = registry.folder / f".pulling-{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
        with asking(repository):
            api.snapshot_download(
                repository,
                revision=revision,
                local_dir=partial,
                allow_patterns=[file.path for file in files.values()],
            )
        try:
            adapter = registry.take(partial / folder, **_named(partial / folder, repository))
        finally:  # what is not as it was saved would be found again by the next pull
            shutil.rmtree(partial)
        registry.note_pushed(adapter, repository)
        if adapter.digest not in whole:
            taken.append(adapter)
    return taken


def _folders(api: Any, repository: str, revision: str | None = None) -> Folders:
    """The files of each adapter in a repository; the root, as "", may be one too."""
    entries = api.list_repo_tree(repository, recursive=True, revision=revision)
    tree = {entry.path: entry for entry in entries if hasattr(entry, "blob_id")}
    places = [path.removesuffix(MANIFEST) for path in tree if path.rpartition("/")[2] == MANIFEST]
    found: Folders = {}
    for place in sorted(places, key=len, reverse=True):  # the root has what no folder has
        paths = [path for path in tree if path.startswith(place)]
        found[place.rstrip("/")] = {path.removeprefix(place): tree.pop(path) for path in paths}
    return found


def _send(api: Any, repository: str, folder: Path, adapter: Adapter) -> None:
    api.upload_folder(
        repo_id=repository,
        folder_path=folder,
        path_in_repo=f"{adapter.name}/{adapter.version}-{adapter.digest[:SHOWN]}",
        allow_patterns=[*listed(folder), MANIFEST, TAKEN],
        commit_message=f"{adapter.reference} ({adapter.digest[:SHOWN]})",
    )


def _differences(registry: Registry, adapter: Adapter, folders: Folders) -> Sequence[str]:
    """What differs there; the Hub knows a large file by its sha256, others by git's digest."""
    folder = registry.path(adapter)
    if wrong := damage(folder, adapter.digest):
        return wrong
    ends = f"-{adapter.digest[:SHOWN]}"
    there = next((files for place, files in folders.items() if place.endswith(ends)), None)
    if there is None:
        return ["it is not on the Hub: `patternhub adapters push` sends it"]
    found = []
    for name in (*listed(folder), MANIFEST):
        remote = there.get(name)
        content = (folder / name).read_bytes()
        if remote is None:
            found.append(f"{name} is not on the Hub")
        elif remote.lfs:
            if remote.lfs.sha256 != hashlib.sha256(content).hexdigest():
                found.append(f"{name} is another one on the Hub")
        elif remote.blob_id != _git_digest(content):
            found.append(f"{name} is another one on the Hub")
    return found


def _git_digest(content: bytes) -> str:
    blob = b"blob %d\0" % len(content) + content
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def _named(folder: Path, repository: str) -> dict[str, str]:
    """What an adapter from the Hub is called; where it does not say, as its repository."""
    try:
        said = json.loads((folder / TAKEN).read_text(encoding="utf-8"))
        return {key: str(said[key]) for key in ("name", "version", "run")}
    except (OSError, ValueError, KeyError, TypeError):
        return {"name": repository.rpartition("/")[2]}
