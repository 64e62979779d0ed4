"""What a hub holds, and what has changed since it was written."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hub.search.retrieval import published_state
from hub.sources import stale_files
from hub.store.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from hub.search.retrieval import Retriever
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


@dataclass(frozen=True, slots=True)
class Migration:
    """From the model that answers to the one whose vectors are not complete yet."""

    old: str
    new: str


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
    migration: Migration | None
    sizes: dict[str, int]  # bytes on disk by part of the store
    skipped: dict[str, int]  # files by reason
    skipped_files: list[tuple[str, str, str]] = field(repr=False)  # (source, path, reason)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def status(workspace: Workspace, retriever: Retriever) -> Status:
    """Describe a hub and its published generation; sources are listed anew for what is stale."""
    generation = retriever.current()
    state = published_state(retriever.store)
    target = workspace.store.own_state() if retriever.store is not workspace.store else None
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
        writing=state.writing or target is not None,
        migration=Migration(state.written_by, target.written_by) if target else None,
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
