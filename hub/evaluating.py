"""Arms on held-out rows, from the dataset to a page: what `patternhub eval` does."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hub.answering.arms import ARMS
from hub.errors import HubError
from hub.serving.folder import ORIGIN, digest_of, listed
from hub.serving.gate import decide
from hub.serving.scorers import scorers_of
from hub.types import Message
from training.adapter import base_of
from training.errors import TrainingError
from training.evaluate import Arm, ArmScores, Evaluation, answer_all, judge
from training.metrics import Reply
from training.questions import read_questions, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hub.answering.arms import ArmName, Arms
    from hub.config import Config
    from hub.reporting import Progress
    from hub.serving.evaluations import Evaluations
    from hub.serving.gate import Verdict
    from hub.serving.registry import Registry
    from hub.types import SearchResult
    from hub.workspace import Workspace
    from training.questions import Messages, Questions

    Search = Callable[..., list[SearchResult]]

TEST = "test.jsonl"
BATCH = 8  # questions that an arm is asked at once
WIDER = (4, 32)  # times the hits that are wanted: more are asked for where some are left out


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
    workspace: Workspace,
    search: Search,
    open_arms: Callable[[Search], Arms],
    registry: Registry,
    evaluations: Evaluations,
    *,
    dataset: Path,
    names: Sequence[str],
    model: str,
    adapter: str,
    is_local: bool,
    n: int,
    progress: Progress,
) -> Evaluated:
    """Ask a hub's arms what held-out rows ask; see :meth:`hub.api.Hub.evaluate`.

    Nothing is retrieved from the files that the rows show: an arm with patterns would copy there
    what the others have to know.

    Args:
        workspace: The hub's.
        search: The hub's.
        open_arms: The arms, over another search.
        registry: Where ``adapter`` may be.
        evaluations: Where the result is kept.
        dataset: A file of held-out rows, or a folder with one.
        names: The arms to ask.
        model: What answers, as it is called.
        adapter: Of the arms that have one.
        is_local: Whether the model runs in this process, so that its memory is known.
        n: Rows to draw; 0: all.
        progress: Hears how many answers are there.
    """
    names = list(dict.fromkeys(names))
    if not names or set(names) - set(ARMS):
        raise HubError(f"arms {', '.join(names) or 'none'}: there are {', '.join(ARMS)}")
    path, config = held_out(dataset), workspace.config
    found = _questions(path)
    trained: dict[str, Any] = {}
    if any(name.endswith("adapter") for name in names):
        digest, folder = _adapter(adapter, registry)
        trained = {"adapter": digest}
        if folder:
            check_unseen(path, folder)
            model = model or base_of(folder)
    common = {
        "model": model,
        "files": _files(Path(model)) if is_local else [],
        "endpoint": "" if is_local else config.generator.endpoint,
        "settings": config.answering.model_dump(exclude={"adapter"}),
    }
    held = {file for question in found.rows for file in question.files}
    retrieving = any(name.startswith("rag") for name in names)
    index = {"index": _index(workspace), "left out of": found.sha256} if retrieving else {}
    opened = open_arms(functools.partial(unseen, search, held, config.answering.patterns))
    if missing := [name for name in names if name not in opened.names]:
        raise HubError(
            f"there is no arm {', '.join(missing)} here, only {', '.join(opened.names)}: name a "
            "model under [generator] or as answering.base in hub.toml, and an adapter by --adapter"
        )

    def arm(name: str) -> Arm:
        own = trained if name.endswith("adapter") else {}
        return Arm(
            name=name,
            identity={"arm": name} | common | own | (index if name.startswith("rag") else {}),
            answer=functools.partial(_replies, opened, cast("ArmName", name), is_local),
            batch=BATCH,
        )

    arms = [arm(name) for name in names]
    if trained:
        proof = arm("base"), arm("adapter")
        arms = [replace(a, proof=proof) if a.name.endswith("adapter") else a for a in arms]
    return evaluate_arms(found, arms, config, evaluations, n=n, progress=progress)


def evaluate_arms(
    found: Questions,
    arms: Sequence[Arm],
    config: Config,
    evaluations: Evaluations,
    *,
    n: int,
    progress: Progress,
) -> Evaluated:
    """Ask any arms, score their answers, and keep them with their page.

    Raises:
        HubError: another process is evaluating, an adapter is not shown to be loaded, or the disk
            is full.
    """
    scorers, settings = scorers_of(config), config.evaluation
    chosen = sample(found.rows, n, seed=settings.seed)
    try:
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
    folder = evaluations.save(evaluation, verdicts)
    return Evaluated(evaluation=evaluation, verdicts=verdicts, folder=folder)


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
        made = json.loads((adapter / ORIGIN).read_text(encoding="utf-8"))
        learned = {part["sha256"] for part in made["data"][:1]}  # the next is validated by
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HubError(f"{adapter} does not say what it was trained on: {error}") from error
    if digest(path) in learned:
        raise HubError(f"{path} is what the adapter was trained on: name rows that it never saw")


def unseen(search: Search, held: Collection[str], limit: int, query: str) -> list[SearchResult]:
    """The best hits outside of ``held`` files, each ``source/path``."""
    for times in WIDER if held else (1,):
        hits = search(query, limit=limit * times)
        kept = [h for h in hits if f"{h.pattern.source}/{h.pattern.path}" not in held]
        if len(kept) >= limit or len(hits) < limit * times:
            break
    return [replace(hit, rank=rank) for rank, hit in enumerate(kept[:limit], 1)]


def _questions(path: Path) -> Questions:
    try:
        return read_questions(path)
    except TrainingError as error:
        raise HubError(str(error)) from error


def _adapter(reference: str, registry: Registry) -> tuple[str, Path | None]:
    """The digest of an adapter's content, and its folder; of one that only an endpoint knows, its
    name there and None."""
    if not reference:
        raise HubError("no adapter is named: give --adapter, or answering.adapter in hub.toml")
    folder = Path(reference).expanduser()
    if (folder / "adapter_config.json").is_file():
        return digest_of(listed(folder)), folder
    try:
        adapter = registry.get(reference)
    except HubError:
        return reference, None
    return adapter.digest, registry.path(adapter)


def _index(workspace: Workspace) -> list[Any]:
    """What a search depends on: the generation, the vectors and the settings."""
    state = workspace.store.state()
    known = (state.generation, state.best_complete, state.digest) if state else ()
    return [*known, workspace.config.search.model_dump()]


def _files(base: Path) -> list[Any]:
    """The weights of a base in a folder, as far as a look tells; none of one that has an id."""
    found = sorted(base.glob("*.safetensors")) if base.name else []
    return [[path.name, (seen := path.stat()).st_size, seen.st_mtime_ns] for path in found]


def _replies(
    arms: Arms, name: ArmName, is_local: bool, conversations: Sequence[Messages]
) -> list[Reply]:
    from training.hardware import peak_memory

    asked = [tuple(Message(**turn) for turn in messages) for messages in conversations]
    answers = arms.batch(asked, name)
    memory = peak_memory() if is_local else 0
    return [
        Reply(
            text=answer.text,
            seconds=answer.seconds,
            tokens=answer.tokens,
            memory=memory,
            context=tuple(result.pattern.text for result in answer.sources),
            complete=answer.complete,
            error=answer.error,
        )
        for answer in answers
    ]
