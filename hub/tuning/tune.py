"""Tune a hub's retriever on the hub's own patterns, and keep it only if it finds more.

A tuned retriever starts from the one that is configured, or, where that was tuned here, from what
it was tuned from: it may know files that a later run judges by. What a retriever learns from and
what it is judged by never share a file: files below a threshold, by a hash of their path, are held
out. Where that leaves too few questions every file is held out once, from a model that learned from
the others.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from hub.buckets import bucket
from hub.config import CONFIG_NAME, Tier
from hub.errors import HubError, MissingExtraError
from hub.reporting import silent
from hub.store.cache import atomic_path
from hub.store.encoders import (
    Encoders,
    EndpointEncoder,
    SentenceTransformerEncoder,
    open_encoders,
    tuned_of,
)
from hub.store.minilm import MiniLMEncoder
from hub.store.static import StaticEncoder, static_text
from hub.store.tuned import ADAPTER, MODEL, STATIC, Tuned, save_table, write_card
from hub.tuning.measure import Bench, Scores, Verdict
from hub.tuning.pairs import collect_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.config import Embedding
    from hub.reporting import Progress
    from hub.tuning.pairs import Pair, PairReport
    from hub.types import Pattern
    from hub.workspace import Workspace
    from training.retriever import Recipe

TIERS: tuple[Tier, ...] = ("fast", "best")  # in this order: the best tier hears the fast vectors
MIN_HELD_OUT = 350  # questions: with fewer, what is worth having cannot be told from luck
HELD_OUT = 0.2
MAX_HELD_OUT = 1000
FOLDS = 5
FULL_LEARNING_RATE = 5e-5  # of all weights; LoRA's is in the recipe
STOP = 0.05  # of the training files: what the trainer chooses its best checkpoint by
Method = Literal["lora", "full"]


@dataclass(slots=True, kw_only=True)
class TuneReport:
    """What was learned from, what came of it, and whether it is used now."""

    pairs: dict[str, int]  # by kind
    left_out: dict[str, int]  # candidates by reason
    trained: int
    held_out: int
    folds: int  # 0: held-out files; else how often a model was trained to judge by
    tiers: list[Tier]
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by tier
    model: str = ""  # what embedding.model names now; empty: as before
    comparable: int = 0  # pairs that nothing in use learned from: what `compare` asks
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Split:
    """Pairs to learn from and pairs to judge by; ``below`` is the threshold of the latter."""

    train: list[Pair]
    held_out: list[Pair]
    below: float
    folds: int


def recipe_of(method: Method, epochs: float) -> Recipe:
    """The shipped adapter's recipe, or the same for all weights.

    Raises:
        HubError: ``epochs`` is no number above 0, or the packages that train are missing.
    """
    if not 0 < epochs < math.inf:
        raise HubError(f"epochs = {epochs}: a finite number above 0 is needed")
    for package in ("sentence_transformers", "peft", "tomlkit"):
        if find_spec(package) is None:
            raise MissingExtraError("tuning a retriever", "train")
    from training.retriever import Recipe

    if method == "full":
        return Recipe(epochs=epochs, rank=0, learning_rate=FULL_LEARNING_RATE)
    return Recipe(epochs=epochs)


def tune(
    workspace: Workspace,
    patterns: Sequence[Pattern],
    *,
    tiers: Sequence[Tier],
    kinds: Sequence[str],
    recipe: Recipe,
    hold_out: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress = silent,
) -> TuneReport:
    """See :meth:`hub.api.Hub.tune`; the new retriever is written, but not used yet."""
    started = time.perf_counter()
    embedding, encoders = _start_of(workspace, tiers)
    _known_sources(patterns, hold_out)
    found = collect_pairs(patterns, kinds)
    split = _split(found, hold_out)
    report = TuneReport(
        pairs=dict(Counter(pair.kind for pair in found.kept)),
        left_out=dict(found.left_out),
        trained=len(split.train),
        held_out=len(split.held_out),
        folds=split.folds,
        tiers=list(tiers),
    )
    if dry_run:
        return report
    home = workspace.store_folder / "tuned"
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home / "lock"):
        run = _Run(
            embedding=embedding,
            folder=workspace.folder,
            encoders=encoders,
            configured=workspace.encoders,
            tuned=tuned_of(workspace.config.embedding, workspace.folder),
            recipe=recipe,
            tiers=tiers,
            progress=progress,
        )
        work = home / f"run-{run.key(split)}"
        for stale in {*home.glob("run-*")} - {work}:  # killed, and never gone on with
            shutil.rmtree(stale)
        run.train(split.train, work / "final", "training")
        report.verdicts = run.judge(Bench(patterns, split.held_out), split, work)
        if any(verdict.kept for verdict in report.verdicts.values()):
            facts = {
                "held_out_below": split.below,
                "held_out_sources": list(hold_out),
                "pairs": report.pairs,
                "recipe": asdict(recipe),
                "verdicts": {tier: asdict(v) for tier, v in report.verdicts.items()},
            }
            report.model = run.keep(work / "final", home, report.verdicts, facts)
            kept = Tuned.from_folder(workspace.folder / report.model)
            report.comparable = len(_not_learned_from(patterns, kept))
        shutil.rmtree(work)
    report.seconds = time.perf_counter() - started
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareReport:
    """Two retrievers on questions that neither learned from."""

    base: str
    tuned: str
    held_out_sources: tuple[str, ...]
    verdicts: dict[str, dict[str, Verdict]]  # by tier, then by source; "" is all of them

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    workspace: Workspace, patterns: Sequence[Pattern], *, progress: Progress = silent
) -> CompareReport:
    """See :meth:`hub.api.Hub.compare_tuned`."""
    embedding = workspace.config.embedding
    tuned = tuned_of(embedding, workspace.folder)
    if tuned is None:
        raise HubError(
            f"embedding.model = {embedding.model!r} is not a tuned retriever: there is nothing to "
            "compare; `patternhub tune` makes one"
        )
    pairs = _not_learned_from(patterns, tuned)
    if not pairs:
        raise HubError(
            "every file was learned from, so none is left to compare on; the card in "
            f"{tuned.folder} has the verdict of the run, where each file was held out once"
        )
    pairs = sorted(pairs, key=lambda pair: bucket(pair.answer.id))[:MAX_HELD_OUT]
    bench = Bench(patterns, pairs)
    base = open_encoders(embedding.model_copy(update={"model": tuned.base}), workspace.folder)
    sources = sorted({pair.answer.source for pair in pairs})
    verdicts: dict[str, dict[str, Verdict]] = {}
    for step, tier in enumerate(TIERS):
        before, after = (bench.scores(e, tier) for e in (base, workspace.encoders))
        verdicts[tier] = {name: bench.verdict(before, after, name) for name in ["", *sources]}
        progress("measuring", step + 1, len(TIERS))
    return CompareReport(
        base=base.best.name,
        tuned=workspace.encoders.best.name,
        held_out_sources=tuned.held_out_sources,
        verdicts=verdicts,
    )


def _not_learned_from(patterns: Sequence[Pattern], tuned: Tuned) -> list[Pair]:
    return [
        pair
        for pair in collect_pairs(patterns, ["docs", "sections"]).kept
        if bucket(pair.group) < tuned.held_out_below or pair.answer.source in tuned.held_out_sources
    ]


def use_model(folder: Path, model: str) -> None:
    """Make ``embedding.model`` in ``folder``'s hub.toml ``model``; the rest stays as it is.

    Raises:
        HubError: the file cannot be written; says what to write by hand.
    """
    import tomlkit

    path = (folder / CONFIG_NAME).resolve()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8") if path.is_file() else "")
        document.setdefault("embedding", tomlkit.table())["model"] = model
        with atomic_path(path) as temporary:
            temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
            if path.is_file():
                shutil.copymode(path, temporary)
    except OSError as error:
        raise HubError(
            f"{path} cannot be written: {error}; to use what was tuned, put model = {model!r} "
            "under [embedding] there"
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the steps of one run share."""

    embedding: Embedding  # names what is tuned
    folder: Path
    encoders: Encoders  # what is tuned; a tier that is not is the configured one
    configured: Encoders
    tuned: Tuned | None  # the configured one's folder
    recipe: Recipe
    tiers: Sequence[Tier]
    progress: Progress

    def key(self, split: _Split) -> str:
        """The same for a run that would train the same: it goes on where the last was stopped."""
        learned = [(p.query, p.document) for p in [*split.train, *split.held_out]]
        digests = self.encoders.fast.digest, self.encoders.best.digest
        facts = repr((learned, digests, self.recipe, list(self.tiers), split.below))
        return hashlib.sha256(facts.encode()).hexdigest()[:12]

    def train(self, pairs: Sequence[Pair], folder: Path, stage: str) -> None:
        """Fill ``folder`` with a retriever tuned on ``pairs``."""
        folder.mkdir(parents=True, exist_ok=True)
        if "best" not in self.tiers:
            self._copy_best(folder)
        elif not (folder / ADAPTER).is_file() and not (folder / MODEL).is_dir():
            self._train_best(pairs, folder, stage)
        if not (folder / STATIC).is_file():
            if "fast" in self.tiers:
                self._train_fast(pairs, folder)
            else:
                self._copy_fast(folder)
        self._describe(folder, self.encoders.dense_weight, {})

    def judge(self, bench: Bench, split: _Split, work: Path) -> dict[str, Verdict]:
        """A verdict for each tier that was tuned."""
        everything = list(range(len(bench.pairs)))
        models = [(work / "final", everything)]
        if split.folds:
            models = []
            files = sorted({pair.group for pair in bench.pairs}, key=bucket)
            part_of = {file: nth % split.folds for nth, file in enumerate(files)}
            parts = [part_of[pair.group] for pair in bench.pairs]
            for fold in range(split.folds):
                rest = [pair for pair, part in zip(bench.pairs, parts, strict=True) if part != fold]
                self.train(rest, work / f"fold-{fold}", f"training {fold + 1} of {split.folds}")
                asked = [i for i, part in enumerate(parts) if part == fold]
                models.append((work / f"fold-{fold}", asked))
        verdicts: dict[str, Verdict] = {}
        stays: dict[str, Any] = {}  # what the best tier is judged beside, for it will be used so
        for step, tier in enumerate(tier for tier in TIERS if tier in self.tiers):
            base = bench.scores(replace(self.encoders, **stays), tier)
            tuned = Scores(np.zeros_like(base.fused), np.zeros_like(base.dense))
            for folder, asked in models:
                found = bench.scores(replace(self._open(folder), **stays), tier, asked)
                tuned.fused[:, asked], tuned.dense[asked] = found.fused, found.dense
            verdicts[tier] = bench.verdict(base, tuned)
            if tier == "fast" and not verdicts[tier].kept:
                stays = {"fast": self.configured.fast}
            self.progress("measuring", step + 1, len(self.tiers))
        return verdicts

    def keep(
        self, trained: Path, home: Path, verdicts: dict[str, Verdict], facts: dict[str, Any]
    ) -> str:
        """Put the tiers that got better together in a folder; returns what names it."""
        kept = {tier for tier, verdict in verdicts.items() if verdict.kept}
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            chosen = Path(scratch) / "chosen"
            chosen.mkdir()
            if "best" in kept:
                for name in (ADAPTER, MODEL):
                    if (trained / name).exists():
                        (trained / name).rename(chosen / name)
            else:
                self._copy_best(chosen)
            if "fast" in kept:
                (trained / STATIC).rename(chosen / STATIC)
            else:
                self._copy_fast(chosen)
            weights = {
                tier: verdicts[tier].tuned_weight if tier in kept else weight
                for tier, weight in self.configured.dense_weight.items()
            }
            if self.tuned and kept != {*TIERS}:  # what stays may have learned from other files
                facts["held_out_below"] = min(facts["held_out_below"], self.tuned.held_out_below)
                if self.tuned.held_out_below < 1:
                    old = self.tuned.held_out_sources
                    facts["held_out_sources"] = [s for s in facts["held_out_sources"] if s in old]
            tuned = self._describe(chosen, weights, facts)
            target = home / tuned.digest
            if not target.is_dir():
                chosen.rename(target)
        return target.relative_to(self.folder).as_posix()

    def _describe(
        self, folder: Path, dense_weight: dict[Tier, float], facts: dict[str, Any]
    ) -> Tuned:
        write_card(
            folder,
            name=f"{self.encoders.best.name}, tuned here",
            dense_weight=dense_weight,
            static_share=self.encoders.static_share,
            base=self.embedding.model,
            **facts,
        )
        return Tuned.from_folder(folder)

    def _open(self, folder: Path) -> Encoders:
        return open_encoders(self.embedding.model_copy(update={"model": str(folder)}), self.folder)

    def _train_best(self, pairs: Sequence[Pair], folder: Path, stage: str) -> None:
        from training.retriever import tune_encoder

        judging = [pair for pair in pairs if bucket(f"stop {pair.group}") < STOP] or [*pairs[:8]]
        stop = {pair.group for pair in judging}
        train = [pair for pair in pairs if pair.group not in stop]
        source, start = self._start(folder)
        try:
            tune_encoder(
                source,
                [(pair.query, pair.document) for pair in train],
                [(pair.query, pair.document) for pair in judging],
                folder,
                self.recipe,
                groups=[pair.answer.source for pair in train],
                start=start,
                whole=not isinstance(self.encoders.best, MiniLMEncoder),
                on_step=lambda done, total: self.progress(stage, done, total),
            )
        except ValueError as error:
            raise HubError(str(error)) from error

    def _start(self, folder: Path) -> tuple[str, Path | None]:
        """The model to tune, and the adapter to go on from."""
        best = self.encoders.best
        if not isinstance(best, MiniLMEncoder):
            return best.name, None
        if best.tuned is None or self.recipe.rank:
            return str(best.folder), best.tuned.folder / ADAPTER if best.tuned else None
        from safetensors.numpy import load_file, save_file

        merged = folder / "merged"
        shutil.copytree(best.folder, merged, dirs_exist_ok=True)
        weights = best.tuned.weights(load_file(merged / "model.safetensors"))
        save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
        return str(merged), None

    def _train_fast(self, pairs: Sequence[Pair], folder: Path) -> None:
        from training.retriever import StaticRecipe, tune_static

        fast = self.encoders.fast
        assert isinstance(fast, StaticEncoder)  # all that open_encoders makes
        texts = [(static_text(pair.query), static_text(pair.document)) for pair in pairs]
        groups = [pair.answer.source for pair in pairs]
        vocabulary = fast.tokenizer.to_str()
        table = tune_static(fast.table, vocabulary, texts, StaticRecipe(), groups=groups)
        save_table(folder / STATIC, table)

    def _copy_best(self, folder: Path) -> None:
        """The configured model's own files; a model that has none is named by the card."""
        for name in (ADAPTER, MODEL):
            if self.tuned and (self.tuned.folder / name).is_file():
                shutil.copy(self.tuned.folder / name, folder / name)
            elif self.tuned and (self.tuned.folder / name).is_dir():
                shutil.copytree(self.tuned.folder / name, folder / name, dirs_exist_ok=True)

    def _copy_fast(self, folder: Path) -> None:
        """The configured vectors; those that were distilled only get a file of their own."""
        if self.tuned:
            shutil.copy(self.tuned.folder / STATIC, folder / STATIC)
            return
        fast = self.configured.fast
        assert isinstance(fast, StaticEncoder)
        save_table(folder / STATIC, fast.table)


def _start_of(workspace: Workspace, tiers: Sequence[Tier]) -> tuple[Embedding, Encoders]:
    """What is tuned: a tier that was tuned here before as it was before that.

    Raises:
        HubError: it cannot be tuned here.
    """
    embedding, encoders = workspace.config.embedding, workspace.encoders
    tuned = tuned_of(embedding, workspace.folder)
    if tuned and tuned.folder.resolve().is_relative_to(workspace.store_folder.resolve()):
        embedding = embedding.model_copy(update={"model": tuned.base})
        base = open_encoders(embedding, workspace.folder)
        encoders = Encoders(
            base.fast if "fast" in tiers else encoders.fast,
            base.best if "best" in tiers else encoders.best,
            encoders.dense_weight | {tier: base.dense_weight[tier] for tier in tiers},
            encoders.static_share,
        )
    if isinstance(encoders.best, EndpointEncoder):
        raise HubError(
            f"embedding.endpoint = {workspace.config.embedding.endpoint!r}: a model behind an "
            "endpoint cannot be tuned here; name a local model, or none for the default"
        )
    if "best" in tiers and not isinstance(
        encoders.best, MiniLMEncoder | SentenceTransformerEncoder
    ):
        raise HubError(f"the model {encoders.best.name!r} cannot be tuned: it is not known how")
    return embedding, encoders


def _split(found: PairReport, hold_out: Sequence[str]) -> _Split:
    """Held-out files first; where they are too few, every file is held out in turn.

    Raises:
        HubError: too few pairs to tell a better model from a luckier one, or too few files to learn
            from some and be judged by others.
    """
    pairs = found.kept
    if len(pairs) < MIN_HELD_OUT:
        reasons = ", ".join(f"{count} {why}" for why, count in found.left_out.most_common())
        left_out = f" ({reasons}: left out)" if reasons else ""
        raise HubError(
            f"{len(pairs)} pairs of a question and its answer were found{left_out}, "
            f"{MIN_HELD_OUT} are "
            "needed to tell a better model from luck; nothing was trained. Index more documented "
            "code"
        )
    away = [pair for pair in pairs if pair.answer.source in hold_out]
    rest = [pair for pair in pairs if pair.answer.source not in hold_out]
    below = min(HELD_OUT, MAX_HELD_OUT / max(len(rest), 1))
    held_out = [pair for pair in rest if bucket(pair.group) < below]
    train = [pair for pair in rest if bucket(pair.group) >= below]
    if train and min(HELD_OUT * len(rest), len(held_out)) + len(away) >= MIN_HELD_OUT:
        return _Split(train, held_out + away[:MAX_HELD_OUT], below, 0)
    if away:
        raise HubError(
            f"with {', '.join(map(repr, hold_out))} held out {len(rest)} of {len(pairs)} pairs are "
            "left, too few to learn from and to judge by; nothing was trained. Hold out fewer "
            "sources, or index more documented code"
        )
    files = {pair.group for pair in pairs}
    if len(files) == 1:
        raise HubError(
            f"all {len(pairs)} pairs are of one file, {files.pop()}, and none is learned from and "
            "judged by at once; nothing was trained. Index more documented code"
        )
    return _Split(list(pairs), list(pairs), 0.0, min(FOLDS, len(files)))


def _known_sources(patterns: Sequence[Pattern], names: Sequence[str]) -> None:
    known = {pattern.source for pattern in patterns}
    for name in names:
        if name not in known:
            shown = ", ".join(sorted(known))
            raise HubError(f"no source is called {name!r}; there are: {shown}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two runs would train the same twice, on half a machine each."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise HubError(f"another `patternhub tune` is at work here: {path} is locked") from error
    try:
        yield
    finally:
        lock.release()
