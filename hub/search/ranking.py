"""How rows are ranked: dense vectors and BM25, fused over every row that passes the filters.

Both arms score all rows, so their scores can be put on one scale (z-scores over the whole index)
and added. Filters only mask rows: a filtered search is the unfiltered ranking, restricted.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hub.errors import HubError
from hub.store.lexical import NAME_WEIGHT, name_hash, query_terms

if TYPE_CHECKING:
    from hub.store.snapshot import Labels, Rows, Snapshot
    from hub.types import Vectors

    Mask = npt.NDArray[np.bool_]
    RowNumbers = npt.NDArray[np.int64]

TEST_PRIOR = 1.0  # standard deviations that a test or vendored file gives way to other code
EXACT_NAME = np.float32(100)  # a query that is an identifier finds its definition first,
EXACT_FUNCTION = np.float32(50)  # and of a function and a type of one name, the function;
EXACT_SYMBOL = np.float32(200)  # of a qualified name, what is qualified alike
INNER_NAME = np.float32(50)  # an identifier that no pattern is called by: where it is defined
FUNCTIONS = ("function", "method")
MAX_PATHS = 30_000  # that Chroma takes in one condition
CODE_NAME_DENSE_WEIGHT = 0.1  # a compound identifier is a word to match, not to understand
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|#)[A-Za-z_$][\w$]*)*(?:\(\))?")
_COMPOUND = re.compile(r"[_.$:#(\d]|[a-z][A-Z]")
_TEST_PATH = re.compile(
    r"(^|/)(tests?|specs?|__tests__|testdata|fixtures|vendor|third_party)/"
    r"|(^|/)(test_[^/]*|conftest\.py|[^/]*([._-]test|[._-]spec|Test|Tests|Spec)\.[a-zA-Z]+)$"
)


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions a pattern has to meet; None is no condition. ``path`` is gitignore-style; ``ids``
    are the only patterns that may be found."""

    language: str | None = None
    kind: str | None = None
    source: str | None = None
    path: str | None = None
    ids: frozenset[str] | None = None

    def where(self, rows: Rows) -> dict[str, Any] | None:
        """The same conditions for Chroma."""
        pairs = (("language", self.language), ("kind", self.kind), ("source", self.source))
        conditions: list[dict[str, Any]] = [{k: {"$eq": v}} for k, v in pairs if v is not None]
        if self.path is not None:
            names = rows.paths.names
            paths = [names[i] for i in np.flatnonzero(_matching(self.path, names))]
            if len(paths) <= MAX_PATHS:  # more are most of the hub: its neighbours will do
                conditions.append({"path": {"$in": paths or [""]}})
        if len(conditions) > 1:
            return {"$and": conditions}
        return conditions[0] if conditions else None

    def mask(self, rows: Rows) -> Mask | None:
        """Which rows pass, or None where every row does.

        Raises:
            HubError: a value that no pattern of the hub has; names the known ones.
        """
        masks = [
            labels.codes == _known(labels, value, name)
            for name, labels, value in (
                ("language", rows.languages, self.language),
                ("kind", rows.kinds, self.kind),
                ("source", rows.sources, self.source),
            )
            if value is not None
        ]
        if self.path is not None:
            masks.append(_matching(self.path, rows.paths.names)[rows.paths.codes])
        if self.ids is not None:
            masks.append(
                np.isin(rows.ids, np.array([i.encode() for i in self.ids], rows.ids.dtype))
            )
        return np.logical_and.reduce(masks) if masks else None


def rank(
    rows: Rows,
    query: str,
    *,
    dense: Vectors | None,
    lexical: Vectors | None,
    dense_weight: float,
    prior: Vectors,
    mask: Mask | None,
    limit: int,
) -> tuple[RowNumbers, Vectors]:
    """The best ``limit`` rows for ``query`` and their scores, best first; ties by row.

    Each arm is a score for every row, or None where it takes no part; ``dense`` comes as
    :func:`standard` scores. In lexical mode a row that shares no word with the query is no hit.
    """
    identifier = bool(_IDENTIFIER.fullmatch(query))
    if identifier and _COMPOUND.search(query):
        dense_weight = CODE_NAME_DENSE_WEIGHT
    scores = prior.copy()
    if dense is not None:
        scores += (dense_weight if lexical is not None else 1) * dense
    if lexical is not None:
        scores += (1 - dense_weight if dense is not None else 1) * standard(lexical, lexical)
        if dense is None:
            mask = lexical > 0 if mask is None else mask & (lexical > 0)
    if identifier:
        name = query.removesuffix("()").replace("::", ".").replace("#", ".")
        exact = rows.names == name_hash(name.rpartition(".")[2])
        functions = np.isin(rows.kinds.codes, [rows.kinds.code(kind) for kind in FUNCTIONS])
        scores += EXACT_NAME * exact + EXACT_FUNCTION * (exact & functions)
        if "." in name:
            scores += EXACT_SYMBOL * (rows.symbols == name_hash(name))
    return _top(scores, limit, mask)


def inner_definition(query: str) -> re.Pattern[str] | None:
    """What the definition of an identifier looks like inside a longer function; else None.

    A function within a function has no pattern of its own: the one around it is where it stands.
    """
    if not _IDENTIFIER.fullmatch(query):
        return None
    name = re.escape(re.split(r"[.:#]", query.removesuffix("()"))[-1])
    return re.compile(
        rf"\b(?:function\*?|def|func|fn|fun|const|let|var|val|class|struct|type)\s+{name}\b"
        rf"|\b{name}\s*[:=]\s*(?:async\b|function\b|\(|<)"
        rf"|\b{name}\s*\([^()]*\)\s*(?::[^={{}}]+)?\{{"
    )


def lexical_scores(snapshot: Snapshot, query: str) -> Vectors:
    """BM25 over texts with their headers, plus a share of BM25 over names alone."""
    terms = query_terms(query)
    return snapshot.body.scores(terms) + np.float32(NAME_WEIGHT) * snapshot.name.scores(terms)


def path_prior(paths: Labels) -> Vectors:
    """Tests and vendored code repeat the words of what they use; they rank a little lower."""
    lower = np.array([bool(_TEST_PATH.search(path)) for path in paths.names], dtype=bool)
    if not len(lower):
        return np.zeros(0, dtype=np.float32)
    return np.where(lower[paths.codes], np.float32(-TEST_PRIOR), np.float32(0))


def standard(scores: Vectors, sample: Vectors) -> Vectors:
    """Scores in standard deviations of ``sample`` from its mean."""
    spread = sample.std()
    return (scores - sample.mean()) / spread if spread > 0 else np.zeros_like(scores)


def _top(scores: Vectors, limit: int, mask: Mask | None) -> tuple[RowNumbers, Vectors]:
    rows = np.flatnonzero(mask) if mask is not None else np.arange(len(scores))
    scores = scores[rows]
    if limit < len(rows):
        edge = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        near = np.flatnonzero(scores >= edge)  # ties at the edge stay until rows decide
        rows, scores = rows[near], scores[near]
    order = np.lexsort((rows, -scores))[:limit]
    return rows[order], scores[order]


def _known(labels: Labels, value: str, name: str) -> int:
    code = labels.code(value) if isinstance(value, str) else -1
    if code < 0:
        value = str(value)
        close = difflib.get_close_matches(value, labels.names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise HubError(
            f"no pattern of this hub has {name} {value!r}{hint} "
            f"(there are: {', '.join(labels.names) or 'none'})"
        )
    return code


def _matching(pattern: str, paths: tuple[str, ...]) -> Mask:
    from pathspec import GitIgnoreSpec

    if not pattern.strip() or pattern.startswith(("!", "#")):
        raise HubError(f"path {pattern!r} selects nothing: give a pattern such as 'src/**'")
    try:
        spec = GitIgnoreSpec.from_lines([pattern])
    except ValueError as error:
        raise HubError(f"path {pattern!r} is no gitignore-style pattern: {error}") from error
    return np.array([spec.match_file(path) for path in paths], dtype=bool)
