"""Tasks: what each makes of real code, that nothing gives its answer away, and that cuts rejoin."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.dataset.infill import SENTINELS, cut, joined
from hub.dataset.tasks import TASKS, Material, phrasings
from hub.preparing import with_ids
from hub.syntax import definition
from indexers.code import chunk_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.types import Example, Pattern

PYTHON = '''"""Retrying what may pass: calls are made again with a growing delay between them.

A policy is made by hand, from what a service promises. The
import time of this module, all in all, is short.
"""

import random
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

MAX_DELAY = 30.0


@dataclass
class RetryPolicy:
    """How often a call is made again, and how long is waited before."""

    attempts: int = 3

    def delay_of(self, attempt: int) -> float:
        """Seconds to wait before this attempt, with some chance so that clients spread."""
        return min(MAX_DELAY, 2**attempt) * random.random()


def patient(seconds):
    return RetryPolicy(attempts=int(seconds))


def call_again(action, policy):
    """Call the action until it succeeds or the policy has no attempts left.

    Raises what the last attempt raised.
    """
    for attempt in range(policy.attempts):
        try:
            return action()
        except OSError:
            time.sleep(policy.delay_of(attempt))
    return action()
'''
TEST = """from retry import RetryPolicy, call_again


def test_a_call_that_succeeds_is_made_once():
    calls = []
    call_again(lambda: calls.append(1), RetryPolicy())
    assert calls == [1]
"""
TYPESCRIPT = """export class Cache<V> {
  private values = new Map<string, V>();

  /** The value under the key, computed and kept where there is none yet. */
  getOrCompute(key: string, compute: () => V): V {
    const known = this.values.get(key);
    if (known !== undefined) return known;
    const value = compute();
    this.values.set(key, value);
    return value;
  }
}
"""
README = """# Gadgets

Gadgets are indexed by name, so that any of them is found in one step, whatever their number is.

## Install

Run the installer with the name of the gadget that is wanted, then wait until it says so.

## Search

Searching takes words; the nearest gadgets are printed first, with the place where each one is kept.

## Remove

A gadget that is removed is gone from the index at once, and from the disk a day later.
"""
FILES = {
    "src/retry.py": PYTHON, "tests/test_retry.py": TEST, "src/cache.ts": TYPESCRIPT,
    "README.md": README, "CONTRIBUTING.md": README, "CHANGELOG.md": README,
}  # fmt: skip


@pytest.fixture(scope="module")
def material() -> Material:
    patterns: list[Pattern] = []
    for path, text in FILES.items():
        patterns += with_ids("team", chunk_file(path, text.encode()))
    files: dict[tuple[str, str], list[Pattern]] = defaultdict(list)
    for p in patterns:
        files[p.source, p.path].append(p)
    ids = {p.symbol: p.id for p in patterns}
    linked = {ids["call_again"]: [ids["test_a_call_that_succeeds_is_made_once"]]}
    return Material(patterns={p.id: p for p in patterns}, files=files, tests=linked)


def made(material: Material, task: str, seed: int = 0) -> Iterator[Example]:
    for p in material.patterns.values():
        yield from TASKS[task](p, material, Random(f"{seed} {task} {p.id}"))


def test_every_task_has_several_phrasings() -> None:
    assert set(phrasings()) == set(TASKS)
    assert all(len(ways) > 2 for ways in phrasings().values())


@pytest.mark.parametrize("task", sorted(set(TASKS) - {"refactor"}))
def test_a_task_makes_examples_that_say_where_they_stand(material: Material, task: str) -> None:
    examples = list(made(material, task))
    assert examples
    for example in examples:
        assert example.task == task
        assert [turn.role for turn in example.prompt] == ["user"]
        assert [turn.role for turn in example.completion] == ["assistant"]
        assert example.completion[0].content.strip()
        assert f"{example.source}/{example.path}" == example.files[0]
        assert example.patterns[0] in material.patterns
        assert "{" not in example.prompt[0].content.partition("```")[0]  # every field is filled


@pytest.mark.parametrize("task", ["complete", "next_line", "name", "explain", "tests", "implement"])
def test_a_prompt_does_not_hold_its_answer(material: Material, task: str) -> None:
    for seed in range(20):
        for example in made(material, task, seed):
            assert example.completion[0].content not in example.prompt[0].content


def test_the_same_seed_asks_the_same_and_another_does_not(material: Material) -> None:
    def asked(seed: int) -> list[Example]:
        return [example for task in TASKS for example in made(material, task, seed)]

    assert asked(0) == asked(0)
    assert asked(0) != asked(1)


def test_a_sentence_that_begins_like_an_import_is_none(material: Material) -> None:
    for seed in range(20):
        for example in made(material, "next_import", seed):
            assert "import time of" not in example.prompt[0].content
            assert "import time of" not in example.completion[0].content


def test_an_implementation_shows_the_imports_it_uses(material: Material) -> None:
    (asked,) = (
        e.prompt[0].content for e in made(material, "implement") if e.symbol == "call_again"
    )
    assert "import time" in asked
    assert "deque" not in asked
    assert "Call the action until it succeeds" in asked


def test_a_test_is_asked_for_by_what_it_exercises(material: Material) -> None:
    (example,) = made(material, "tests")
    assert example.path == "tests/test_retry.py"
    assert example.files == ("team/tests/test_retry.py", "team/src/retry.py")
    assert "def call_again" in example.prompt[0].content
    assert example.completion[0].content.startswith("def test_a_call")


def test_rules_and_documentation_are_told_apart_and_changelogs_are_neither(
    material: Material,
) -> None:
    assert {e.path for e in made(material, "standard")} == {"CONTRIBUTING.md"}
    assert {e.path for e in made(material, "answer")} == {"README.md"}


def test_a_class_and_a_constant_are_named_too(material: Material) -> None:
    names = {e.completion[0].content for e in made(material, "name")}
    assert names >= {"RetryPolicy", "MAX_DELAY", "call_again", "delay_of", "getOrCompute"}


def test_a_bug_is_explained_and_the_code_given_as_it_was(material: Material) -> None:
    by_id = material.patterns
    seen = set()
    for seed in range(20):
        for example in made(material, "fix", seed):
            said, _, code = example.completion[0].content.partition("\n\n```")
            right = definition(by_id[example.patterns[0]].text)
            assert code == f"{example.language}\n{right}\n```"
            assert right not in example.prompt[0].content
            seen.add(said.partition(" in line ")[0])
    assert {"Off-by-one error", "Wrong operator", "Arguments in the wrong order"} <= seen


def test_the_last_method_of_a_class_stands_without_what_closes_the_class() -> None:
    (method,) = (c for c in chunk_file("a.ts", TYPESCRIPT.encode()) if c.kind == "method")
    assert method.text.rstrip().endswith("}\n}")
    alone = definition(method.text)
    assert alone.endswith("  return value;\n}")
    assert alone.splitlines()[1].startswith("getOrCompute")


@given(
    st.text(alphabet="ab {}()\n=é🙂", max_size=300),
    st.sampled_from(["python", "go", "markdown"]),
    st.integers(),
)
def test_a_cut_rejoins_to_what_was_cut(code: str, language: str, seed: int) -> None:
    hole = cut(code, language, Random(seed))
    assert hole is None or hole.prefix + hole.middle + hole.suffix == code


@given(st.sampled_from(sorted(SENTINELS)), st.integers())
def test_a_family_reads_each_part_once_and_writes_the_middle(family: str, seed: int) -> None:
    hole = cut(PYTHON, "python", Random(seed))
    assert hole is not None
    read, written = joined(hole, family, Random(seed))
    assert written == hole.middle
    tokens = SENTINELS[family]
    assert all(read.count(token) == 1 for token in tokens)
    assert len(read) == len(hole.prefix) + len(hole.suffix) + sum(map(len, tokens))


def test_both_orders_and_both_ways_to_cut_occur() -> None:
    holes = [cut(PYTHON, "python", Random(n)) for n in range(200)]
    assert None not in holes
    inside = sum(h.prefix[-1:].isalnum() and h.middle[:1].isalnum() for h in holes if h)
    assert 20 < inside < 120  # of 200, cut inside a word
    hole = holes[0]
    assert hole
    starts = {joined(hole, "starcoder", Random(n))[0][:26] for n in range(20)}
    assert len(starts) == 2


def test_an_outline_is_indented_as_its_file_is(material: Material) -> None:
    (example,) = made(material, "outline")
    _fence, *lines, _end = example.completion[0].content.splitlines()
    assert [line for line in PYTHON.splitlines() if line in lines] == lines
    assert "    def delay_of(self, attempt: int) -> float:" in lines


def test_code_that_spells_the_mark_of_a_hole_has_none(material: Material) -> None:
    marked = [
        replace(p, text=p.text.replace(p.symbol.split(".")[-1], f"{p.symbol}  # <blank> <name>", 1))
        for p in material.patterns.values()
        if p.kind in ("function", "method")
    ]
    again = Material.of(marked, {}, {})
    for task in ("complete", "name"):
        assert any(e.patterns[0] in again.patterns for e in made(material, task))
        assert not list(made(again, task))
