"""An index to a dataset: everything a build is made of is gathered here, then built."""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from hub.curate.annotate import annotate
from hub.curate.anonymize import anonymize
from hub.curate.duplicates import find_duplicates
from hub.curate.gaps import Made
from hub.curate.left_out import left_out
from hub.curate.licences import licences_of, told
from hub.curate.linking import link_tests
from hub.curate.taxonomy import taxonomy_of
from hub.curate.validate import Validator
from hub.dataset.build import Ingredients, build, checked_options, standing
from hub.dataset.checking import LAST_BUILD, answers_of, example_check, read_lines
from hub.dataset.checks import Screen, in_turn
from hub.dataset.generating import GENERATED, generated
from hub.dataset.handwritten import read_handwritten
from hub.dataset.importing import read_imported
from hub.dataset.remembered import FOLDER, Remembered, digest, rules_digest
from hub.dataset.reviewing import rejected
from hub.dataset.split import SIDES
from hub.dataset.tasks import FUNCTIONS
from hub.dataset.varying import VARIANTS, read_variants
from hub.errors import HubError
from hub.sources import source_root, stale_files
from hub.store.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hub.config import Dataset
    from hub.curate.annotate import Annotation
    from hub.curate.licences import Licence
    from hub.dataset.build import BuildReport
    from hub.dataset.checks import Check
    from hub.dataset.varying import Variant
    from hub.reporting import Progress
    from hub.search.retrieval import Retriever
    from hub.store.manifest import Source
    from hub.types import Change, Example, Pattern, Vectors
    from hub.workspace import Workspace


def build_dataset(
    workspace: Workspace,
    retriever: Retriever,
    out: Path,
    formats: Sequence[str],
    progress: Progress,
    *,
    strict: bool = False,
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
        return _build(workspace, retriever, out, settings, progress, strict=strict)
    finally:
        lock.release()


def _build(
    workspace: Workspace,
    retriever: Retriever,
    out: Path,
    settings: Dataset,
    progress: Progress,
    *,
    strict: bool,
) -> BuildReport:
    checked_options(out, settings)
    patterns, vectors = read_patterns(retriever)
    remembered = Remembered(workspace.store_folder / FOLDER, workspace.config.model_dump_json())
    given = _gather(workspace, settings, patterns, remembered)
    facts = _facts(workspace, retriever, out, settings, patterns, given)
    last = standing(out, facts["inputs"])
    if last and not strict:  # what is there may have dropped rows for which strict fails
        last.stale = given.stale
        return last
    found = curated(workspace, patterns, vectors, progress)
    screen = Screen(workspace.config.privacy, workspace.config.forbidden, patterns)
    screen.compliance.licences = given.licences
    progress("looking for private data", 0, 1)
    screen.learn(_texts(patterns, given.own, given.changes))
    remembered.secrets = screen.knows
    ingredients = Ingredients(
        patterns=[_screened(p, screen, remembered) for p in patterns],
        annotations=found.annotations,
        tests=found.tests,
        clusters=found.clusters,
        stand_ins=found.stand_ins,
        changes={(s, screen.path(path)): each for (s, path), each in given.changes.items()},
        own=given.own,
        held_out=given.held_out,
        rejected=given.rejected.keys(),
        variants=[v._replace(pattern=screen.pattern(v.pattern)) for v in given.variants],
        vectors=vectors,
    )
    report = build(
        ingredients,
        out,
        settings,
        check=remembered.checked(check_of(workspace, screen)),
        compliance=screen.compliance,
        facts=facts,
        strict=strict,
        progress=progress,
    )
    report.stale = given.stale
    remembered.save()
    (workspace.store_folder / LAST_BUILD).write_text(str(out.resolve()), encoding="utf-8")
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a dataset is made of beside patterns."""

    sources: Sequence[Source]
    stale: dict[str, str]
    changes: Mapping[tuple[str, str], Sequence[Change]]
    own: Sequence[Example]
    variants: Sequence[Variant]
    licences: Mapping[str, Sequence[Licence]]
    held_out: Sequence[str]
    left_out: Mapping[str, str]
    rejected: Mapping[str, str]


def _gather(
    workspace: Workspace, settings: Dataset, patterns: Sequence[Pattern], remembered: Remembered
) -> _Given:
    manifest = Manifest(workspace.manifest_path)
    try:
        sources = manifest.sources()
        stale = {s.name: _staleness(*stale_files(workspace, manifest, s)) for s in sources}
    finally:
        manifest.close()
    return _Given(
        sources=sources,
        stale={name: told for name, told in stale.items() if told},
        changes=read_history(workspace, sources, settings.commits, remembered),
        own=[
            *read_handwritten(workspace.folder),
            *read_imported(workspace.folder),
            *generated(workspace.folder / GENERATED, patterns),
        ],
        variants=read_variants(workspace.folder / VARIANTS, patterns),
        licences={s.name: licences_of(source_root(workspace, s.location)) for s in sources},
        held_out=[
            text for name in settings.held_out for text in answers_of(workspace.folder / name)
        ],
        left_out=left_out(workspace.store_folder, {p.id for p in patterns}),
        rejected=rejected(workspace.folder),
    )


def _staleness(files: int, error: str) -> str:
    """What of a source is not in the index; "" where all is."""
    return error or (
        f"{files} files are new, changed or gone since it was indexed" if files else ""
    )


def _facts(
    workspace: Workspace,
    retriever: Retriever,
    out: Path,
    settings: Dataset,
    patterns: Sequence[Pattern],
    given: _Given,
) -> dict[str, Any]:
    """What a manifest says; ``inputs`` is a digest of all that decides the dataset."""
    indexed = patterns_digest(patterns)
    return {
        "command": f"patternhub dataset build {out.name}",
        "version": version("pattern-hub"),
        "settings": settings.model_dump(),
        "privacy": workspace.config.privacy.model_dump(),
        "licences": {name: told(each) for name, each in given.licences.items()},
        "sources": {source.name: source.revision for source in given.sources},
        "inputs": digest(
            rules_digest(),
            workspace.config.model_dump_json(),
            settings,
            retriever.store.state(),
            indexed,
            digest(given.changes),
            digest(given.own, given.variants, given.held_out),
            digest(sorted(given.left_out.items()), given.licences, sorted(given.rejected)),
        ).hex(),
        "patterns": indexed,
        "variants": digest(given.variants).hex(),
    }


def check_of(workspace: Workspace, screen: Screen) -> Check:
    """What an example must pass."""
    validator = Validator.from_config(workspace.config, workspace.folder)
    names = [anonymize] if workspace.config.privacy.anonymize else []
    return in_turn([screen.forbidden, screen.private, *names, example_check(validator)])


def _texts(
    patterns: Iterable[Pattern],
    own: Iterable[Example],
    changes: Mapping[tuple[str, str], Iterable[Change]],
) -> Iterator[str]:
    """All that examples are made of."""
    for p in patterns:
        yield p.text
    for example in own:
        yield from (turn.content for turn in example.prompt + example.completion)
    for file in changes.values():
        for change in file:
            yield from (change.before, change.after, change.subject)


def _screened(p: Pattern, screen: Screen, remembered: Remembered) -> Pattern:
    """The pattern without private data; what had none before is not read again."""
    if remembered.knows(p):
        return p
    clean = screen.pattern(p)
    if clean == p and not screen.is_tainted(p):
        remembered.add(p)
    return clean


@dataclass(frozen=True, slots=True)
class Curated:
    """What is known of patterns beside their text and vectors."""

    annotations: dict[str, Annotation]
    tests: dict[str, tuple[str, ...]]
    clusters: dict[str, int]
    stand_ins: frozenset[str]

    def functions(self, patterns: Iterable[Pattern], category: str = "") -> list[Pattern]:
        """Whole functions that stand for themselves, the best first."""
        found = [
            p
            for p in patterns
            if p.kind in FUNCTIONS
            and not p.part
            and p.id not in self.stand_ins
            and category in ("", self.annotations[p.id].category)
        ]
        return sorted(found, key=lambda p: (-self.annotations[p.id].quality, p.id))


def curated(
    workspace: Workspace, patterns: Sequence[Pattern], vectors: Vectors, progress: Progress
) -> Curated:
    """Duplicates, links and annotations of patterns, whose unit vectors are in the same order."""
    duplicates = find_duplicates(patterns, vectors, progress=progress)
    clusters = {id_: n for n, cluster in enumerate(duplicates.clusters) for id_ in cluster.ids}
    applied = left_out(workspace.store_folder, {p.id for p in patterns})
    stand_ins = frozenset([*duplicates.dropped, *applied])
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
    return Curated(annotations, tests, clusters, stand_ins)


def made_of(dataset: Path) -> list[Made]:
    """What a dataset's examples are made of; each once, whatever its formats."""
    made = []
    for side in SIDES:
        path = dataset / f"{side}.jsonl"
        for line in read_lines(path) if path.is_file() else ():
            try:
                row = line.data
                where = row["provenance"]
                patterns, file = tuple(where["patterns"]), where["files"][0]
                made.append(Made(row["category"], row["task"], row["language"], patterns, file))
            except (KeyError, TypeError, IndexError) as error:
                raise HubError(
                    f"{path}:{line.number}: not a row of `patternhub dataset build`: {error!r}"
                ) from error
    return made


def read_patterns(retriever: Retriever) -> tuple[list[Pattern], Any]:
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


def patterns_digest(patterns: Iterable[Pattern]) -> str:
    """A digest of patterns and where they stand."""
    return digest([digest(p) for p in patterns]).hex()


def read_history(
    workspace: Workspace, sources: Iterable[Source], limit: int, remembered: Remembered
) -> dict[tuple[str, str], list[Change]]:
    """What the last ``limit`` commits of each local checkout made of its functions, by file."""
    from indexers.git import head_revision
    from indexers.git_history import read_changes

    found: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for source in sources if limit else ():
        root = source_root(workspace, source.location)
        if (root / ".git").exists():
            read = functools.partial(read_changes, root, count=limit)
            key = repr((str(root), head_revision(root), limit))
            for change in remembered.changes(key, read):
                found[source.name, change.path].append(change)
    return found
