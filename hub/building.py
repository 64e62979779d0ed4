"""An index to a dataset: everything a build is made of is gathered here, then built."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from hub.curate.annotate import annotate
from hub.curate.duplicates import find_duplicates
from hub.curate.linking import link_tests
from hub.curate.taxonomy import taxonomy_of
from hub.curate.validate import Validator
from hub.dataset.build import Ingredients, build, checked_options
from hub.dataset.checking import LAST_BUILD, example_check
from hub.dataset.checks import forbidden, private
from hub.dataset.handwritten import read_handwritten
from hub.dataset.importing import read_imported
from hub.errors import HubError
from hub.sources import source_root
from hub.store.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hub.config import Dataset
    from hub.dataset.build import BuildReport
    from hub.reporting import Progress
    from hub.search.retrieval import Retriever
    from hub.store.manifest import Source
    from hub.types import Change, Pattern
    from hub.workspace import Workspace


def build_dataset(
    workspace: Workspace,
    retriever: Retriever,
    out: Path,
    formats: Sequence[str],
    progress: Progress,
) -> BuildReport:
    """See :meth:`hub.api.Hub.build_dataset`."""
    lock = FileLock(workspace.store_folder / "dataset.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise HubError(
            f"another dataset is being built here: {lock.lock_file} is locked"
        ) from error
    try:
        settings = workspace.config.dataset
        if formats:
            settings = settings.model_copy(update={"formats": list(formats)})
        return _build(workspace, retriever, out, settings, progress)
    finally:
        lock.release()


def _build(
    workspace: Workspace,
    retriever: Retriever,
    out: Path,
    settings: Dataset,
    progress: Progress,
) -> BuildReport:
    checked_options(out, settings)
    patterns, vectors = _read(retriever)
    generation = retriever.current().snapshot.generation
    manifest = Manifest(workspace.manifest_path)
    try:
        sources = manifest.sources()
    finally:
        manifest.close()
    duplicates = find_duplicates(patterns, vectors, tier="fast", progress=progress)
    clusters = {
        p.id: number
        for number, cluster in enumerate(duplicates.clusters)
        for p in (cluster.representative, *(member.pattern for member in cluster.members))
    }
    stand_ins = frozenset(member.pattern.id for member in duplicates.dropped)
    progress("linking tests", 0, 1)
    tests = link_tests(patterns)
    progress("annotating", 0, 1)
    annotations = annotate(
        patterns,
        taxonomy=taxonomy_of(workspace.config),
        vectors=vectors,
        encoder=workspace.encoders.fast,
        tested=tests,
        duplicated=stand_ins,
    )
    ingredients = Ingredients(
        patterns=patterns,
        annotations=annotations,
        tests=tests,
        clusters=clusters,
        stand_ins=stand_ins,
        changes=read_history(workspace, sources, settings.commits),
        own=[*read_handwritten(workspace.folder), *read_imported(workspace.folder)],
        vectors=vectors,
    )
    private_data: Counter[str] = Counter()
    facts: dict[str, Any] = {
        "command": f"patternhub dataset build {out.name}",
        "version": version("pattern-hub"),
        "generation": generation,
        "settings": settings.model_dump(),
        "sources": {source.name: source.revision for source in sources},
        "patterns": _digest(patterns),
        "private": private_data,
    }
    validator = Validator.from_config(workspace.config, workspace.folder)
    checks = [forbidden, private(private_data), example_check(validator)]
    report = build(ingredients, out, settings, checks=checks, facts=facts, progress=progress)
    (workspace.store_folder / LAST_BUILD).write_text(str(out.resolve()), encoding="utf-8")
    return report


def _read(retriever: Retriever) -> tuple[list[Pattern], Any]:
    """All patterns in order of source, path and position, and their fast vectors."""
    retriever.store.reopen()
    retriever.store.state()  # refuses what another model or version wrote
    pages = list(retriever.store.pages())
    patterns = [p for page, _ in pages for p in page]
    if not patterns:
        raise HubError("no pattern is indexed: run `patternhub index PATH` first")
    order = sorted(range(len(patterns)), key=lambda i: _place(patterns[i]))
    return [patterns[i] for i in order], np.concatenate([found for _, found in pages])[order]


def _place(p: Pattern) -> tuple[str, str, int]:
    return p.source, p.path, p.start_byte


def _digest(patterns: Iterable[Pattern]) -> str:
    ids = hashlib.sha256()
    for p in patterns:
        ids.update(p.id.encode())
    return ids.hexdigest()


def read_history(
    workspace: Workspace, sources: Iterable[Source], limit: int
) -> dict[tuple[str, str], list[Change]]:
    """What the last ``limit`` commits of each local checkout made of its functions, by file."""
    from indexers.git_history import read_changes

    found: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for source in sources if limit else ():
        root = source_root(workspace, source.location)
        if (root / ".git").exists():
            for change in read_changes(root, count=limit):
                found[source.name, change.path].append(change)
    return found
