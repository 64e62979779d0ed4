"""The category of a pattern: what rules say of it and of its file, then the nearest description.

A rule that fires adds to its category; how much depends on where it fired. What the other patterns
of a file say counts too, for a method is about what its class is about. Where that leaves two
categories close, the vectors of the descriptions decide. Every answer names what spoke for it.
"""

from __future__ import annotations

import fnmatch
import functools
import itertools
import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pathspec
import Stemmer

from hub.curate.taxonomy import UNCLASSIFIED
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import numpy.typing as npt

    from hub.config import Category
    from hub.curate.taxonomy import Taxonomy
    from hub.types import Encoder, Pattern, Vectors

# What a rule adds by where it fires. Set on labels of the dev repositories; half or twice of any
# of them changes little.
IN_PATH = (2.5, 2.5, 2.0, 1.5)  # a glob on the file, its folder, the folder above, any further up
WEIGHTS = {
    "path word": 0.7,
    "name": 1.0,  # a glob on it
    "owner": 0.5,  # a glob on what the name is qualified with
    "name word": 0.7,
    "owner word": 0.5,
    "import": 0.8,
    "signature word": 0.5,
    "documentation word": 0.6,
    "code word": 0.4,
}
MOST = 4  # rules that count, of one category in one place
FILE = 7.0  # for a category that all of the file speaks for
CALM = 0.5  # evidence in a file that makes its share count half
NEAR = 6.0  # for a cosine that is 1 above the average category's
NEAR_FILE = 16.0  # for the same in the mean of the file
SENTENCES = 3  # of a category that a pattern is compared with: the nearest
OPEN = 5.0  # a smaller lead of the first category is left to the vectors
SETTLED = 0.98  # confidence in a rule that decides alone
WEAK = 0.27  # a smaller confidence is no answer
CONFIDENT = 0.92  # from here on a category may be relied on
TOLD = 3  # reasons that are named
_NAMES = re.compile(r"\.| > |::")
_stem = functools.lru_cache(200_000)(Stemmer.Stemmer("english").stemWord)


class Verdict(NamedTuple):
    """A category, how likely it is right (0 to 1), what spoke for it, and who decided: "rules",
    "vectors" or "nothing"."""

    category: str
    confidence: float
    reason: str
    by: str


class Judged(NamedTuple):
    """What rules say of a pattern: a score for each category, what spoke for the first, and the
    category that a rule decided alone, or -1."""

    scores: Vectors
    reason: str
    settled: int


class _Evidence(NamedTuple):
    category: int
    weight: float
    text: str


class Rules:
    """The rules of a taxonomy, compiled, with what they said of names that come again."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._categories = taxonomy.categories
        self._words: dict[str, dict[int, None]] = defaultdict(dict)
        self._imports: dict[str, dict[int, None]] = defaultdict(dict)
        for i, category in enumerate(self._categories):
            for phrase in category.words:
                self._words[" ".join(map(_stem, split_words(phrase)))][i] = None
            for module in category.imports:
                self._imports[module][i] = None
        self._paths = [pathspec.GitIgnoreSpec.from_lines(c.paths) for c in self._categories]
        self._symbols = [
            re.compile("|".join(map(fnmatch.translate, c.symbols)) or r"(?!)")
            for c in self._categories
        ]
        self._by_kind = {
            kind: i for i, c in reversed([*enumerate(self._categories)]) for kind in c.kinds
        }
        self._on_part = functools.cache(self._match_part)
        self._on_name = functools.cache(self._match_name)
        self._on_module = functools.cache(self._match_module)

    def judge(
        self, patterns: Sequence[Pattern], kinds: Sequence[str], modules: Sequence[Iterable[str]]
    ) -> list[Judged]:
        """Judge the patterns of one file.

        ``kinds`` are theirs, but "imports" for a chunk of imports alone; ``modules`` are what each
        uses from elsewhere.
        """
        place, settled = self._place(patterns[0].path)
        own = [self._evidence(p, used) for p, used in zip(patterns, modules, strict=True)]
        scores = np.stack([self._sum(said) for said in own])
        share = scores.mean(axis=0)
        share /= share.sum() + CALM
        scores += self._sum(place) + FILE * share
        judged = []
        for said, row, kind in zip(own, scores, kinds, strict=True):
            decided = settled if settled >= 0 else self._by_kind.get(kind, -1)
            best = decided if decided >= 0 else int(row.argmax())
            told = [e for e in (*said, *place) if e.category == best]
            if settled < 0 <= decided:
                told = [_Evidence(best, FILE, f"kind {kind}")]
            elif share[best] > 0:
                in_file = f"{share[best]:.0%} of its file"
                told.append(_Evidence(best, FILE * float(share[best]), in_file))
            told.sort(key=lambda e: -e.weight)
            judged.append(Judged(row, "; ".join(e.text for e in told[:TOLD]), decided))
        return judged

    def _place(self, path: str) -> tuple[list[_Evidence], int]:
        """What speaks for a category in a path, and the one that it decides alone, or -1.

        Of deciding rules the one nearest to the file wins, then the first category.
        """
        said: dict[tuple[int, str, int], _Evidence] = {}
        settled = -1
        whole = [i for i, spec in enumerate(self._paths) if spec.match_file(path)]
        for far, part in enumerate(reversed(path.split("/"))):
            near = min(far, len(IN_PATH) - 1)
            globbed, worded = self._on_part(part, far == 0)
            for i in worded:
                said[i, "word", near] = _Evidence(i, WEIGHTS["path word"], f"path word {part}")
            for i in globbed:
                if i in whole:  # else a later rule of the category takes the file out again
                    said[i, "glob", near] = _Evidence(i, IN_PATH[near], f"path {part}")
                    if settled < 0 and self._categories[i].decisive:
                        settled = i
        for i in whole:  # by a rule on several parts
            if not any((i, "glob", near) in said for near in range(len(IN_PATH))):
                said[i, "glob", 0] = _Evidence(i, IN_PATH[0], f"path {path}")
        return list(said.values()), settled

    def _evidence(self, pattern: Pattern, modules: Iterable[str]) -> list[_Evidence]:
        """What speaks for a category in a pattern itself."""
        found: dict[tuple[str, int], list[str]] = defaultdict(list)
        *owners, name = _NAMES.split(pattern.symbol)
        for i in self._on_name(name):
            found["name", i].append(name)
        for owner in owners:
            for i in self._on_name(owner):
                found["owner", i].append(owner)
        for module in modules:
            for i in self._on_module(module):
                found["import", i].append(module)
        seen: set[str] = set()
        for place, text in (
            ("name word", name),
            ("owner word", " ".join(owners)),
            ("documentation word", pattern.docstring),
            ("signature word", pattern.signature),
            ("code word", pattern.text),
        ):
            words = stems(text)
            for word in sorted((self._words.keys() & words) - seen):
                for i in self._words[word]:
                    found[place, i].append(word)
            seen |= words
        said = []
        for (place, i), what in found.items():
            weight = WEIGHTS[place] * math.log2(1 + min(len(what), MOST))
            said.append(_Evidence(i, weight, f"{place} {', '.join(what[:TOLD])}"))
        return said

    def _sum(self, said: Iterable[_Evidence]) -> Vectors:
        scores = np.zeros(len(self._categories), dtype=np.float32)
        for item in said:
            scores[item.category] += item.weight
        return scores

    def _match_part(self, part: str, is_file: bool) -> tuple[list[int], list[int]]:
        """The categories whose globs match one part of a path, and those whose words are in it."""
        path = part if is_file else f"{part}/-"
        globbed = [i for i, spec in enumerate(self._paths) if spec.match_file(path)]
        words = stems(part.partition(".")[0] if is_file else part)
        return globbed, sorted({i for word in words for i in self._words.get(word, ())})

    def _match_name(self, name: str) -> list[int]:
        return [i for i, globs in enumerate(self._symbols) if name and globs.match(name)]

    def _match_module(self, module: str) -> list[int]:
        """The categories that name a module, or one that it is part of."""
        ends = [m.start() for m in re.finditer(r"[./]|::", module)]
        prefixes = [module[:end] for end in ends] + [module]
        return sorted({i for prefix in prefixes for i in self._imports.get(prefix, ())})


def stems(text: str) -> set[str]:
    """The stems of the words of a text, and of every two in a row."""
    words = [_stem(word) for word in split_words(text)]
    return {*words, *map(" ".join, itertools.pairwise(words))}


def decide(
    judged: Sequence[Judged],
    files: Sequence[Hashable],
    taxonomy: Taxonomy,
    vectors: Vectors | None,
    encoder: Encoder | None,
) -> list[Verdict]:
    """The category of each pattern; ``files`` says which of them are of one file.

    ``vectors`` has a unit row for each, made by ``encoder``; without both, rules alone decide.
    """
    if not judged:
        return []
    names = [category.name for category in taxonomy.categories]
    scores = np.stack([said.scores for said in judged])
    settled = np.array([said.settled for said in judged])
    asked = (settled < 0) & (_lead(scores) < OPEN)
    nearest: npt.NDArray[np.int64] | None = None
    sentences = [_sentences(category) for category in taxonomy.categories + taxonomy.beside]
    if vectors is not None and encoder is not None and asked.any():
        near, nearest = _nearness(vectors, sentences, encoder)
        near = near[:, : len(names)]
        scores[asked] += (NEAR * near + NEAR_FILE * _file_means(near, files))[asked]
    # How often the first category was right on the dev labels, by its lead.
    lead = _lead(scores, least=0 if taxonomy.beside else -np.inf).astype(np.float64)
    sure = np.where(settled < 0, 1 - 0.75 * np.exp(-lead / 4), SETTLED).round(3)
    best = np.where(settled < 0, scores.argmax(axis=1), settled)
    verdicts = []
    for row, (said, i, confidence) in enumerate(zip(judged, best, sure.tolist(), strict=True)):
        by, reason = "rules", said.reason
        if nearest is not None and asked[row]:
            by, reason = "vectors", f"near {sentences[i][nearest[row, i]]!r}"
        weak = confidence < WEAK
        verdicts.append(
            Verdict(UNCLASSIFIED, confidence, reason, "nothing")
            if weak
            else Verdict(names[i], confidence, reason, by)
        )
    return verdicts


def _lead(scores: Vectors, least: float = 0) -> Vectors:
    """How far the first category is before the second, or before ``least`` where that is less."""
    if scores.shape[1] < 2:
        return scores[:, 0]
    top = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - np.maximum(top[:, 0], least))


def _sentences(category: Category) -> list[str]:
    return [f"{category.name}: {category.description}", *category.examples]


def _nearness(
    vectors: Vectors, sentences: Sequence[Sequence[str]], encoder: Encoder
) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """How much nearer each pattern is to a category's sentences than to the average category's,
    and which of them is the nearest."""
    near = np.empty((len(vectors), len(sentences)), dtype=np.float32)
    nearest = np.empty(near.shape, dtype=np.int64)
    for i, said in enumerate(sentences):
        cosines = vectors @ encoder.encode_queries(said).T
        nearest[:, i] = cosines.argmax(axis=1)
        near[:, i] = np.sort(cosines, axis=1)[:, -SENTENCES:].mean(axis=1)
    return near - near.mean(axis=1, keepdims=True), nearest


def _file_means(rows: Vectors, files: Sequence[Hashable]) -> Vectors:
    """The mean row of each row's file."""
    code = {file: i for i, file in enumerate(dict.fromkeys(files))}
    codes = np.array([code[file] for file in files])
    sums = np.zeros((len(code), rows.shape[1]), dtype=np.float64)
    np.add.at(sums, codes, rows)
    means = sums / np.bincount(codes)[:, None]
    return np.asarray(means[codes], dtype=np.float32)
