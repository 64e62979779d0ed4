"""What a hub holds, and what has changed since it was written."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.sources import stale_files
from hub.store.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from hub.search.retrieval import Generation
    from hub.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """One source: where it is, what is indexed of it, and how many of its files are stale."""

    name: str
    location: str
    revision: str
    files: int
    bytes: int
    patterns: int
    stale: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The hub at a glance; counts are of patterns unless they say otherwise."""

    folder: str
    patterns: int
    kinds: dict[str, int]
    languages: dict[str, int]
    sources: list[SourceStatus]
    model: str
    tier: str
    generation: int
    writing: bool
    sizes: dict[str, int]  # bytes on disk by part of the store
    skipped: dict[str, int]  # files by reason
    skipped_files: list[tuple[str, str, str]] = field(repr=False)  # (source, path, reason)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def status(workspace: Workspace, generation: Generation) -> Status:
    """Describe a hub and its published generation; sources are listed anew for what is stale."""
    state = workspace.store.state()
    if state is None:
        raise HubError("this hub is empty: run `patternhub index PATH` first")
    rows = generation.snapshot.rows
    manifest = Manifest(workspace.manifest_path)
    try:
        patterns = rows.sources.counts()
        totals = manifest.totals()
        sources = []
        for source in manifest.sources():
            stale, error = stale_files(workspace, manifest, source)
            files, size = totals.get(source.name, (0, 0))
            sources.append(
                SourceStatus(
                    name=source.name,
                    location=source.location,
                    revision=source.revision,
                    files=files,
                    bytes=size,
                    patterns=patterns.get(source.name, 0),
                    stale=stale,
                    error=error,
                )
            )
        skipped = manifest.skipped()
    finally:
        manifest.close()
    return Status(
        folder=str(workspace.folder),
        patterns=len(rows),
        kinds=rows.kinds.counts(),
        languages=rows.languages.counts(),
        sources=sources,
        model=state.model,
        tier=generation.tier,
        generation=state.generation,
        writing=state.writing,
        sizes=_sizes(workspace.store_folder),
        skipped=dict(Counter(reason for _, _, reason in skipped)),
        skipped_files=skipped,
    )


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file and folder directly in the store."""
    sizes = {}
    for part in sorted(folder.iterdir()):
        files = part.rglob("*") if part.is_dir() else [part]
        sizes[part.name] = sum(f.lstat().st_size for f in files if f.is_file())
    return sizes
