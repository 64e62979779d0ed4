"""How good an example of code a pattern is, as named parts that explain the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.documentation import first_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hub.curate.measures import Measures
    from hub.types import Pattern

WEIGHTS = {
    "documented": 0.20,
    "tested": 0.20,
    "complexity": 0.15,
    "typed": 0.10,
    "handles errors": 0.10,
    "size": 0.10,
    "duplication": 0.10,
    "leftovers": 0.05,
}
# Where a part starts to fall from 1, and where it has come down to 0.
_LINES, _BRANCHES, _DEPTH, _LEFTOVERS = (40, 200), (10, 40), (3, 8), (0, 3)
_SHORT = 3  # lines: less shows little
_DEFINITIONS = frozenset({"function", "method", "class"})


def quality_parts(
    pattern: Pattern, measures: Measures, *, tested: bool | None, duplicated: bool | None
) -> dict[str, float]:
    """Each part that applies to the pattern, in [0, 1]; None says that something is not known."""
    parts: dict[str, float | None] = {
        "tested": None if tested is None else float(tested),
        "typed": measures.typed,
        "handles errors": measures.handles_errors,
        "size": _falling(measures.lines, _LINES) * (1.0 if measures.lines >= _SHORT else 0.5),
        "duplication": None if duplicated is None else float(not duplicated),
        "leftovers": _falling(measures.leftovers, _LEFTOVERS),
    }
    if measures.complexity is not None:
        nesting = _falling(measures.nesting or 0, _DEPTH)
        parts["complexity"] = min(_falling(measures.complexity, _BRANCHES), nesting)
    if pattern.kind in _DEFINITIONS:
        parts["documented"] = _documented(pattern, measures)
    else:
        parts["tested"] = None  # nobody tests tests, glue or prose
    found = {name: parts.get(name) for name in WEIGHTS}
    return {name: round(part, 3) for name, part in found.items() if part is not None}


def quality(parts: Mapping[str, float]) -> float:
    """The weighted mean of the parts that there are, in [0, 1]."""
    total = sum(WEIGHTS[name] for name in parts)
    return round(sum(WEIGHTS[name] * part for name, part in parts.items()) / total, 3)


def _documented(pattern: Pattern, measures: Measures) -> float:
    """1 for a sentence that says what it does, half for comments, or for documentation that is
    only a list of parameters or a reference."""
    if not pattern.docstring:
        return 0.5 if measures.comments else 0.0
    return 1.0 if first_sentence(pattern.docstring, pattern.symbol.rpartition(".")[2]) else 0.5


def _falling(value: float, span: tuple[float, float]) -> float:
    start, end = span
    return max(0.0, min(1.0, (end - value) / (end - start)))
