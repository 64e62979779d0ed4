"""Scorers say of real code what a reader would, and a share is worth what its interval says."""

from __future__ import annotations

import ast
import inspect
import json
import math
import textwrap
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Config, Convention
from hub.serving.scorers import scorers_of
from tests.fakes import every_fake
from training.metrics import (
    CONFIDENCE,
    ONE_SIDED,
    Reply,
    Score,
    chance_to_reach,
    chrf,
    code_in,
    groundedness,
    length,
    similarity,
    wilson,
)
from training.questions import Question

FUNCTIONS = [
    textwrap.dedent(inspect.getsource(function))
    for function in (json.dumps, json.load, ast.walk, ast.dump, textwrap.fill, inspect.getfile)
]
counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def question(reference: str = "def f():\n    return 1", **more: Any) -> Question:
    asked = [{"role": "user", "content": "Write `fetch(url)` with the client."}]
    given = {"task": "implement", "language": "python"} | more
    return Question(id="1", line=1, messages=asked, reference=reference, **given)


def scores(text: str, config: Config | None = None, **more: Any) -> dict[str, Score]:
    asked = question(**more)
    found = (scorer(asked, Reply(text=text)) for scorer in scorers_of(config or Config()))
    return {score.name: score for score in found}


# Of sacreBLEU 2.6.0, CHRF(eps_smoothing=False).
@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        (
            "def open(path):\n    return path.read_text()",
            "def load(path):\n    return path.read_bytes()",
            0.656309265555925,
        ),
        ("return x", "def wait(fs):\n    return x", 0.3104353414663445),
        ("the cat sat", "a dog ran", 0.04504504504504505),
    ],
)
def test_chrf_is_that_of_sacrebleu(text: str, reference: str, expected: float) -> None:
    assert chrf(text, reference) == pytest.approx(expected, abs=1e-12)


@given(st.text(), st.text())
def test_chrf_is_a_share_that_white_space_does_not_change(text: str, reference: str) -> None:
    found = chrf(text, reference)
    assert 0 <= found <= 1
    assert chrf(f" {text}\n", reference.replace(" ", "\t")) == found
    assert chrf(text, text) == 1


def test_similarity_tells_the_same_function_from_another() -> None:
    for at, code in enumerate(FUNCTIONS):
        renamed = code.replace("obj", "value").replace("node", "each")
        assert similarity(question(code), Reply(text=renamed)).value > 0.7  # type: ignore[operator]
        other = FUNCTIONS[at - 1]
        assert similarity(question(code), Reply(text=other)).value < 0.5  # type: ignore[operator]


def test_prose_around_code_counts_only_where_the_reference_has_it() -> None:
    code = "def f():\n    return 1\n"
    told = f"Here it is:\n```python\n{code}```\nIt returns one."
    assert code_in(told, question(code)) == code
    assert code_in(told, question(told)) == told
    assert code_in(f"```\n{code}", question(code)) == code  # cut off before the fence was closed


@pytest.mark.parametrize("code", FUNCTIONS)
def test_syntax_passes_whole_functions_and_fails_broken_ones(code: str) -> None:
    assert scores(code)["syntax"].passed
    assert scores(f"```python\n{code}```")["syntax"].passed
    half = scores(code[: code.rindex("(") + 1])["syntax"]
    assert half.passed is False
    assert half.reason
    assert scores("It does not parse (", task="explain")["syntax"].passed  # prose


def test_terms_and_secrets_fail_an_answer_and_say_where() -> None:
    written = "x = 1  # Co-authored-by: " + "Cla" + "ude"
    found = scores(written)["forbidden"]
    assert found.passed is False
    assert "line 1" in found.reason
    assert scores("x = 1  # a comment")["forbidden"].passed
    own = Config(forbidden={"terms": ["moonbase"]})  # type: ignore[arg-type]
    assert scores("# at moonbase\nx = 1", own)["forbidden"].passed is False
    fake = every_fake(Random(3))["GitHubTokenDetector"]
    secret = scores(f"x = 1\n{fake.text}")["secrets"]
    assert secret.passed is False
    assert fake.value not in secret.reason
    assert scores("mail = 'someone@example.com'")["secrets"].passed  # no secret


def test_conventions_are_the_teams_own_and_warnings_fail_nothing() -> None:
    assert "conventions" not in scores("x = 1")
    rules = [
        Convention(name="no print", ast_grep="print($$$)", language="python"),
        Convention(name="short", regex="x{9}", level="warning"),
    ]
    config = Config(conventions=rules)
    found = scores("def f():\n    print(1)\n", config)["conventions"]
    assert (found.passed, found.reason.split(":")[0]) == (False, "no print")
    assert scores("xxxxxxxxxx = 'print(1)'", config)["conventions"].passed


def test_groundedness_counts_names_that_were_shown() -> None:
    text = (
        "def load(url):\n    client = Client(retries=3)\n    return client.fetch(url).invented()\n"
    )
    shown = Reply(text=text, context=("class Client:\n    def fetch(self, url): ...",))
    found = groundedness(question(), shown)
    assert found.value == pytest.approx(2 / 3)  # Client and fetch, not invented
    assert found.reason == "not there: invented"
    assert groundedness(question(), Reply(text=text)).value is None  # nothing was retrieved
    assert groundedness(question(), Reply(text="It retries.", context=("x",))).value is None


def test_length_is_relative_to_the_reference() -> None:
    assert length(question("abcd"), Reply(text="ab")).value == 0.5


@given(counts)
def test_the_ends_of_a_wilson_interval_solve_the_score_equation(count: tuple[int, int]) -> None:
    """At each end the share seen is exactly z standard errors away, by that end's own error."""
    passed, total = count
    share = passed / total
    low, high = wilson(passed, total)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            reach = CONFIDENCE * math.sqrt(end * (1 - end) / total)
            assert abs(share - end) == pytest.approx(reach, abs=1e-9)


@given(counts)
def test_wilson_is_symmetric_and_grows_with_what_passes(count: tuple[int, int]) -> None:
    passed, total = count
    low, high = wilson(passed, total)
    assert wilson(total - passed, total) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    if passed < total:
        more = wilson(passed + 1, total)
        assert more.low > low
        assert more.high > high
    wide, narrow = wilson(passed, total), wilson(10 * passed, 10 * total)
    assert narrow.high - narrow.low < wide.high - wide.low


def test_wilson_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0, 1)


def test_151_of_200_are_needed_to_be_sure_of_70_percent() -> None:
    assert wilson(151, 200, ONE_SIDED).low >= 0.7 > wilson(150, 200, ONE_SIDED).low


@given(st.integers(1, 40), st.integers(-1, 41), st.integers(0, 20))
def test_the_chance_to_reach_is_the_binomial_tail(total: int, needed: int, twentieths: int) -> None:
    p = Fraction(twentieths, 20)
    exact = sum(
        math.comb(total, k) * p**k * (1 - p) ** (total - k)
        for k in range(max(0, needed), total + 1)
    )
    assert chance_to_reach(needed, total, float(p)) == pytest.approx(float(exact), abs=1e-9)


def test_an_adapter_of_65_percent_reaches_70_of_100_once_in_six() -> None:
    assert chance_to_reach(70, 100, 0.65) == pytest.approx(0.17, abs=0.005)
