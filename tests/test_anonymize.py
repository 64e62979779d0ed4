"""Anonymised examples: no name that their code binds is left, and one name is one everywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from hub.curate.anonymize import anonymize
from hub.curate.trees import parse
from hub.dataset.tasks import TASKS, Material
from hub.preparing import with_ids
from hub.types import Example, Infill, Message
from indexers.code import chunk_file
from tests.test_tasks import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

CHOSEN = {  # names that the files bind, by the task that shows them
    "implement": ("policy", "attempt_number", "call_again"),
    "complete": ("call_again", "policy", "calls"),
    "next_line": ("call_again", "policy", "compute", "known"),
    "tests": ("call_again", "test_a_call_that_succeeds_is_made_once", "policy", "calls"),
    "explain": ("call_again", "policy"),
    "fix": ("call_again", "policy", "compute", "known"),
}


@pytest.fixture(scope="module")
def material() -> Material:
    patterns = [
        p for path, text in FILES.items() for p in with_ids("team", chunk_file(path, text.encode()))
    ]
    ids = {p.symbol: p.id for p in patterns}
    linked = {ids["call_again"]: [ids["test_a_call_that_succeeds_is_made_once"]]}
    return Material.of(patterns, linked, {})


def made(material: Material, task: str) -> Iterator[Example]:
    """Of all but tests alone, which call by its name what they do not bind."""
    for p in material.patterns.values():
        for seed in range(8):
            if not p.path.startswith("tests/"):
                yield from TASKS[task](p, material, Random(f"{seed} {p.id}"))


@pytest.mark.parametrize("task", CHOSEN)
def test_no_chosen_name_is_left_in_any_part(material: Material, task: str) -> None:
    kept = 0
    for example in made(material, task):
        found = anonymize(example)
        if isinstance(found, str):
            assert "cannot be told" in found
            continue
        kept += 1
        texts = [turn.content for turn in (*found.prompt, *found.completion)]
        for text in (*texts, *(found.infill or ()), found.symbol):
            for name in CHOSEN[task]:
                assert not re.search(rf"(?<![\w.])(?<!the ){name}(?!\w)", text), (name, text)
    assert kept > 3


def test_a_hole_rejoins_to_code_that_parses_under_the_new_names(material: Material) -> None:
    for example in made(material, "complete"):
        found = anonymize(example)
        assert isinstance(found, Example)
        assert found.infill
        whole = found.infill.prefix + found.infill.middle + found.infill.suffix
        assert parse(whole, found.language)
        assert f"{found.infill.prefix}<blank>{found.infill.suffix}" in found.prompt[0].content
        assert found.completion[0].content == found.infill.middle


def example(prompt: str, completion: str, **changes: object) -> Example:
    made = Example(
        task="tests", prompt=(Message("user", prompt),),
        completion=(Message("assistant", completion),), language="python", source="team",
        path="a.py", start_line=1, end_line=9, symbol="charge", files=("team/a.py",),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_prompt_and_completion_share_their_names() -> None:
    found = anonymize(
        example(
            "Test `charge`, which takes `price`:\n\n```python\ndef charge(price, vat=0):\n"
            "    # price_total is not the price\n    price_total = price + vat\n"
            "    return round(price_total, api.digits)\n```",
            "def test_charge():\n    price = 3\n    assert charge(price, vat=1) == 4\n"
            "    assert api.charge(price=2)\n",
        )
    )
    assert isinstance(found, Example)
    assert found.prompt[0].content == (
        "Test `function_1`, which takes `parameter_1`:\n\n```python\n"
        "def function_1(parameter_1, parameter_2=0):\n"
        "    # variable_1 is not the price\n    variable_1 = parameter_1 + parameter_2\n"
        "    return round(variable_1, api.digits)\n```"
    )
    assert found.completion[0].content == (
        "def function_2():\n    parameter_1 = 3\n"
        "    assert function_1(parameter_1, parameter_2=1) == 4\n"
        "    assert api.charge(price=2)\n"
    )
    assert found.symbol == "function_1"


def test_parameters_of_a_test_that_its_decorator_tells_stay_the_same() -> None:
    text = '@mark.parametrize("size, colour", [("size", 1)])\ndef test_it(size, colour): ...'
    found = anonymize(example("Write it.", text))
    assert isinstance(found, Example)
    assert found.completion[0].content == (
        '@mark.parametrize("parameter_1, parameter_2", [("parameter_1", 1)])\n'
        "def function_1(parameter_1, parameter_2): ..."
    )


def test_a_name_that_a_hole_cuts_in_two_is_whole_when_it_is_filled() -> None:
    hole = Infill("def f(amount):\n    total = am", " + 1\n    return total\n", "ount")
    asked = f"Fill it.\n\n```python\n{hole.prefix}<blank>{hole.suffix}\n```"
    found = anonymize(example(asked, hole.middle, task="complete", infill=hole))
    assert isinstance(found, Example)
    assert found.infill
    whole = found.infill.prefix + found.infill.middle + found.infill.suffix
    assert whole == (
        "def function_1(parameter_1):\n    variable_1 = parameter_1 + 1\n    return variable_1\n"
    )


def test_what_cannot_be_anonymised_says_why_and_other_languages_stay() -> None:
    go = example("Write it.", "func f(a int) int { return a }", task="implement", language="go")
    assert anonymize(go) == go
    assert anonymize(example("Name it.", "price", task="name")) == "its answer is a name"
    broken = anonymize(example("Write it.", "def f(:\n  )", task="implement"))
    assert broken == "its names cannot be told: does not parse on its own"
