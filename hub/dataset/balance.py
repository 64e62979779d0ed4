"""No category and no task crowds out the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from hub.dataset.formats import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hub.types import Example

OTHERS = "*"  # the cap or floor of every category that has none of its own


def balance(
    examples: Sequence[Example], *, caps: Mapping[str, int], task_share: float
) -> tuple[list[Example], Counter[str]]:
    """The examples that caps leave, in their order, and how many were dropped by reason.

    ``caps`` is by category; ``task_share`` the largest share that one task may have, or twice an
    even one where that is more. The best stay, by quality; between equals chance decides, the same
    in every build.
    """
    dropped: Counter[str] = Counter()
    limits = {c: caps.get(c, caps.get(OTHERS)) for c in {e.category for e in examples}}
    kept = _capped(examples, lambda e: e.category, limits)
    dropped["over its category's cap"] = len(examples) - len(kept)
    counts = Counter(example.task for example in kept)
    share = max(task_share, 2 / max(1, len(counts)))  # of few tasks, each has a large one
    most = task_limit(counts.values(), min(1.0, share))
    even = _capped(kept, lambda e: e.task, defaultdict(lambda: most))
    dropped["over its task's share"] = len(kept) - len(even)
    return even, +dropped


def task_limit(counts: Iterable[int], share: float) -> int:
    """The most that one task may have for none to exceed ``share`` of what is left.

    With fewer tasks than the share needs, each may have as many as the smallest.
    """
    counts = sorted(counts)
    if not counts or share * len(counts) <= 1:
        return counts[0] if counts else 0
    limit = counts[-1]
    while limit > (most := int(share * sum(min(count, limit) for count in counts))):
        limit = most
    return limit


def shortfalls(examples: Iterable[Example], floors: Mapping[str, int]) -> dict[str, int]:
    """What categories lack to reach their floors; of ``*``, the categories that there are."""
    counts = Counter(example.category for example in examples)
    wanted = dict.fromkeys(counts, floors[OTHERS]) if OTHERS in floors else {}
    wanted |= {category: floor for category, floor in floors.items() if category != OTHERS}
    return {c: floor - counts[c] for c, floor in sorted(wanted.items()) if counts[c] < floor}


def _capped(
    examples: Sequence[Example],
    group_of: Callable[[Example], str],
    limits: Mapping[str, int | None],
) -> list[Example]:
    groups: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        groups[group_of(example)].append(row)
    stay: set[int] = set()
    for group, rows in groups.items():
        limit = limits[group]
        if limit is not None and len(rows) > limit:
            rows = sorted(rows, key=lambda r: (-examples[r].quality, identity(examples[r])))[:limit]
        stay.update(rows)
    return [example for row, example in enumerate(examples) if row in stay]
