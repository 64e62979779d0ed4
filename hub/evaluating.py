"""Arms on held-out rows, from the dataset to a page: what `patternhub eval` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.serving.gate import decide
from hub.serving.scorers import scorers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.config import Config
    from hub.reporting import Progress
    from hub.serving.evaluations import Evaluations
    from hub.serving.gate import Verdict
    from training.evaluate import Arm, Evaluation

TEST = "test.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A finished evaluation, what the gate would say of it, and the folder it is kept in."""

    evaluation: Evaluation
    verdicts: Sequence[Verdict]
    folder: Path

    def to_json(self) -> dict[str, Any]:
        return {
            **self.evaluation.to_json(),
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "folder": str(self.folder),
        }


def evaluate(
    dataset: Path,
    arms: Sequence[Arm],
    config: Config,
    evaluations: Evaluations,
    *,
    n: int,
    progress: Progress,
) -> Evaluated:
    """Ask every arm, score its answers, and keep them with their page.

    Args:
        dataset: A file of held-out rows, or a folder with one.
        arms: Who is asked.
        config: When an answer is right, and what the gate asks for.
        evaluations: Where the result is kept, and the answers that were given before.
        n: Rows to draw; 0: all.
        progress: Hears how many answers are there.

    Raises:
        HubError: no such file, no row that can be asked, another process is evaluating, an adapter
            that changes nothing, or the disk is full.
    """
    from training.errors import TrainingError
    from training.evaluate import ArmScores, Evaluation, answer_all, judge
    from training.questions import read_questions, sample

    scorers, settings = scorers_of(config), config.evaluation
    try:
        found = read_questions(held_out(dataset))
        chosen = sample(found.rows, n, seed=settings.seed)
        replies = answer_all(chosen, arms, evaluations.folder, progress=progress)
    except TrainingError as error:
        raise HubError(str(error)) from error
    scored = []
    for nth, arm in enumerate(arms, 1):
        rows = judge(chosen, replies[arm.name], scorers, threshold=settings.similarity)
        scored.append(ArmScores(arm.name, arm.identity, rows))
        progress("scored", nth, len(arms))
    evaluation = Evaluation(
        dataset=found.path,
        sha256=found.sha256,
        threshold=settings.similarity,
        seed=settings.seed,
        arms=scored,
        unusable=found.unusable,
    )
    judged = [scores for scores in scored if scores.name == config.gate.arm]
    verdicts = [decide(scores.to_json(), config.gate) for scores in judged]
    return Evaluated(
        evaluation=evaluation, verdicts=verdicts, folder=evaluations.save(evaluation, verdicts)
    )


def held_out(dataset: Path) -> Path:
    """The file itself, or the test side of a dataset in a folder.

    Raises:
        HubError: there is none.
    """
    path = dataset / TEST if dataset.is_dir() else dataset
    if not path.is_file():
        raise HubError(
            f"there is no {path}: name a file of held-out rows with --dataset, or build a dataset "
            "with [dataset] test_share above 0"
        )
    return path


def check_unseen(path: Path, adapter: Path) -> None:
    """Refuse to judge an adapter by the rows that it learned from.

    Raises:
        HubError: the file in ``path`` is what the adapter in a folder was trained on.
    """
    from training.checkpoints import digest

    try:
        made = json.loads((adapter / "training.json").read_text(encoding="utf-8"))
        learned = {part["sha256"] for part in made["data"][:1]}  # the next is validated by
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HubError(f"{adapter} does not say what it was trained on: {error}") from error
    if digest(path) in learned:
        raise HubError(f"{path} is what the adapter was trained on: name rows that it never saw")
