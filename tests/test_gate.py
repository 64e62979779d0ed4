"""The gate passes what reaches every number, says why it does not, and judges one content only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hub import Hub
from hub.cli import main
from hub.config import Gate
from hub.errors import FailedCheckError
from hub.serving.gate import decide, gate, needed
from tests.conftest import word_encoders
from tests.training_fixtures import adapter_folder
from training.evaluate import ArmScores, Evaluation, Judged
from training.metrics import ONE_SIDED, Reply, Score, wilson
from training.questions import Question

if TYPE_CHECKING:
    from hub.serving.evaluations import Evaluations

PLENTY = {"parsing": (45, 60), "io": (45, 60)}


def scored(
    passed: dict[str, tuple[int, int]], *, digest: str = "", incomplete: int = 0, **more: Any
) -> ArmScores:
    """An arm's answers: by category, how many of how many pass; ``more`` goes for each answer."""
    reply = Reply(text="x", seconds=more.get("seconds", 1.0), memory=more.get("memory", 10**9))
    scores = (
        Score("latency", value=reply.seconds),
        Score("memory", value=reply.memory or None),
        Score("forbidden", passed=not more.get("forbidden")),
        Score("secrets", passed=True),
    )
    rows = [
        Judged(_question(category), reply, scores, at < right)
        for category, (right, total) in passed.items()
        for at in range(total)
    ]
    failed = Reply(text="", complete=False, error="connection refused")
    rows += [Judged(_question("io"), failed)] * incomplete
    return ArmScores("adapter", {"adapter": digest}, rows)


def _question(category: str) -> Question:
    return Question(id="1", line=1, messages=[], reference="x", category=category)


def reasons(scores: ArmScores, **settings: Any) -> list[str]:
    verdict = decide(scores.to_json(), Gate(**settings))
    assert verdict.passed == (not verdict.reasons)
    return verdict.reasons


def test_what_reaches_every_number_passes() -> None:
    assert reasons(scored(PLENTY)) == []


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (scored({"parsing": (41, 60), "io": (42, 60)}), "overall: 69.2% (83 of 120;"),
        (scored({"parsing": (60, 60), "io": (35, 60)}), "category io: 58.3% (35 of 60;"),
        (scored({"parsing": (60, 60), "io": (3, 3)}), "category io: no verdict: 3 judged rows"),
        (scored(PLENTY, forbidden=True), "120 with forbidden, 0 with secrets; at most 0"),
        (scored(PLENTY, incomplete=3), "without a whole answer: 3 of 123 rows; at most 2%"),
        (scored(PLENTY, seconds=61.0), "latency: 95% of answers within 61.0 s; at most 60 s"),
        (scored(PLENTY, memory=25 * 10**9), "memory: 25.0 GB; at most 24 GB"),
    ],
)
def test_one_number_that_is_missed_is_the_reason(scores: ArmScores, said: str) -> None:
    (reason,) = reasons(scores)
    assert said in reason


def test_a_category_of_three_and_a_set_of_one_row_have_no_verdict_rather_than_a_bad_one() -> None:
    verdict = decide(scored({"io": (1, 1)}).to_json(), Gate())
    named = {c.name: c.passed for c in verdict.criteria}
    assert (verdict.passed, named["overall"], named["category io"]) == (False, True, None)
    nothing = decide(scored({}, incomplete=2).to_json(), Gate())
    assert {c.name: c.passed for c in nothing.criteria}["overall"] is None


def test_exactly_the_threshold_passes_and_memory_that_nobody_knows_is_not_judged() -> None:
    assert reasons(scored({"a": (70, 100)}, memory=0)) == []


@given(st.integers(1, 300), st.integers(0, 20))
def test_as_many_rows_are_needed_as_the_threshold_says(total: int, twentieths: int) -> None:
    lowest = needed(total, twentieths / 20, "share")
    assert lowest * 20 >= twentieths * total > (lowest - 1) * 20 or not twentieths
    bound = needed(total, twentieths / 20, "lower bound")
    assert bound >= lowest
    if bound <= total:
        assert wilson(bound, total, ONE_SIDED).low >= twentieths / 20


def test_the_lower_bound_takes_151_of_200_and_the_verdict_says_what_a_share_is_worth() -> None:
    assert needed(200, 0.7, "share") == 140
    assert needed(200, 0.7, "lower bound") == 151
    scores = scored({"a": (150, 200)})
    assert reasons(scores) == []
    assert "151 are needed for 70%" in reasons(scores, by="lower bound")[0]
    meaning = decide(scored({"a": (70, 100)}).to_json(), Gate()).meaning
    assert "right 65% of the time reaches 70% in 17.3% of evaluations" in meaning


@pytest.fixture
def judged(tmp_path: Path) -> Hub:
    """A hub with an adapter that was evaluated and is good."""
    folder = tmp_path / "hub"
    folder.mkdir()
    hub = Hub.open(folder, encoders=word_encoders())
    adapter = hub.adapters.take(adapter_folder(tmp_path / "run/adapter"), name="team")
    save(hub.evaluations, scored(PLENTY, digest=adapter.digest))
    return hub


def save(evaluations: Evaluations, scores: ArmScores) -> None:
    made = Evaluation(dataset="test.jsonl", sha256="5e", threshold=0.5, seed=0, arms=[scores])
    evaluations.save(made, [])


def test_the_verdict_is_kept_with_what_it_rests_on_and_lets_the_adapter_be_promoted(
    judged: Hub,
) -> None:
    with pytest.raises(FailedCheckError, match="was not judged"):
        judged.adapters.promote("team")
    assert judged.gate("team").passed
    kept = judged.adapters.get("team")
    assert kept.verdict is not None
    assert kept.verdict["adapter"] == kept.digest
    assert kept.verdict["dataset"] == "5e"
    assert kept.verdict["settings"]["overall"] == 0.7
    assert judged.adapters.promote("team").aliases == ("production",)


def test_the_newest_evaluation_counts_and_takes_a_verdict_back(judged: Hub) -> None:
    adapter = judged.adapters.get("team")
    judged.gate("team")
    save(judged.evaluations, scored({"io": (10, 60)}, digest=adapter.digest))
    assert not judged.gate("team").passed
    assert not judged.adapters.get("team").passed
    with pytest.raises(FailedCheckError, match="did not pass the gate"):
        judged.adapters.promote("team")


def test_a_verdict_is_of_one_content_and_not_of_a_name(judged: Hub, tmp_path: Path) -> None:
    judged.adapters.take(adapter_folder(tmp_path / "next/adapter", step=5), name="team")
    with pytest.raises(FailedCheckError, match=r"team@0\.1\.1 as it is now was not evaluated"):
        judged.gate("team")
    assert judged.gate("team@0.1.0").passed


def test_an_adapter_that_was_altered_since_has_no_verdict(judged: Hub) -> None:
    adapter = judged.adapters.get("team")
    (judged.adapters.path(adapter) / "adapter_model.safetensors").write_bytes(b"other weights")
    with pytest.raises(FailedCheckError, match="is damaged"):
        judged.gate("team")
    assert judged.adapters.get("team").verdict is None


def test_another_arm_may_be_the_one_that_ships(judged: Hub) -> None:
    settings = Gate(arm="rag+adapter")
    with pytest.raises(FailedCheckError, match="eval --arms rag\\+adapter"):
        gate("team", judged.adapters, judged.evaluations, settings)


def test_the_command_ends_with_0_or_1_and_the_reasons(judged: Hub) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--hub", str(judged.workspace.folder), *arguments])
        return result.exit_code, result.output

    assert run("gate", "team")[0] == 0
    digest = judged.adapters.get("team").digest
    save(judged.evaluations, scored({"parsing": (60, 60), "io": (3, 3)}, digest=digest))
    status, told = run("gate", "team")
    assert status == 1
    assert "category io: no verdict: 3 judged rows, and 50 are needed" in told
    status, told = run("gate", "team", "--json")
    assert (status, json.loads(told)["passed"]) == (1, False)
    assert run("gate", "nobody")[0] == 2


def test_an_evaluation_that_cannot_be_read_is_passed_over(judged: Hub) -> None:
    broken = judged.evaluations.folder / "99991231T000000-000000"
    broken.mkdir()
    (broken / "scores.json").write_text("{")
    assert judged.gate("team").passed
