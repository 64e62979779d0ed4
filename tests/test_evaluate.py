"""Arms on held-out rows: what is asked, what is paid for, and what counts as an answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from hub import Hub, HubError
from hub.cli import main
from hub.config import Config
from hub.evaluating import evaluate_arms, unseen
from hub.reporting import silent
from hub.serving.evaluations import Evaluations
from hub.types import Generation
from tests.conftest import word_encoders
from tests.test_trouble import small_disk
from tests.training_fixtures import rows, write_rows
from training.answers import FILE
from training.errors import TrainingError
from training.evaluate import GIVE_UP, Arm, answer_all, judge
from training.metrics import MEASURES, Reply
from training.questions import Question, read_questions, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.tiny_model import Tiny

    Answer = Callable[[str], str]


def asked(count: int, category: str = "io") -> list[Question]:
    return [
        Question(
            id=f"{category}{at}",
            line=at + 1,
            messages=[{"role": "user", "content": f"{category} {at}?"}],
            reference=f"def answer_{at}():\n    return {at}\n",
            category=category,
            task="implement",
            language="python",
        )
        for at in range(count)
    ]


class Fake:
    """An arm that answers by a function, and notes each question it was asked."""

    def __init__(self, answer: Answer, *, stop_after: int = -1) -> None:
        self.answer, self.left = answer, stop_after
        self.asked: list[str] = []

    def __call__(self, conversations: Sequence[list[dict[str, str]]]) -> list[Reply]:
        found = []
        for messages in conversations:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked.append(messages[-1]["content"])
            found.append(Reply(text=self.answer(messages[-1]["content"]), seconds=0.5, tokens=3))
        return found


def arm(answer: Answer | Fake, name: str = "base", **more: Any) -> Arm:
    fake = answer if isinstance(answer, Fake) else Fake(answer)
    return Arm(name=name, identity={"arm": name}, answer=fake, **more)


def right(question: str) -> str:
    number = question.split()[1].rstrip("?")
    return f"def answer_{number}():\n    return {number}\n"


def evaluate(path: Path, arms: list[Arm], folder: Path, **settings: Any) -> Any:
    evaluations = Evaluations(folder)
    found = read_questions(path)
    return evaluate_arms(found, arms, Config(**settings), evaluations, n=0, progress=silent)


def held_out(path: Path, questions: list[Question]) -> Path:
    made = [
        {
            "id": q.id,
            "prompt": q.messages,
            "completion": [{"role": "assistant", "content": q.reference}],
            "category": q.category,
            "task": q.task,
            "language": q.language,
        }
        for q in questions
    ]
    return write_rows(path, made)


def test_every_form_of_row_is_asked_and_the_others_are_counted_by_reason(tmp_path: Path) -> None:
    user, said = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    made: list[Any] = [
        {"prompt": [user], "completion": [said], "provenance": {"files": ["tool/a.py"]}},
        {"prompt": "q", "completion": "a"},
        {"messages": [user, said, user, said]},
        {"instruction": "q", "input": "more", "output": "a", "system": "s"},
        {"prompt": [said], "completion": [user]},
        {"messages": [user, {"role": "robot", "content": "a"}]},
        {"messages": [user, {"role": "assistant", "content": None}]},
        {"prompt": [user], "completion": [{"role": "assistant", "content": " "}]},
        {"text": "no question"},
        [],
    ]
    path = write_rows(tmp_path / "test.jsonl", made)
    with path.open("a") as file:
        file.write("{torn\n\n")
    found = read_questions(path)
    assert [(q.line, q.messages[-1]["content"], q.reference) for q in found.rows] == [
        (1, "q", "a"),
        (2, "q", "a"),
        (3, "q", "a"),
        (4, "q\n\nmore", "a"),
    ]
    assert found.rows[0].files == ("tool/a.py",)
    assert [turn["role"] for turn in found.rows[3].messages] == ["system", "user"]
    assert found.unusable == {
        "turns that do not end in a question and its answer": 1,
        "roles other than system, user and assistant": 1,
        "messages without a role and a text": 1,
        "a blank answer": 1,
        "columns of no known form": 1,
        "not a JSON object": 1,
        "not JSON": 1,
    }


def test_a_file_without_a_question_says_why(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "test.jsonl", [{"text": "x"}])
    with pytest.raises(TrainingError, match="1 x columns of no known form"):
        read_questions(path)
    path.write_text("")
    with pytest.raises(TrainingError, match="it is empty"):
        read_questions(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_questions(tmp_path)


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@given(sizes, st.data(), st.integers(0, 3))
def test_a_sample_is_nested_and_has_each_category_by_its_share(
    sizes: list[int], data: Any, seed: int
) -> None:
    questions = [q for at, size in enumerate(sizes) for q in asked(size, f"c{at}")]
    questions = [replace(q, line=line) for line, q in enumerate(questions, 1)]
    n = data.draw(st.integers(1, len(questions)))
    drawn = sample(questions, n, seed=seed)
    assert len(drawn) == n
    assert drawn == sample(questions, n, seed=seed)
    assert drawn == [q for q in questions if q in drawn]
    if n > 1:
        assert all(q in drawn for q in sample(questions, n - 1, seed=seed))
    counts = Counter(q.category for q in drawn)
    if n >= len(sizes):
        for at, size in enumerate(sizes):
            assert counts[f"c{at}"] >= 1
            assert counts[f"c{at}"] <= max(1, size * n / len(questions) + len(sizes))


def test_no_answer_is_paid_for_twice_whenever_a_run_is_stopped(tmp_path: Path) -> None:
    questions = asked(7)
    heard: list[str] = []
    for left in (3, 2, -1):
        fake = Fake(right, stop_after=left)
        with contextlib.suppress(KeyboardInterrupt):
            replies = answer_all(questions, [arm(fake, batch=1)], tmp_path)
        heard += fake.asked
    assert Counter(heard) == dict.fromkeys((q.messages[0]["content"] for q in questions), 1)
    assert [r.text for r in replies["base"]] == [q.reference for q in questions]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_evaluate import Fake, arm, asked, right
from training.evaluate import answer_all

class Dies(Fake):
    def __call__(self, conversations):
        if len(self.asked) == 3:
            with (Path(sys.argv[1]) / "answers.jsonl").open("ab") as file:
                file.write(b'{"key": "half of an ans')
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(conversations)

answer_all(asked(6), [arm(Dies(right))], Path(sys.argv[1]))
"""


def test_a_killed_process_leaves_what_was_answered_and_a_torn_line_is_no_answer(
    tmp_path: Path,
) -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root)
    assert done.returncode == -9
    fake = Fake(right)
    answer_all(asked(6), [arm(fake)], tmp_path)
    assert fake.asked == ["io 3?", "io 4?", "io 5?"]
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 6


def test_another_identity_or_question_is_another_answer(tmp_path: Path) -> None:
    questions = asked(2)
    fake = Fake(right)
    old = arm(fake)
    answer_all(questions, [old], tmp_path)
    answer_all(questions, [replace(old, identity={"arm": "base", "adapter": "d2"})], tmp_path)
    again = replace(
        questions[0], messages=[{"role": "system", "content": "s"}, *questions[0].messages]
    )
    answer_all([again, questions[0]], [old], tmp_path)
    assert len(fake.asked) == 5


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(TrainingError, match="another evaluation"):
        answer_all(asked(1), [arm(right)], tmp_path)


def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    disk, elsewhere = tmp_path / "disk", tmp_path / "kept"
    fake = Fake(lambda question: right(question) + "#" * 9000)
    with small_disk(disk, "64k"):
        with pytest.raises(TrainingError, match=r"No space left on device.*run the same again"):
            answer_all(asked(20), [arm(fake)], disk)
        elsewhere.mkdir()
        (elsewhere / FILE).write_bytes((disk / FILE).read_bytes())
    paid = len(fake.asked)
    assert 0 < paid < 20
    answer_all(asked(20), [arm(fake)], elsewhere)
    assert len(fake.asked) <= 21  # the answer that found no room, again


def broken(conversations: Sequence[Any]) -> list[Reply]:
    """An endpoint that sends garbage half-way through every other answer."""
    found = []
    for (message,) in conversations:
        number = int(message["content"].split()[1].rstrip("?"))
        found.append(
            Reply(text="def ans", complete=False, error="sent no JSON: '<html>'")
            if number % 2
            else Reply(text=right(message["content"]))
        )
    return found


def test_an_answer_that_broke_off_is_incomplete_and_never_wrong(tmp_path: Path) -> None:
    path = held_out(tmp_path / "test.jsonl", asked(10))
    arms = [Arm(name="base", identity={}, answer=broken, batch=4)]
    scores = evaluate(path, arms, tmp_path / "kept").evaluation.arms[0]
    assert (scores.overall, scores.incomplete) == ((5, 5), 5)
    assert scores.to_json()["errors"] == {"sent no JSON: '<html>'": 5}
    assert scores.categories == {"io": (5, 5)}


def test_an_arm_that_raises_fails_on_that_row_alone_and_one_that_is_down_is_left_alone(
    tmp_path: Path,
) -> None:
    def picky(question: str) -> str:
        if question == "io 1?":
            raise ValueError("too long")
        return right(question)

    replies = answer_all(asked(4), [arm(picky, batch=4)], tmp_path)["base"]
    assert [(r.complete, r.error) for r in replies][:2] == [(True, ""), (False, "too long")]

    def down(question: str) -> str:
        raise OSError("connection refused")

    fake = Fake(down)
    replies = answer_all(asked(20), [arm(fake, "rag")], tmp_path)["rag"]
    assert len(fake.asked) == GIVE_UP
    assert not any(reply.complete for reply in replies)
    assert replies[-1].error == "not asked, after 5 failures in a row: connection refused"


def test_an_adapter_that_answers_as_its_base_is_refused_and_one_that_differs_once_is_scored(
    tmp_path: Path,
) -> None:
    base = arm(right)
    ghost = arm(right, "adapter")
    told = "adapter answers 8 questions word for word as base does"
    with pytest.raises(TrainingError, match=told):
        answer_all(asked(9), [base, replace(ghost, proof=(base, ghost))], tmp_path)
    loaded = arm(lambda q: "pass" if q == "io 2?" else right(q), "adapter")
    loaded = replace(loaded, identity={"adapter": "d2"})
    assert answer_all(asked(9), [replace(loaded, proof=(base, loaded))], tmp_path)
    dead = replace(base, identity={"down": 1}, answer=lambda _: 1 / 0)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="could not be asked: division by zero"):
        answer_all(asked(9), [replace(loaded, proof=(dead, loaded))], tmp_path)


def test_a_row_passes_if_every_check_does_and_it_is_similar_enough() -> None:
    (question,) = asked(1)
    replies = [Reply(text=right("io 0?")), Reply(text="x = 1")]
    near, far = (judge([question], [r], MEASURES, threshold=0.5)[0].passed for r in replies)
    assert (near, far) == (True, False)
    (exact,) = judge([question], replies[:1], MEASURES, threshold=1.0)
    assert exact.passed


class Loads(HTMLParser):
    """What a page would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.outside += [v for n, v in attrs if v and (n in ("src", "href") or n.startswith("on"))]


def test_the_page_has_the_verdict_first_loads_nothing_and_shows_scripts_as_text(
    tmp_path: Path,
) -> None:
    evil = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\ud800"
    questions = [replace(q, category=evil[:25]) for q in asked(3)]
    path = held_out(tmp_path / "test.jsonl", questions)
    done = evaluate(path, [arm(right), arm(lambda q: evil, "adapter")], tmp_path / "kept")
    text = (done.folder / "report.html").read_text()
    page = Loads(text)
    assert not page.tags.keys() & {"script", "img", "link", "iframe"}
    assert page.outside == []
    assert "default-src 'none'" in text
    assert text.index("The arm adapter does not pass the gate") < text.index("side by side")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert page.tags["details"] == 3
    assert "0.0% (0 of 3)" in text


def test_the_result_is_json_lines_with_every_answer_and_its_scores(tmp_path: Path) -> None:
    path = held_out(tmp_path / "test.jsonl", asked(3))
    done = evaluate(path, [arm(right), arm(lambda q: "def (", "rag")], tmp_path / "kept")
    lines = [json.loads(line) for line in (done.folder / "rows.jsonl").read_text().splitlines()]
    assert [(line["arm"], line["passed"]) for line in lines] == [("base", True)] * 3 + [
        ("rag", False)
    ] * 3
    assert lines[3]["scores"]["syntax"]["reason"]
    assert done.evaluation.to_json()["arms"][1]["overall"]["total"] == 3
    assert Evaluations(tmp_path / "kept").list()[0]["id"] == done.folder.name


def test_one_row_has_an_interval_that_says_how_little_it_is(tmp_path: Path) -> None:
    path = held_out(tmp_path / "test.jsonl", asked(1))
    (scores,) = evaluate(path, [arm(right)], tmp_path / "kept").evaluation.arms
    assert scores.overall == (1, 1)
    assert scores.overall.interval.low < 0.21


@pytest.fixture
def real(tiny: Tiny, tree: Path, tmp_path: Path) -> Hub:
    """A hub with an index, an adapter that was trained, and the rows it knows by heart."""
    folder = tmp_path / "hub"
    folder.mkdir()
    settings = f"""
[answering]
base = {json.dumps(str(tiny.base))}
max_tokens = 48
budget = 100
abstain = false
[gate]
rows = 1
"""
    (folder / "hub.toml").write_text(settings)
    hub = Hub.open(folder, encoders=word_encoders())
    hub.index(tree)
    hub.adapters.take(tiny.adapter, name="team")
    made = [row | {"category": "io", "task": "implement", "language": "python"} for row in rows(4)]
    write_rows(folder / "out/test.jsonl", made)
    return hub


def test_four_arms_are_asked_offline_and_the_gate_decides(real: Hub) -> None:
    heard: list[str] = []
    names = ["base", "rag", "adapter", "rag+adapter"]
    out = real.workspace.folder / "out"

    def ask(adapter: str) -> dict[str, Any]:
        done = real.evaluate(
            out, arms=names, adapter=adapter, progress=lambda stage, *_: heard.append(stage)
        )
        return {scores.name: scores for scores in done.evaluation.arms}

    found = ask("team@0.1.0")
    assert list(found) == names
    assert found["adapter"].overall == (4, 4)
    assert found["base"].overall.passed == 0
    assert found["adapter"].values["memory"]["max"] > 1e8
    assert heard.count("answers") == 16
    assert ask("team")["adapter"].overall == (4, 4)
    assert heard.count("answers") == 16  # the same adapter by another name: nothing is paid twice
    verdict = real.gate("team")
    assert verdict.passed, verdict.reasons
    adapter = real.adapters.get("team")
    assert adapter.passed
    assert adapter.verdict is not None
    assert adapter.verdict["adapter"] == adapter.digest
    real.adapters.promote("team@0.1.0")


def test_rows_that_the_adapter_learned_from_do_not_judge_it(real: Hub, tiny: Tiny) -> None:
    with pytest.raises(HubError, match=r"train\.jsonl is what the adapter was trained on"):
        real.evaluate(tiny.dataset / "train.jsonl", arms=["adapter"], adapter="team")


def test_what_cannot_be_evaluated_is_said_by_the_command(
    real: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.encoders.open_encoders", lambda *_: word_encoders())

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--hub", str(real.workspace.folder), *arguments])
        return result.exit_code, result.output

    out = str(real.workspace.folder / "out")
    assert run("gate", "team")[0] == 1
    assert "was not evaluated as adapter" in run("gate", "team")[1]
    for arguments, said in (
        (["--dataset", str(tmp_path)], "test.jsonl"),
        (["--dataset", out, "--arms", "best"], "there are base, rag, adapter, rag+adapter"),
        (["--dataset", out, "--arms", "adapter"], "no adapter is named"),
        ([], "no dataset was built here yet"),
    ):
        status, told = run("eval", *arguments)
        assert (status, said in told) == (2, True), told


def test_an_arm_that_answered_nothing_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts
    write_rows(tmp_path / "test.jsonl", rows(1))
    (tmp_path / "hub.toml").write_text(
        '[generator]\nendpoint = "http://127.0.0.1:9/v1"\nmodel = "m"\n'
    )
    arguments = ["--hub", str(tmp_path), "eval", "--arms", "base", "--dataset", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "no whole answer came from base" in result.stderr


def test_nothing_is_retrieved_from_the_files_that_are_asked_about(hub: Hub, tree: Path) -> None:
    hub.index(tree)
    query = "retry_with_backoff"
    held = {f"{tree.name}/src/retry.py"}
    assert hub.search(query, limit=1)[0].pattern.path == "src/retry.py"
    hits = unseen(hub.search, held, 3, query)
    assert len(hits) == 3
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert all(hit.pattern.path != "src/retry.py" for hit in hits)
    assert unseen(hub.search, set(), 3, query) == hub.search(query, limit=3)


def test_an_arm_without_patterns_needs_no_index(tmp_path: Path) -> None:
    class Words:
        name, context = "words", 4096

        def count(self, text: str) -> int:
            return len(text.split())

        def effect(self, adapter: str) -> float:
            return 0.0

        def stream(self, prompts: Sequence[Any], decoding: Any) -> Any:
            for at, prompt in enumerate(prompts):
                yield at, Generation(text=right(prompt.messages[-1].content))

    path = held_out(tmp_path / "test.jsonl", asked(2))
    hub = Hub.open(tmp_path, encoders=word_encoders())
    done = hub.evaluate(path, arms=["base"], generator=Words())
    assert done.evaluation.arms[0].overall == (2, 2)
    with pytest.raises(HubError, match=r"not scored.*words answers as without"):
        hub.evaluate(path, arms=["adapter"], adapter="served", generator=Words())
