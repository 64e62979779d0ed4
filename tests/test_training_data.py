"""Rows to tokens: an answer carries the loss and closes with its end token, or is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training_fixtures import FAMILIES, rows, tokenizer, write_rows
from training.config import Data
from training.data import IGNORED, Sequence, TokenReport, _fitted, tokenize
from training.errors import TrainingError
from training.runlog import left_out
from training.scratch import texts_of
from training.template import PINNED_DATE, Template, read_template, template_of


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def learned_text(made: Any, sequence: Sequence) -> str:
    return str(made.decode(sequence.input_ids[sequence.labels != IGNORED]))


@pytest.mark.parametrize("system", [False, True])
def test_in_every_family_every_row_is_its_answer_and_the_end_token(
    family: str, system: bool, tmp_path: Path
) -> None:
    made = tokenizer(family)
    template = template_of(made)
    given_rows = rows(40, system=system)
    path = write_rows(tmp_path / "train.jsonl", given_rows)
    sequences, report = tokenize(path, made, template, Data())
    assert template.end == FAMILIES[family][1]
    assert (report.rows, report.kept, report.dropped) == (40, 40, {})
    for row, sequence in zip(given_rows, sequences, strict=True):
        answer = row["completion"][0]["content"]
        learned = learned_text(made, sequence)
        assert learned.endswith(template.end)
        assert learned.removesuffix(template.end).strip() == answer.strip()
        assert made.decode(sequence.input_ids[-1]) == template.end
        shown = made.decode(sequence.input_ids)
        assert all(turn["content"] in shown for turn in row["prompt"])


def test_what_is_given_is_token_for_token_what_serving_sends(family: str, tmp_path: Path) -> None:
    made = tokenizer(family)
    template = template_of(made)
    given_rows = rows(50, system=True)
    sequences, _ = tokenize(write_rows(tmp_path / "t.jsonl", given_rows), made, template, Data())
    template.write(tmp_path)
    stored = read_template(tmp_path)
    for row, sequence in zip(given_rows, sequences, strict=True):
        served = made(stored.render(made, row["prompt"], answer=True), add_special_tokens=False)
        given_ids = sequence.input_ids[: len(served["input_ids"])]
        assert list(given_ids) == served["input_ids"]
        assert sequence.labels[len(given_ids) - 1] == IGNORED
        assert sequence.labels[len(given_ids)] != IGNORED


def test_a_template_with_todays_date_shows_the_same_date_every_day() -> None:
    template = template_of(tokenizer("llama-3.2"))
    assert template.text.startswith(PINNED_DATE)
    assert "26 Jul 2024" in template.render(tokenizer("llama-3.2"), rows(1)[0]["prompt"])


@pytest.mark.parametrize(
    ("family", "place"),
    [("gemma", "first user turn"), ("mistral", "first user turn"), ("chatml", "own turn")],
)
def test_a_system_message_goes_where_the_template_has_a_place_for_it(
    family: str, place: str
) -> None:
    assert template_of(tokenizer(family)).system == place


FORMATS: dict[str, dict[str, Any]] = {
    "prompt-completion": rows(1)[0],
    "messages": {"messages": [*rows(1)[0]["prompt"], *rows(1)[0]["completion"]]},
    "alpaca": {"instruction": "Write it.", "input": "def f", "output": "pass", "system": "Be."},
    "fim": {"prompt": "<P>def f():<S>\n<M>", "completion": "    return 1"},
    "text": {"text": "just code"},
}


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_told_by_its_columns_and_ends(format: str, tmp_path: Path) -> None:
    made = tokenizer("zephyr")
    path = write_rows(tmp_path / "t.jsonl", [FORMATS[format]])
    told = tokenize(path, made, template_of(made), Data())
    named = tokenize(path, made, template_of(made), Data(format=format))
    assert [list(s.input_ids) for s in told[0]] == [list(s.input_ids) for s in named[0]]
    assert told[1].kept == 1
    assert learned_text(made, told[0][0]).endswith("</s>")
    assert told[0][0].input_ids[-1] == made.eos_token_id


def test_a_rendered_text_teaches_its_answers_alone(family: str, tmp_path: Path) -> None:
    made = tokenizer(family)
    template = template_of(made)
    turns = [*rows(2)[0]["prompt"], *rows(2)[0]["completion"]]
    turns += [*rows(2)[1]["prompt"], *rows(2)[1]["completion"]]
    path = write_rows(tmp_path / "t.jsonl", [{"text": template.render(made, turns)}])
    sequences, report = tokenize(path, made, template, Data())
    assert report.noted == {}
    answers = [learned_text(made, s).removesuffix(template.end).strip() for s in sequences]
    assert answers == [turn["content"].strip() for turn in turns if turn["role"] == "assistant"]


def test_a_conversation_teaches_each_of_its_answers_after_what_stands_before(
    tmp_path: Path,
) -> None:
    made = tokenizer("chatml")
    turns = [
        {"role": r, "content": c}
        for r, c in [
            ("user", "one?"),
            ("assistant", "first"),
            ("user", "two?"),
            ("assistant", "second"),
        ]
    ]
    path = write_rows(tmp_path / "t.jsonl", [{"messages": turns}])
    sequences, report = tokenize(path, made, template_of(made), Data())
    assert [learned_text(made, s) for s in sequences] == ["first<|im_end|>", "second<|im_end|>"]
    assert "first" in made.decode(sequences[1].input_ids)
    assert (report.rows, report.kept, report.sequences) == (1, 1, 2)


def test_what_cannot_be_learned_is_counted_by_reason_with_its_line(tmp_path: Path) -> None:
    made = tokenizer("chatml")
    path = write_rows(tmp_path / "t.jsonl", rows(2))
    ask = [{"role": "user", "content": "?"}]
    bad = [
        {"prompt": ask, "completion": [{"role": "assistant", "content": " "}]},
        {"prompt": ask, "completion": [{"role": "assistant", "content": "a<|im_end|>b"}]},
        {"prompt": ask, "completion": [{"role": "assistant", "content": "long " * 4000}]},
        {"something": "else"},
        {"messages": ask},
        {"prompt": 3, "completion": [{"role": "assistant", "content": "x"}]},
    ]
    path.write_text(
        path.read_text()
        + "".join(json.dumps(row) + "\n" for row in bad)
        + "[1]\n{no\n\n"
        + "[" * 100_000
    )
    sequences, report = tokenize(path, made, template_of(made), Data())
    assert len(sequences) == report.kept == 2
    assert report.rows == 2 + len(bad) + 3
    assert report.rows == report.kept + sum(report.dropped.values())
    assert report.dropped == {
        "no answer": 2,
        "the answer holds the end token <|im_end|>": 1,
        "longer than data.max_length = 2048 tokens": 1,
        "columns of no known format": 1,
        "not a row of the format prompt-completion": 1,
        "not a JSON object": 3,
    }
    assert report.lines["not a JSON object"] == [9, 10, 12]
    assert report.to_json()["length"]["max"] < 2048
    said = left_out(report.to_json())
    assert "2 x no answer (lines 3, 7)" in said
    assert "3 x not a JSON object (lines 9, 10, 12)" in said


def test_rows_that_were_split_are_said_to_be(tmp_path: Path) -> None:
    made = tokenizer("chatml")
    long = {"instruction": "Count.", "output": "one two three " * 100}
    path = write_rows(tmp_path / "t.jsonl", [long])
    _, report = tokenize(path, made, template_of(made), Data(max_length=128, too_long="split"))
    assert left_out(report.to_json()) == "none left out; 1 x split into windows"


@settings(max_examples=200, deadline=None)
@given(length=st.integers(2, 400), first=st.integers(0, 399), size=st.integers(16, 64))
def test_windows_of_a_long_row_learn_each_token_once_and_end_where_it_ends(
    length: int, first: int, size: int
) -> None:
    first = min(first, length - 1)
    ids = np.arange(length, dtype=np.int32)
    labels = np.where(ids < first, IGNORED, ids)
    report = TokenReport("x")
    whole = Sequence(ids, labels)
    parts = _fitted(whole, Data(max_length=size, too_long="split"), report)
    learned = [int(label) for part in parts for label in part.labels if label != IGNORED]
    assert learned == list(range(first, length))
    assert all(len(part.input_ids) <= size for part in parts)
    assert all((part.labels != IGNORED).any() for part in parts)
    assert parts[-1].input_ids[-1] == length - 1
    assert bool(report.noted) == (length > size)


def test_half_a_surrogate_pair_is_left_out_by_its_line_and_no_base_is_built_from_it(
    tmp_path: Path,
) -> None:
    path = write_rows(tmp_path / "train.jsonl", rows(2))
    odd = r'{"prompt": [{"role": "user", "content": "a \ud800"}], "completion": []}'
    whole = r'{"instruction": "a", "output": "a pair is a character: \ud83d\ude00"}'
    path.write_text(path.read_text() + f"{odd}\n{whole}\n")
    made = tokenizer(sorted(FAMILIES)[0])
    kept, report = tokenize(path, made, template_of(made), Data())
    reason = "half of a surrogate pair: no text in any encoding"
    assert (len(kept), dict(report.lines)) == (3, {reason: [3]})
    assert not any("\ud800" in text for text in texts_of(path))
    assert any("\U0001f600" in text for text in texts_of(path))


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    made = tokenizer("zephyr")
    made.eos_token = None
    with pytest.raises(TrainingError, match="no end token"):
        template_of(made)


def test_a_base_without_a_template_gets_a_plain_one_that_is_stored(tmp_path: Path) -> None:
    template = template_of(tokenizer("none"))
    assert template.origin == "plain"
    template.write(tmp_path)
    assert read_template(tmp_path) == template
    assert isinstance(template, Template)
