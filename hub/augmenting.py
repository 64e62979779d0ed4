"""What a dataset lacks, and examples that fill it: by a model, by syntax trees, from neighbours."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from hub.building import check_of, curated, made_of, patterns_digest, read_patterns
from hub.config import MANIFEST
from hub.curate.gaps import NEAREST, find_gaps
from hub.curate.rows import read_row
from hub.curate.trees import GRAMMARS
from hub.dataset.checking import last_build, read_lines
from hub.dataset.checks import Screen
from hub.dataset.filling import Stock, Taught, fill
from hub.dataset.generating import GENERATED, generate
from hub.dataset.remembered import digest
from hub.dataset.report import LEAST, pattern_map
from hub.dataset.split import SIDES
from hub.dataset.tasks import TASKS, Material
from hub.dataset.varying import VARIANTS, read_variants, vary
from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hub.building import Curated
    from hub.curate.annotate import Annotation
    from hub.curate.gaps import Gap, Made
    from hub.dataset.filling import Filled
    from hub.dataset.generating import GenerateReport
    from hub.dataset.varying import VaryReport
    from hub.reporting import Progress
    from hub.search.retrieval import Retriever
    from hub.types import Generator, Pattern, Vectors
    from hub.workspace import Workspace


def find_gaps_in(
    workspace: Workspace, retriever: Retriever, dataset: Path, *, progress: Progress
) -> list[Gap]:
    """See :meth:`hub.api.Hub.gaps`."""
    patterns, vectors = read_patterns(retriever)
    found = curated(workspace, patterns, vectors, progress)
    return _gaps(workspace, patterns, vectors, found, made_of(dataset))


def map_of(retriever: Retriever, dataset: Path, annotations: Mapping[str, Annotation]) -> str:
    """See :meth:`hub.api.Hub.map`."""
    covered = {id_ for each in made_of(dataset) for id_ in each.patterns}
    patterns, vectors, _ = retriever.with_vectors()
    if len(patterns) < LEAST:
        raise HubError(f"{len(patterns)} patterns make no map: index more code")
    return pattern_map(patterns, annotations, covered, vectors)


def _gaps(
    workspace: Workspace,
    patterns: Sequence[Pattern],
    vectors: Vectors,
    found: Curated,
    made: Sequence[Made],
    nearest: int = NEAREST,
) -> list[Gap]:
    """Gaps among the patterns that no other stands for: of a duplicate no example is missing."""
    rows = [row for row, p in enumerate(patterns) if p.id not in found.stand_ins]
    categories = {id_: known.category for id_, known in found.annotations.items()}
    own = [patterns[row] for row in rows]
    return find_gaps(
        own, vectors[rows], categories, made, workspace.config.targets, nearest=nearest
    )


def augment(
    workspace: Workspace,
    retriever: Retriever,
    generator: Generator,
    *,
    category: str,
    limit: int,
    jobs: Sequence[str],
    progress: Progress,
) -> GenerateReport:
    """See :meth:`hub.api.Hub.augment`."""
    patterns, vectors = read_patterns(retriever)
    found = curated(workspace, patterns, vectors, progress)
    covered: set[str] = set()
    with contextlib.suppress(HubError):  # nothing was built yet
        made = made_of(last_build(workspace.store_folder))
        covered = {id_ for each in made if each.task == "implement" for id_ in each.patterns}
    wanted = [p for p in found.functions(patterns, category) if p.id not in covered]
    screen = Screen(workspace.config.privacy, workspace.config.forbidden)
    asked = [screen.pattern(p) for p in wanted[:limit]]  # secrets do not go to an endpoint
    return generate(asked, generator, workspace.folder / GENERATED, jobs=jobs, progress=progress)


def vary_patterns(
    workspace: Workspace,
    retriever: Retriever,
    *,
    ops: Sequence[str],
    category: str,
    limit: int,
    progress: Progress,
) -> VaryReport:
    """See :meth:`hub.api.Hub.vary`."""
    patterns, vectors = read_patterns(retriever)
    found = curated(workspace, patterns, vectors, progress)
    wanted = [p for p in found.functions(patterns, category) if p.language in GRAMMARS]
    seed = workspace.config.dataset.seed
    ledger = workspace.folder / VARIANTS
    return vary(wanted[:limit], ledger, ops=ops, seed=seed, progress=progress)


def fill_gaps(
    workspace: Workspace,
    retriever: Retriever,
    dataset: Path,
    *,
    category: str,
    progress: Progress,
) -> list[Filled]:
    """See :meth:`hub.api.Hub.fill_gaps`."""
    patterns, vectors = read_patterns(retriever)
    found = curated(workspace, patterns, vectors, progress)
    made = made_of(dataset)
    gaps = _gaps(workspace, patterns, vectors, found, made, nearest=len(patterns))
    used = {id_ for each in made for id_ in each.patterns}
    covered: dict[str, list[Pattern]] = defaultdict(list)
    for p in found.functions(patterns):
        if p.id in used:
            covered[found.annotations[p.id].category].append(p)
    settings = workspace.config.dataset
    variants = read_variants(workspace.folder / VARIANTS, patterns)
    built = _manifest(dataset)
    screen = Screen(workspace.config.privacy, workspace.config.forbidden)
    screen.learn(p.text for p in patterns)
    stock = Stock(
        material=Material.of(patterns, found.tests, {}),
        covered=covered,
        tasks=settings.tasks or list(TASKS),
        seed=settings.seed,
        is_new=built.get("patterns") != patterns_digest(patterns),
        has_new_variants=built.get("variants") != digest(variants).hex(),
        clean=screen.pattern,
        check=check_of(workspace, screen),
        taught=_taught_by(dataset),
    )
    wanted = [gap for gap in gaps if gap.missing and category in ("", gap.category)]
    return fill(wanted, stock, workspace.folder / VARIANTS, progress)


def _taught_by(dataset: Path) -> Taught:
    """What a built dataset teaches already."""
    taught = Taught()
    for path in (dataset / f"{side}.jsonl" for side in SIDES):
        for line in read_lines(path) if path.is_file() else ():
            if row := read_row(line.data):
                asked, answer = ([""] + [turn.text for turn in row.turns])[-2:]
                taught.learn(str(line.data.get("task")), asked, answer)
    return taught


def _manifest(dataset: Path) -> dict[str, Any]:
    """What a dataset's manifest says; nothing where it has none."""
    try:
        return dict(json.loads((dataset / MANIFEST).read_bytes()))
    except (OSError, ValueError):
        return {}
