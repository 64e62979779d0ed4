"""Gaps: what is taken away is named, with what could fill it; what is whole has none."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Target
from hub.curate.gaps import Gap, Made, find_gaps
from hub.types import Pattern

if TYPE_CHECKING:
    from hub.types import Vectors

CATEGORIES = [f"category {n}" for n in range(12)]
EACH = 30


def pattern(number: int, category: str) -> Pattern:
    return Pattern(
        id=f"{category}/{number}", source="team", path=f"{category}/m{number % 10}.py",
        start_byte=number, end_byte=number + 1, start_line=number, end_line=number + 1,
        language="python" if number % 2 else "go", kind="function", text="code",
        symbol=f"f{number}",
    )  # fmt: skip


PATTERNS = [pattern(number, category) for category in CATEGORIES for number in range(EACH)]
OF = {p.id: p.id.partition("/")[0] for p in PATTERNS}


def unit_vectors() -> Vectors:
    """Each category around a direction of its own."""
    draw = np.random.default_rng(0)
    middles = np.repeat(draw.standard_normal((len(CATEGORIES), 64)), EACH, axis=0)
    found = middles + 0.3 * draw.standard_normal(middles.shape)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


VECTORS = unit_vectors()


def made_of(p: Pattern) -> Made:
    return Made(OF[p.id], "implement", p.language, (p.id,), f"{p.source}/{p.path}")


def gaps_of(made: list[Made], targets: list[Target] | None = None) -> list[Gap]:
    return find_gaps(PATTERNS, VECTORS, OF, made, targets or [])


def test_a_dataset_of_everything_has_no_gap() -> None:
    assert gaps_of([made_of(p) for p in PATTERNS]) == []


@given(st.sets(st.sampled_from(CATEGORIES), max_size=8), st.integers(0, 9))
def test_exactly_the_removed_categories_are_named(removed: set[str], seed: int) -> None:
    draw = Random(seed)
    kept = [p for p in PATTERNS if OF[p.id] not in removed and draw.random() < 0.9]
    gaps = gaps_of([made_of(p) for p in kept])
    assert {gap.category for gap in gaps if gap.kind == "no examples"} == removed
    assert {gap.category for gap in gaps if gap.kind == "far"} == removed
    for gap in gaps:
        assert len(gap.nearest) == 5
        assert all(OF[near.id] == gap.category for near in gap.nearest)
        assert gap.command == f"patternhub augment --fill-gaps --category {gap.category!r}"


def test_a_target_counts_what_fits_and_names_what_fills_it() -> None:
    made = [made_of(p) for p in PATTERNS if p.start_byte < 10]
    wanted = Target(category=CATEGORIES[3], task="implement", language="go", examples=20)
    other_task = Target(category=CATEGORIES[3], task="explain", examples=2)
    met = Target(category=CATEGORIES[4], examples=10)
    gaps = {gap.task: gap for gap in gaps_of(made, [wanted, other_task, met])}
    assert (gaps["implement"].have, gaps["implement"].missing) == (5, 15)
    assert (gaps["explain"].have, gaps["explain"].missing) == (0, 2)
    by_id = {p.id: p for p in PATTERNS}
    near = [by_id[n.id] for n in gaps["implement"].nearest]
    assert {p.language for p in near} == {"go"}
    assert all(p.start_byte >= 10 for p in near)


def test_a_target_that_no_code_can_meet_asks_for_an_example_by_hand() -> None:
    (gap,) = gaps_of([made_of(p) for p in PATTERNS], [Target(category="security", examples=5)])
    assert (gap.kind, gap.missing, gap.nearest) == ("target", 5, ())
    assert gap.command == "patternhub examples new --category 'security'"


def test_a_category_of_one_file_is_one_sided() -> None:
    one_file = [p for p in PATTERNS if OF[p.id] == CATEGORIES[0] and p.path.endswith("m3.py")]
    made = [made_of(p) for p in one_file for _ in range(10)]
    gaps = gaps_of([*made, *(made_of(p) for p in PATTERNS if OF[p.id] != CATEGORIES[0])])
    (gap,) = (gap for gap in gaps if gap.kind == "one-sided")
    assert gap.category == CATEGORIES[0]
    assert gap.have == 30
    assert gap.missing == EACH - len(one_file)


def test_an_empty_hub_and_an_empty_dataset_are_survived() -> None:
    assert find_gaps([], np.zeros((0, 8), np.float32), {}, []) == []
    assert {gap.kind for gap in gaps_of([])} == {"no examples"}
