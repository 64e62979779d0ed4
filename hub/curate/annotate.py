"""What a pattern is: category, technologies, intent, complexity and quality.

A pure function of the patterns, their taxonomy and their vectors. Files are read on their own, in
worker processes when there are many; vectors then settle what rules left open.
"""

from __future__ import annotations

import os
import pickle
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import PurePosixPath
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hub.curate.categories import Rules, decide
from hub.curate.measures import FUNCTIONS, is_imports, measure
from hub.curate.quality import quality, quality_parts
from hub.curate.technologies import file_imports, own_modules, used
from hub.documentation import first_sentence
from hub.errors import HubError
from hub.words import split_words
from hub.workers import start_workers

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from hub.curate.categories import Judged
    from hub.curate.measures import Measures
    from hub.curate.taxonomy import Taxonomy
    from hub.curate.technologies import Used
    from hub.types import Encoder, Pattern, Vectors

BATCH_CHARS = 500_000  # of code that a worker gets at a time
PARALLEL_CHARS = 2_000_000  # below this, starting workers costs more than it saves
MAX_WORKERS = 4
NAMED = FUNCTIONS | {"class"}
_EXCEPTION = re.compile(r".*(?:Error|Exception|Warning)$")
_NAMES = re.compile(r"\.| > |::")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|<[^<>]*>")
_WORD = re.compile(r"[^\W\d]\w*")
_NO_PARAMETER = {"self", "cls", "this", "ctx", "args", "kwargs", "_"}
_NAME_LAST = frozenset({"java", "c", "cpp", "csharp"})  # a parameter is a type, then a name
SHOWN_PARAMETERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """What is known of a pattern beside its text.

    ``by`` says who found the category: "rules", "vectors" or "nothing". ``technologies`` are
    packages, ``standard`` the standard library's modules. ``complexity`` is cyclomatic, ``nesting``
    counts blocks; None where neither applies. ``parts`` add up to ``quality`` as
    :data:`hub.curate.quality.WEIGHTS` says.
    """

    category: str
    confidence: float
    reason: str
    by: str
    technologies: tuple[str, ...]
    standard: tuple[str, ...]
    intent: str
    complexity: int | None
    nesting: int | None
    quality: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateReport:
    """Annotations by pattern id, and what they add up to."""

    taxonomy: str
    patterns: tuple[Pattern, ...]
    annotations: Mapping[str, Annotation]

    def counts(self) -> dict[str, dict[str, int]]:
        """Patterns by category and language, the largest category first."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for p in self.patterns:
            found[self.annotations[p.id].category][p.language] += 1
        ranked = sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
        return {category: dict(sorted(by.items())) for category, by in ranked}

    def by(self) -> dict[str, int]:
        """Patterns by what found their category: rules, vectors or nothing."""
        return dict(sorted(Counter(found.by for found in self.annotations.values()).items()))

    def quality(self) -> dict[str, float]:
        """The mean quality of each category."""
        found: dict[str, list[float]] = defaultdict(list)
        for each in self.annotations.values():
            found[each.category].append(each.quality)
        return {category: round(fmean(values), 3) for category, values in sorted(found.items())}

    def of(self, category: str) -> list[Pattern]:
        """The patterns of a category, best first.

        Raises:
            HubError: no pattern has it; names those there are.
        """
        found = [p for p in self.patterns if self.annotations[p.id].category == category]
        if not found:
            known = ", ".join(sorted(self.quality())) or "none"
            raise HubError(f"no pattern is of category {category!r}; there are: {known}")
        return sorted(found, key=lambda p: (-self.annotations[p.id].quality, p.id))

    def to_json(self) -> dict[str, Any]:
        return {
            "taxonomy": self.taxonomy,
            "patterns": len(self.patterns),
            "counts": self.counts(),
            "by": self.by(),
            "quality": self.quality(),
        }


def annotate(
    patterns: Sequence[Pattern],
    *,
    taxonomy: Taxonomy,
    vectors: Vectors | None = None,
    encoder: Encoder | None = None,
    tested: Container[str] | None = None,
    duplicated: Container[str] | None = None,
) -> dict[str, Annotation]:
    """The annotation of each pattern by its id, in the order of ``patterns``.

    Args:
        patterns: Of whole files: a file's imports and its other patterns tell of each.
        taxonomy: The categories, and what they are recognised by.
        vectors: A unit row for each pattern, made by ``encoder``; without both, rules alone decide.
        encoder: Of the descriptions.
        tested: Ids of patterns that tests exercise; None where that is not known.
        duplicated: Ids of patterns that another one stands for; None where that is not known.
    """
    found = _read_all(patterns, taxonomy)
    verdicts = decide(
        [found[p.id].judged for p in patterns],
        [(p.source, p.path) for p in patterns],
        taxonomy,
        vectors,
        encoder,
    )
    annotations = {}
    for p, verdict in zip(patterns, verdicts, strict=True):
        read = found[p.id]
        parts = quality_parts(
            p,
            read.measures,
            tested=None if tested is None else p.id in tested,
            duplicated=None if duplicated is None else p.id in duplicated,
        )
        annotations[p.id] = Annotation(
            category=verdict.category,
            confidence=verdict.confidence,
            reason=verdict.reason,
            by=verdict.by,
            technologies=read.used.packages,
            standard=read.used.standard,
            intent=intent(p),
            complexity=read.measures.complexity,
            nesting=read.measures.nesting,
            quality=quality(parts),
            parts=parts,
        )
    return annotations


def intent(pattern: Pattern) -> str:
    """The first sentence of its documentation, else its name and parameters in words."""
    if pattern.kind not in NAMED or not pattern.symbol:  # a function may have no name
        place = pattern.symbol.rpartition(" > ")[2] or PurePosixPath(pattern.path).stem
        return " ".join(split_words(place))
    name = _NAMES.split(pattern.symbol)[-1]
    said = first_sentence(pattern.docstring, name) if pattern.docstring else ""
    if said or pattern.kind == "class" or not name:
        return said or " ".join(split_words(name))
    parameters = [" ".join(split_words(p)) for p in _parameters(pattern, name)]
    words = " ".join(split_words(name))
    return f"{words} from {' and '.join(parameters)}" if words and parameters else words


def _parameters(pattern: Pattern, name: str) -> list[str]:
    """The names of the first parameters in a signature."""
    _, _, inside = pattern.signature.partition(f"{name}(")
    deeper = None
    while inside != deeper:  # what stands in brackets belongs to a type or a default
        deeper, inside = inside, _BRACKETS.sub("", inside)
    names = []
    for part in inside.partition(")")[0].split(","):
        words = _WORD.findall(re.split(r"[:=]", part)[0])
        if words:
            names.append(words[-1] if pattern.language in _NAME_LAST else words[0])
    return [found for found in names if found not in _NO_PARAMETER][:SHOWN_PARAMETERS]


@dataclass(frozen=True, slots=True)
class _Read:
    """What one pattern's file tells of it."""

    judged: Judged
    used: Used
    measures: Measures


def _read_all(patterns: Sequence[Pattern], taxonomy: Taxonomy) -> dict[str, _Read]:
    """What every pattern's file tells of it, by id."""
    ordered = sorted(patterns, key=lambda p: (p.source, p.path, p.start_byte))
    paths = defaultdict(list)
    for p in ordered:
        paths[p.source].append(p.path)
    own = {source: own_modules(source, found) for source, found in paths.items()}
    rules = pickle.dumps(taxonomy)
    tasks = ((rules, own[batch[0][0].source], batch) for batch in _batches(ordered))
    found: dict[str, _Read] = {}
    for reads in _map(tasks, sum(len(p.text) for p in ordered)):
        found.update(reads)
    return found


def _map(tasks: Iterable[_Task], chars: int) -> Iterator[dict[str, _Read]]:
    workers = min(MAX_WORKERS, os.cpu_count() or 1)
    if workers < 2 or chars < PARALLEL_CHARS:
        yield from map(_read_files, tasks)
        return
    executor = start_workers(workers)
    try:
        yield from executor.map(_read_files, tasks)
    finally:
        executor.shutdown(kill_workers=True)


_Task = tuple[bytes, frozenset[str], list[list["Pattern"]]]


def _batches(ordered: Sequence[Pattern]) -> Iterator[list[list[Pattern]]]:
    """Files of one source, many at a time."""
    for _, in_source in groupby(ordered, key=lambda p: p.source):
        batch: list[list[Pattern]] = []
        size = 0
        for _, members in groupby(in_source, key=lambda p: p.path):
            batch.append(list(members))
            size += sum(len(p.text) for p in batch[-1])
            if size >= BATCH_CHARS:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch


def _read_files(task: _Task) -> dict[str, _Read]:
    pickled, own, batch = task
    rules = _rules(pickled)
    found: dict[str, _Read] = {}
    for file in batch:
        imports = file_imports(file)
        uses = [used(p.text, p.language, imports, own) for p in file]
        judged = rules.judge(file, [_kind(p) for p in file], [use.modules for use in uses])
        for p, use, said, measures in zip(file, uses, judged, _measured(file), strict=True):
            found[p.id] = _Read(said, use, measures)
    return found


@lru_cache(maxsize=1)
def _rules(pickled: bytes) -> Rules:
    return Rules(pickle.loads(pickled))


def _kind(pattern: Pattern) -> str:
    """The chunk's kind, or one of those that only rules know."""
    if pattern.kind == "module" and is_imports(pattern.text, pattern.language):
        return "imports"
    is_exception = pattern.kind == "class" and _EXCEPTION.match(pattern.symbol)
    return "exception" if is_exception else pattern.kind


def _measured(file: Sequence[Pattern]) -> Iterator[Measures]:
    """The measures of a file's patterns; each part of a long function has those of the whole."""
    whole = groupby(file, key=lambda p: (p.kind, p.symbol, p.part > 0) if p.part else p.id)
    for _, group in whole:
        members = list(group)
        first = members[0]
        text = "".join(p.text for p in members)
        measures = measure(text, first.language, first.kind)
        yield from (measures for _ in members)
