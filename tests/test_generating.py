"""Generated examples: only what validates is kept, and no answer is paid for twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from hub.dataset.generating import FAILURES, generate, generated
from hub.errors import HubError
from hub.preparing import with_ids
from hub.reporting import silent
from hub.types import Generation
from indexers.code import chunk_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hub.types import Decoding, Pattern, Prompt

CODE = "\n\n".join(
    f"def scale_{name}(values, factor):\n    return [factor * value + {n} for value in values]\n"
    for n, name in enumerate(["width", "height", "depth", "weight"])
)
INSTRUCTION = "Multiply each number of a list by a factor and shift all of them a little."
TEST = "def test_it():\n    assert {name}([1], 2) is not None\n"


def patterns() -> list[Pattern]:
    found = with_ids("team", chunk_file("scale.py", CODE.encode()))
    return [p for p in found if p.kind == "function"]


class Scripted:
    """Answers as it is told to, and counts what it was asked."""

    name = "scripted"

    def __init__(self, fails: Sequence[int] = (), says: str = "") -> None:
        self.fails, self.says = set(fails), says
        self.calls = 0
        self.answered: Counter[str] = Counter()

    def stream(
        self, prompts: Sequence[Prompt], decoding: Decoding
    ) -> Iterator[tuple[int, str | Generation]]:
        for row, prompt in enumerate(prompts):
            yield row, self._answer(prompt.messages[-1].content)

    def _answer(self, asked: str) -> Generation:
        self.calls += 1
        if self.calls in self.fails:
            error = "the endpoint http://x failed: timed out"
            return Generation(text="", finish="error", error=error)
        self.answered[asked] += 1
        name = asked.partition("def ")[2].partition("(")[0]
        code = f"```python\n{TEST.format(name=name)}```"
        return Generation(text=self.says or (INSTRUCTION if "request" in asked else code))


JOBS = ["instruction", "tests"]


def test_answers_become_examples_of_the_code_they_were_asked_for(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    report = generate(patterns(), Scripted(), ledger, jobs=JOBS, progress=silent)
    assert report.accepted == 8
    examples = list(generated(ledger, patterns()))
    assert Counter(e.task for e in examples) == {"implement": 4, "tests": 4}
    for example in examples:
        asked, answer = example.prompt[0].content, example.completion[0].content
        assert example.files == ("team/scale.py",)
        assert "def scale_" in (answer if example.task == "implement" else asked)
        assert "```" not in answer


def test_an_endpoint_that_fails_half_of_the_time_is_paid_once_for_each_answer(
    tmp_path: Path,
) -> None:
    model = Scripted(fails=range(2, 100, 2))
    for _ in range(6):
        report = generate(patterns(), model, tmp_path / "l.jsonl", jobs=JOBS, progress=silent)
    assert report.failed == 0
    assert report.known == 8
    assert len(model.answered) == 8
    assert set(model.answered.values()) == {1}


def test_an_endpoint_that_is_gone_ends_the_run_and_keeps_what_it_answered(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    model = Scripted(fails=range(4, 4 + FAILURES))
    with pytest.raises(HubError, match="3 answers are kept, the same command goes on"):
        generate(patterns(), model, ledger, jobs=JOBS, progress=silent)
    assert len(list(generated(ledger, patterns()))) == 3
    assert model.calls == 3 + FAILURES


@pytest.mark.parametrize(
    ("says", "reasons"),
    [
        ("", None),
        ("Sure!", {"not 6 to 120 words": 4, "checks nothing": 0, "does not parse": 4}),
        ("def test(:\n", {"not 6 to 120 words": 4, "does not parse": 4}),
        ("def test_nothing():\n    pass\n",
         {"not 6 to 120 words": 4, "does not name what it tests": 4}),
        (CODE.replace("\n\n\n", "\n\n"), {"repeats the code": 4, "checks nothing": 4}),
        (f"{INSTRUCTION} Written by {'Chat' + 'GPT'}.",
         {"a forbidden term": 4, "does not parse": 4}),
    ],
)  # fmt: skip
def test_garbage_is_rejected_with_its_reason_and_kept(
    tmp_path: Path, says: str, reasons: dict[str, int] | None
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    report = generate(patterns(), Scripted(says=says), ledger, jobs=JOBS, progress=silent)
    assert dict(report.rejected) == {k: n for k, n in (reasons or {}).items() if n}
    rejected = 0 if reasons is None else 8
    assert len(ledger.read_text().splitlines()) == 8
    assert len(list(generated(ledger, patterns()))) == 8 - rejected


def test_half_a_line_of_a_killed_run_costs_no_other_answer(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    generate(patterns()[:2], Scripted(), ledger, jobs=JOBS, progress=silent)
    ledger.write_text(ledger.read_text()[:-30])
    model = Scripted()
    generate(patterns(), model, ledger, jobs=JOBS, progress=silent)
    assert model.calls == 5
    assert len(list(generated(ledger, patterns()))) == 8


def test_an_answer_about_code_that_changed_is_no_example(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    generate(patterns(), Scripted(), ledger, jobs=JOBS, progress=silent)
    assert list(generated(ledger, patterns()[:1]))
    assert not list(generated(ledger, []))
