"""Whether an adapter is good enough to ship: numbers of an evaluation against those of hub.toml.

By default the share of rows that pass is held against the threshold, and luck counts: of 100 rows,
an adapter whose true share is 65% has 70 right in 17 of 100 evaluations. ``by = "lower bound"``
holds Wilson's one-sided 95% bound against it instead, which takes 151 of 200 rows for 70%. Either
way the verdict says what it is worth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hub.errors import FailedCheckError
from hub.serving.scorers import FORBIDDEN, SECRETS
from training.metrics import ONE_SIDED, chance_to_reach, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hub.config import Gate
    from hub.serving.evaluations import Evaluations
    from hub.serving.registry import Registry
    from hub.types import Adapter

WORSE = 0.05  # how far below the threshold an adapter is that should not pass
GB = 1e9


@dataclass(frozen=True, slots=True)
class Criterion:
    """One number against its limit; ``passed`` is None where there are too few rows to say."""

    name: str
    passed: bool | None
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All criteria of one arm; ``meaning`` says how far the verdict is to be trusted."""

    arm: str
    criteria: tuple[Criterion, ...]
    meaning: str

    @property
    def passed(self) -> bool:
        return all(criterion.passed for criterion in self.criteria)

    @property
    def reasons(self) -> list[str]:
        """Why it does not pass."""
        return [f"{c.name}: {c.told}" for c in self.criteria if not c.passed]

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed, "reasons": self.reasons, **asdict(self)}


def gate(reference: str, registry: Registry, evaluations: Evaluations, settings: Gate) -> Verdict:
    """Judge an adapter by its newest evaluation, and have the registry keep the verdict.

    The evaluation must be of the adapter's very content, and that must still be what was evaluated.

    Raises:
        FailedCheckError: it was never evaluated, or is damaged: there is no verdict.
        HubError: there is no such adapter.
    """
    adapter = registry.get(reference)
    if wrong := registry.verify(adapter.reference)[adapter.reference]:
        raise FailedCheckError(f"no verdict: {adapter.reference} is damaged: {'; '.join(wrong)}")
    evaluation, scores = _newest(adapter, evaluations, settings)
    verdict = decide(scores, settings)
    registry.set_verdict(
        adapter,
        {
            **verdict.to_json(),
            "adapter": adapter.digest,
            "evaluation": evaluation["id"],
            "dataset": evaluation["sha256"],
            "settings": settings.model_dump(),
            "decided": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    return verdict


def decide(scores: Mapping[str, Any], settings: Gate) -> Verdict:
    """The verdict on an arm's scores, as an evaluation keeps them."""
    criteria = [
        *_shares(scores, settings),
        _zero(scores, settings),
        _whole(scores, settings),
        *_costs(scores["values"], settings),
    ]
    overall = scores["overall"]
    meaning = _meaning(overall["total"], settings)
    return Verdict(arm=scores["arm"], criteria=tuple(criteria), meaning=meaning)


def needed(total: int, threshold: float, by: Literal["share", "lower bound"]) -> int:
    """The fewest of ``total`` rows that reach ``threshold``; one more than there are: none do."""

    def reaches(passed: int) -> bool:
        low = passed / total if by == "share" else wilson(passed, total, ONE_SIDED).low
        return low >= threshold

    return next((k for k in range(total + 1) if total and reaches(k)), total + 1)


def _newest(
    adapter: Adapter, evaluations: Evaluations, settings: Gate
) -> tuple[dict[str, Any], dict[str, Any]]:
    for evaluation in evaluations.list():
        for scores in evaluation["arms"]:
            if (scores["arm"], scores["identity"].get("adapter")) == (settings.arm, adapter.digest):
                return evaluation, scores
    raise FailedCheckError(
        f"no verdict: {adapter.reference} as it is now was not evaluated as {settings.arm}: run "
        f"`patternhub eval --arms {settings.arm} --adapter {adapter.reference}`"
    )


def _shares(scores: Mapping[str, Any], settings: Gate) -> Iterator[Criterion]:
    """Overall, and each category that has enough rows."""
    yield _share("overall", scores["overall"], settings.overall, settings)
    for name, found in scores["categories"].items():
        if found["total"] < settings.rows:
            told = f"no verdict: {found['total']} judged rows, and {settings.rows} are needed"
            yield Criterion(f"category {name}", None, told)
        else:
            yield _share(f"category {name}", found, settings.category, settings)


def _share(name: str, found: Mapping[str, Any], threshold: float, settings: Gate) -> Criterion:
    passed, total = found["passed"], found["total"]
    if not total:
        return Criterion(name, None, "no verdict: no row was judged")
    low, high = found["interval"]
    lowest = needed(total, threshold, settings.by)
    told = (
        f"{found['share']:.1%} ({passed} of {total}; 95% interval {low:.1%} to {high:.1%}), and "
        f"{lowest} are needed for {threshold:.0%}"
    )
    return Criterion(name, passed >= lowest, told)


def _zero(scores: Mapping[str, Any], settings: Gate) -> Criterion:
    failed = {
        name: found["total"] - found["passed"]
        for name in (FORBIDDEN, SECRETS)
        if (found := scores["checks"].get(name))
    }
    told = ", ".join(f"{count} with {name}" for name, count in failed.items()) or "not judged"
    passed = sum(failed.values()) <= settings.forbidden if failed else None
    return Criterion("forbidden terms and secrets", passed, f"{told}; at most {settings.forbidden}")


def _whole(scores: Mapping[str, Any], settings: Gate) -> Criterion:
    rows = scores["overall"]["total"] + scores["incomplete"]
    share = scores["incomplete"] / rows if rows else 1.0
    told = f"{scores['incomplete']} of {rows} rows; at most {settings.incomplete:.0%}"
    return Criterion("without a whole answer", share <= settings.incomplete, told)


def _costs(values: Mapping[str, Any], settings: Gate) -> Iterator[Criterion]:
    if seconds := values.get("latency"):
        told = f"95% of answers within {seconds['p95']:.1f} s; at most {settings.latency:g} s"
        yield Criterion("latency", seconds["p95"] <= settings.latency, told)
    if taken := values.get("memory"):
        told = f"{taken['max'] / GB:.1f} GB; at most {settings.memory:g} GB"
        yield Criterion("memory", taken["max"] / GB <= settings.memory, told)


def _meaning(total: int, settings: Gate) -> str:
    worse = max(settings.overall - WORSE, 0.0)
    chance = chance_to_reach(needed(total, settings.overall, settings.by), total, worse)
    bound = needed(total, settings.overall, "lower bound")
    sure = (
        f"{bound} right rows are sure of it at 95%"
        if bound <= total
        else "no number of right rows is sure of it at 95%"
    )
    return (
        f"By {settings.by}: with {total} rows, an adapter that is right {worse:.0%} of the time "
        f"reaches {settings.overall:.0%} in {chance:.1%} of evaluations; {sure}."
    )
