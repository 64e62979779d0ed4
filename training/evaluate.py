"""Dataset, arms and scorers: which arm's answers are right, and how surely.

An arm is a callable that answers conversations. What it answered is kept at once, so that a run
that was killed goes on where it was. An arm that failed on a row has said nothing there: the row is
counted as incomplete, and as neither right nor wrong.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from training.answers import Answers, alone, key_of
from training.errors import TrainingError
from training.metrics import Interval, Reply, Score, wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from training.metrics import Scorer
    from training.questions import Messages, Question

PROBES = 8  # questions on which an adapter's answer may be the base's, word for word
GIVE_UP = 5  # batches in a row that fail: the arm is asked no more
STAGE = "answers"  # of the progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Who answers.

    ``identity`` is all that decides an answer beside the question, as JSON: model, adapter's
    digest, settings, what is retrieved from. ``answer`` takes conversations, at most ``batch`` at a
    time, and returns a reply to each. ``proof`` are two arms, without its adapter and with it, that
    must differ in an answer before it is scored.
    """

    name: str
    identity: Mapping[str, Any]
    answer: Callable[[Sequence[Messages]], Sequence[Reply]]
    batch: int = 1
    proof: tuple[Arm, Arm] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer and its scores; ``passed`` is None where the arm failed."""

    question: Question
    reply: Reply
    scores: tuple[Score, ...] = ()
    passed: bool | None = None


class Share(NamedTuple):
    """How many of the answers that were judged passed."""

    passed: int
    total: int

    @property
    def share(self) -> float:
        return self.passed / self.total if self.total else 0.0

    @property
    def interval(self) -> Interval:
        """Wilson's, two-sided, 95%."""
        return wilson(self.passed, self.total)

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "share": self.share, "interval": list(self.interval)}


@dataclass(frozen=True, slots=True)
class ArmScores:
    """All that one arm answered."""

    name: str
    identity: Mapping[str, Any]
    rows: Sequence[Judged]

    @property
    def overall(self) -> Share:
        return _share(row.passed for row in self.rows)

    @property
    def incomplete(self) -> int:
        return sum(row.passed is None for row in self.rows)

    @property
    def categories(self) -> dict[str, Share]:
        found = defaultdict(list)
        for row in self.rows:
            found[row.question.category].append(row.passed)
        return {name: _share(found[name]) for name in sorted(found)}

    @property
    def checks(self) -> dict[str, Share]:
        """By yes/no scorer, of the answers that it applies to."""
        found = defaultdict(list)
        for score in (score for row in self.rows for score in row.scores):
            if score.passed is not None:
                found[score.name].append(score.passed)
        return {name: _share(passed) for name, passed in found.items()}

    @property
    def values(self) -> dict[str, dict[str, float]]:
        """Mean, median, 95th percentile and maximum by scorer, of what it applies to."""
        found = defaultdict(list)
        for score in (score for row in self.rows for score in row.scores):
            if score.value is not None:
                found[score.name].append(score.value)
        return {name: _spread(values) for name, values in found.items()}

    def to_json(self) -> dict[str, Any]:
        return {
            "arm": self.name,
            "identity": dict(self.identity),
            "overall": self.overall.to_json(),
            "categories": {name: share.to_json() for name, share in self.categories.items()},
            "incomplete": self.incomplete,
            "errors": dict(Counter(r.reply.error for r in self.rows if not r.reply.complete)),
            "checks": {name: share.to_json() for name, share in self.checks.items()},
            "values": self.values,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The arms on the same questions; ``threshold`` is the similarity that a pass takes."""

    dataset: str
    sha256: str
    threshold: float
    seed: int
    arms: list[ArmScores]
    unusable: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "sha256": self.sha256,
            "questions": len(self.arms[0].rows) if self.arms else 0,
            "unusable": dict(self.unusable),
            "seed": self.seed,
            "threshold": self.threshold,
            "arms": [arm.to_json() for arm in self.arms],
        }

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every answer with its scores, an object each."""
        for arm in self.arms:
            for row in arm.rows:
                yield {
                    "arm": arm.name,
                    "id": row.question.id,
                    "line": row.question.line,
                    "category": row.question.category,
                    "passed": row.passed,
                    "scores": {score.name: asdict(score) for score in row.scores},
                    **asdict(row.reply),
                }


def answer_all(
    questions: Sequence[Question],
    arms: Sequence[Arm],
    folder: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> dict[str, list[Reply]]:
    """The replies of each arm, by its name, in the order of the questions.

    ``folder`` keeps the answers. ``progress`` hears how many of those that were missing are there.

    Raises:
        TrainingError: another process writes to ``folder``, it cannot be written, or an arm's
            adapter is not shown to be loaded.
    """
    with alone(folder):
        answers = Answers(folder)
        for arm in arms:
            if arm.proof:
                _show_loaded(arm.name, arm.proof, questions, answers)
        missing = {arm.name: _missing(arm, questions, answers) for arm in arms}
        total, done = sum(map(len, missing.values())), 0
        failed: dict[str, Reply] = {}
        for arm in arms:
            for key, reply in _ask(arm, missing[arm.name], answers):
                if not reply.complete:
                    failed[key] = reply
                done += 1
                progress(STAGE, done, total)
        return {
            arm.name: [
                answers.get(key) or failed[key]
                for key in (_key(arm, question) for question in questions)
            ]
            for arm in arms
        }


def judge(
    questions: Sequence[Question],
    replies: Sequence[Reply],
    scorers: Iterable[Scorer],
    *,
    threshold: float,
) -> list[Judged]:
    """Each reply with its scores.

    It passes if every yes/no scorer that applies does and its similarity is ``threshold`` at least.
    """
    scorers, judged = list(scorers), []
    for question, reply in zip(questions, replies, strict=True):
        if not reply.complete:
            judged.append(Judged(question, reply))
            continue
        scores = tuple(scorer(question, reply) for scorer in scorers)
        near = all((s.value or 0.0) >= threshold for s in scores if s.name == "similarity")
        passed = near and all(score.passed is not False for score in scores)
        judged.append(Judged(question, reply, scores, passed))
    return judged


def _show_loaded(
    name: str, proof: tuple[Arm, Arm], questions: Sequence[Question], answers: Answers
) -> None:
    """Ask the arms without and with the adapter the same, alone, until their answers differ.

    What else is in a batch can change an answer's last bits, so these are not those of the
    evaluation.

    Raises:
        TrainingError: they do not differ, or did not answer.
    """
    error = ""
    for question in questions[:PROBES]:
        pair = []
        for each in proof:
            asked = {_key(each, question, "alone"): question}
            known = answers.get(next(iter(asked)))
            pair.append(known or next(reply for _, reply in _ask(each, asked, answers)))
        if all(reply.complete for reply in pair) and pair[0].text != pair[1].text:
            return
        error = next((reply.error for reply in pair if not reply.complete), error)
    number = min(PROBES, len(questions))
    told = (
        f"could not be asked: {error}"
        if error
        else f"answers {number} questions word for word as {proof[0].name} does"
    )
    raise TrainingError(
        f"the arm {name} is not scored, for it is not shown that its adapter is loaded: "
        f"{proof[1].name} {told}"
    )


def _missing(arm: Arm, questions: Iterable[Question], answers: Answers) -> dict[str, Question]:
    """What an arm has to be asked; the same question once."""
    asked = {_key(arm, question): question for question in questions}
    return {key: question for key, question in asked.items() if key not in answers}


def _ask(arm: Arm, asked: Mapping[str, Question], answers: Answers) -> Iterator[tuple[str, Reply]]:
    """Ask and keep what is complete; an arm that fails again and again is left alone."""
    keys, failures, error = list(asked), 0, ""
    for at in range(0, len(keys), arm.batch):
        batch = keys[at : at + arm.batch]
        if failures < GIVE_UP:
            replies = _replies(arm, [asked[key].messages for key in batch])
            failures = 0 if any(reply.complete for reply in replies) else failures + 1
            error = next((reply.error for reply in replies if not reply.complete), error)
        else:
            told = f"not asked, after {GIVE_UP} failures in a row: {error}"
            replies = [Reply(text="", complete=False, error=told)] * len(batch)
        for key, reply in zip(batch, replies, strict=True):
            if reply.complete:
                answers.add(key, reply)
            yield key, reply


def _replies(arm: Arm, conversations: list[Messages]) -> list[Reply]:
    try:
        replies = list(arm.answer(conversations))
        if len(replies) != len(conversations):
            raise ValueError(f"{len(replies)} replies to {len(conversations)} questions")
    except Exception as error:  # noqa: BLE001 - an arm is anybody's code: it failed on these rows
        if len(conversations) > 1:  # the others are not to suffer for one
            return [reply for each in conversations for reply in _replies(arm, [each])]
        told = str(error) or type(error).__name__
        return [Reply(text="", complete=False, error=told)] * len(conversations)
    return replies


def _key(arm: Arm, question: Question, *more: str) -> str:
    return key_of(dict(arm.identity), question.messages, *more)


def _share(passed: Iterable[bool | None]) -> Share:
    judged = [each for each in passed if each is not None]
    return Share(sum(judged), len(judged))


def _spread(values: Sequence[float]) -> dict[str, float]:
    import numpy as np

    median, high = np.percentile(values, (50, 95), method="inverted_cdf")
    return {
        "mean": sum(values) / len(values),
        "p50": float(median),
        "p95": float(high),
        "max": max(values),
        "rows": len(values),
    }
