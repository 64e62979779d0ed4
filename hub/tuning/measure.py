"""Is one retriever better than another? Held-out questions over the hub's own patterns decide.

The patterns are searched as a hub is, vectors and BM25 fused, after all documentation that pairs
are made of was removed from them. The weight of the vectors is fitted on one half of the files and
judged on the other, then the other way round; files are resampled whole, for the questions of one
file resemble each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.buckets import bucket
from hub.documentation import undocumented
from hub.search.ranking import lexical_scores, path_prior, rank, standard
from hub.store.embedding import pattern_vectors
from hub.store.snapshot import Rows, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.config import Tier
    from hub.store.encoders import Encoders
    from hub.tuning.pairs import Pair
    from hub.types import Encoder, Pattern, Vectors

CORPUS = 5000  # patterns searched: more make every question harder alike, and take longer
TOP = 10
WEIGHTS = tuple(round(0.05 * i, 2) for i in range(2, 20))  # of the vectors, .1 to .95
RESAMPLES = 2000
CONFIDENCE = 0.95  # share of resamples in which the new one has to be better


@dataclass(frozen=True, slots=True)
class Scores:
    """Reciprocal ranks of one encoder, shape (weights, questions), and of its vectors alone."""

    fused: Vectors
    dense: Vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Mean reciprocal ranks at 10 of the fused search, before and after tuning.

    ``interval`` has 95% of the resampled differences; ``better`` is the share above 0.
    """

    questions: int
    base: float
    tuned: float
    base_dense: float
    tuned_dense: float
    base_weight: float
    tuned_weight: float
    interval: tuple[float, float]
    better: float

    @property
    def kept(self) -> bool:
        return self.better >= CONFIDENCE


class Bench:
    """Questions, and the patterns among which each has to find its answer."""

    def __init__(self, patterns: Sequence[Pattern], pairs: Sequence[Pair]) -> None:
        """Questions of ``pairs`` over ``patterns``, of which about :data:`CORPUS` are searched."""
        self.pairs = list(pairs)
        answers = {pair.answer.id: pair.answer for pair in pairs}
        others = sorted((p for p in patterns if p.id not in answers), key=lambda p: bucket(p.id))
        bare = (_bare(p) for p in others[: max(CORPUS - len(answers), 0)])
        self.corpus = [*answers.values(), *(p for p in bare if p is not None)]
        self.corpus.sort(key=lambda p: (p.source, p.path, p.start_byte))
        nothing = np.zeros((len(self.corpus), 0), dtype=np.float32)
        self._snapshot = Snapshot.build(0, Rows.of(self.corpus, nothing, nothing))
        self._prior = path_prior(self._snapshot.rows.paths)
        row = {id_: i for i, id_ in enumerate(self._snapshot.rows.ids)}
        self._targets = [row[pair.answer.id.encode()] for pair in self.pairs]

    def scores(
        self, encoders: Encoders, tier: Tier, questions: Sequence[int] | None = None
    ) -> Scores:
        """How a tier ranks the answers of ``questions``, by default of all."""
        asked = range(len(self.pairs)) if questions is None else questions
        share = encoders.static_share if tier == "best" else 1.0
        arms = [(1 - share, encoders.best), (share, encoders.fast)]
        near = sum(weight * self._standard(encoder, asked) for weight, encoder in arms if weight)
        fused = np.zeros((len(WEIGHTS), len(asked)), dtype=np.float32)
        dense = np.zeros(len(asked), dtype=np.float32)
        for column, i in enumerate(asked):
            words = lexical_scores(self._snapshot, self.pairs[i].query)
            dense[column] = self._reciprocal_rank(i, near[column], None, 1)
            for line, weight in enumerate(WEIGHTS):
                fused[line, column] = self._reciprocal_rank(i, near[column], words, weight)
        return Scores(fused, dense)

    def _standard(self, encoder: Encoder, asked: Sequence[int]) -> Any:
        """How near every pattern is to each question, in standard deviations."""
        encode = encoder.encode_documents
        matrix = pattern_vectors(self.corpus, encode, encode)
        queries = encoder.encode_queries([self.pairs[i].query for i in asked])
        return np.stack([standard(cosines, cosines) for cosines in queries @ matrix.T])

    def verdict(self, base: Scores, tuned: Scores, source: str = "") -> Verdict:
        """Compare two encoders' scores of all questions, or of one source's."""
        asked = [i for i, p in enumerate(self.pairs) if source in ("", p.answer.source)]
        groups = [self.pairs[i].group for i in asked]
        base, tuned = (Scores(s.fused[:, asked], s.dense[asked]) for s in (base, tuned))
        before, after = (_cross_fitted(scores.fused, groups) for scores in (base, tuned))
        differences = _resampled(after - before, groups)
        low, high = np.quantile(differences, [0.025, 0.975])
        return Verdict(
            questions=len(groups),
            base=float(before.mean()),
            tuned=float(after.mean()),
            base_dense=float(base.dense.mean()),
            tuned_dense=float(tuned.dense.mean()),
            base_weight=best_weight(base.fused),
            tuned_weight=best_weight(tuned.fused),
            interval=(float(low), float(high)),
            better=float((differences > 0).mean()),
        )

    def _reciprocal_rank(
        self, question: int, dense: Vectors, lexical: Vectors | None, weight: float
    ) -> float:
        found, _ = rank(
            self._snapshot.rows,
            self.pairs[question].query,
            dense=dense,
            lexical=lexical,
            dense_weight=weight,
            prior=self._prior,
            mask=None,
            limit=TOP,
        )
        (at,) = np.nonzero(found == self._targets[question])
        return 1 / (1 + int(at[0])) if len(at) else 0.0


def best_weight(fused: Vectors) -> float:
    """The weight of the vectors with the highest mean; between equals the middle one."""
    means = fused.mean(axis=1)
    return WEIGHTS[int(np.median(np.flatnonzero(means >= means.max() - 1e-6)))]


def _cross_fitted(fused: Vectors, groups: Sequence[str]) -> Vectors:
    """Each question's reciprocal rank, at the weight that is best for the other half's files."""
    first = np.array([bucket(f"half {group}") < 0.5 for group in groups])
    chosen = np.zeros(fused.shape[1], dtype=np.float32)
    for half in (first, ~first):
        fitted_on = fused[:, ~half] if (~half).any() else fused
        chosen[half] = fused[WEIGHTS.index(best_weight(fitted_on))][half]
    return chosen


def _resampled(differences: Vectors, groups: Sequence[str], seed: int = 0) -> Vectors:
    """Means of :data:`RESAMPLES` samples of files, drawn with replacement (a cluster bootstrap)."""
    _, code = np.unique(groups, return_inverse=True)
    sums = np.bincount(code, weights=differences)
    sizes = np.bincount(code)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), RESAMPLES)
    return np.asarray((drawn @ sums) / (drawn @ sizes))


def _bare(pattern: Pattern) -> Pattern | None:
    """A pattern without its documentation; None where that cannot be removed."""
    if pattern.kind in ("function", "method") and pattern.docstring and not pattern.part:
        return undocumented(pattern)
    return pattern
