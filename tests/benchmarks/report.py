"""The benchmark's results as Markdown."""

from __future__ import annotations

from math import exp, log
from statistics import mean, median
from typing import TYPE_CHECKING

from tests.benchmarks.protocol import ratio_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.retrieval import Arm, Outcome

OURS = "patternhub"


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Every arm on every repository, the hub against each peer, hybrid against its arms."""
    parts = [_arms_table(outcomes), _means_table(outcomes)]
    if any(outcome.system == OURS for outcome in outcomes):
        parts += [_ratios_table(outcomes), _hybrid_table(outcomes)]
    return "\n\n".join(part for part in parts if part)


def mrr(arm: Arm) -> float:
    """Mean reciprocal rank at 10."""
    return mean(arm.reciprocal_ranks)


def best_arm(outcome: Outcome) -> Arm:
    """What counts for a system: the hub's default arm, which is its first; a peer's best arm."""
    if outcome.system.startswith(OURS):
        return next(iter(outcome.arms.values()))
    return max(outcome.arms.values(), key=mrr)


def geometric_mean(values: Iterable[float]) -> float:
    """0 as soon as one value is 0."""
    listed = list(values)
    return exp(mean(log(value) for value in listed)) if all(listed) else 0.0


def _arms_table(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (
            outcome.repository,
            outcome.language,
            str(outcome.queries),
            f"{outcome.system} {name}",
            f"{mrr(arm):.3f}",
            f"{mean(arm.span_ranks):.3f}",
            f"{mean(rank == 1 for rank in arm.symbol_ranks):.3f}",
            _speed(outcome),
            f"{median(arm.milliseconds):.1f}",
        )
        for outcome in outcomes
        for name, arm in outcome.arms.items()
    ]
    header = ["repository", "language", "queries", "system"]
    header += ["MRR@10", "by overlap", "exact symbol first", "MB/s", "p50 ms"]
    return _table(header, rows)


def _means_table(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for system, own in _by_system(outcomes).items():
        speeds = [_megabytes_per_second(outcome) for outcome in own]
        score = geometric_mean(mrr(best_arm(outcome)) for outcome in own)
        speed = f"{geometric_mean(speeds):.3f}" if all(speeds) else "-"
        rows.append((system, str(len(own)), f"{score:.3f}", speed))
    return _table(["system", "repositories", "MRR@10, geometric mean", "MB/s"], rows)


def _ratios_table(outcomes: Sequence[Outcome]) -> str:
    systems = _by_system(outcomes)
    ours = systems.pop(OURS)
    rows = []
    for system, theirs in systems.items():
        ratios = [
            mrr(best_arm(a)) / (mrr(best_arm(b)) or float("nan"))
            for a, b in zip(ours, theirs, strict=True)
        ]
        low, high = ratio_interval(
            [best_arm(outcome).reciprocal_ranks for outcome in ours],
            [best_arm(outcome).reciprocal_ranks for outcome in theirs],
        )
        each = ", ".join(
            f"{o.repository} {ratio:.2f}" for o, ratio in zip(ours, ratios, strict=True)
        )
        rows.append((system, f"{geometric_mean(ratios):.2f}", f"{low:.2f} - {high:.2f}", each))
    header = ["hub / peer", "MRR@10 ratio, geometric mean", "95% interval", "each repository"]
    return _table(header, rows) if rows else ""


def _hybrid_table(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for outcome in _by_system(outcomes)[OURS]:
        for tier in ("best", "fast"):
            if f"hybrid/{tier}" not in outcome.arms:
                continue
            hybrid = mrr(outcome.arms[f"hybrid/{tier}"])
            dense, lexical = mrr(outcome.arms[f"dense/{tier}"]), mrr(outcome.arms["lexical"])
            scores = (f"{score:.3f}" for score in (hybrid, dense, lexical))
            gain = hybrid / (max(dense, lexical) or float("nan"))
            rows.append((outcome.repository, tier, *scores, f"{gain:.2f}"))
    header = ["repository", "tier", "hybrid", "dense", "lexical", "hybrid / better arm"]
    return _table(header, rows)


def _by_system(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    systems: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        systems.setdefault(outcome.system, []).append(outcome)
    return systems


def _megabytes_per_second(outcome: Outcome) -> float:
    return outcome.indexed_bytes / 1e6 / outcome.index_seconds


def _speed(outcome: Outcome) -> str:
    return f"{_megabytes_per_second(outcome):.3f}" if outcome.indexed_bytes else "-"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
