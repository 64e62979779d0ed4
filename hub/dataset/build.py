"""Patterns to a dataset folder: everything in order, and every decision counted.

Patterns lose their duplicates; tasks make examples of them; hand-written and imported ones join;
what is private, forbidden or broken is repaired or dropped; duplicates go, categories are balanced,
sides are split. The folder takes the place of the one before it whole, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from hub.config import CARD, COMPLIANCE, MANIFEST, REPORT
from hub.curate.duplicates import NEAR, give_way
from hub.curate.leaks import leaking
from hub.curate.near import near_pairs
from hub.curate.shingles import Sets, shingles, tokens
from hub.dataset.balance import balance, shortfalls
from hub.dataset.card import card
from hub.dataset.checking import read_lines
from hub.dataset.formats import Options, as_row, check_formats, identity
from hub.dataset.remembered import digest
from hub.dataset.report import page
from hub.dataset.split import LEAK, SIDES, Shares, split
from hub.dataset.tasks import TASKS, Material
from hub.dataset.varying import WORTH, examples_of
from hub.errors import FailedCheckError, HubError
from hub.reporting import silent
from hub.types import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from hub.config import Dataset
    from hub.curate.annotate import Annotation
    from hub.curate.shingles import Hashes
    from hub.dataset.checks import Check, Compliance
    from hub.dataset.varying import Variant
    from hub.reporting import Progress
    from hub.types import Change, Example, Pattern, Vectors

SHOWN = 20  # rows that are named where a strict build fails
SHORT = 40  # tokens: of a shorter answer, the question decides too
OF_DATASET = (
    "rows", "stages", "side_shortfall", "test_shortfall", "floor_shortfall", "before", "after",
    "private",
)  # fmt: skip


@dataclass(slots=True)
class Stage:
    """One step: what came out of it, and what it dropped by reason."""

    name: str
    kept: int
    dropped: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kept": self.kept, "dropped": dict(self.dropped)}


@dataclass(slots=True, kw_only=True)
class BuildReport:
    """What was built, what each stage dropped, and what changed since the last build.

    ``stale`` says what of each source is not in the index as it is now, and so not in the dataset.
    """

    out: str
    rows: dict[str, int] = field(default_factory=dict)  # by side
    stages: list[Stage] = field(default_factory=list)
    side_shortfall: dict[str, int] = field(default_factory=dict)
    test_shortfall: dict[str, int] = field(default_factory=dict)
    floor_shortfall: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)  # examples by category, unbalanced
    after: dict[str, int] = field(default_factory=dict)
    private: dict[str, int] = field(default_factory=dict)  # findings by kind
    stale: dict[str, str] = field(default_factory=dict)
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: bool = False  # the dataset was there already
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        return shown | {"stages": [stage.to_json() for stage in self.stages]}

    def of_dataset(self) -> dict[str, Any]:
        """What is said of the dataset, however often it is built."""
        shown = self.to_json()
        return {name: shown[name] for name in OF_DATASET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What a build is made of; ``clusters`` numbers patterns that resemble each other, and
    ``stand_ins`` are the ids of those that another pattern represents."""

    patterns: Sequence[Pattern]
    annotations: Mapping[str, Annotation]
    tests: Mapping[str, Sequence[str]]
    clusters: Mapping[str, int]
    stand_ins: frozenset[str]
    changes: Mapping[tuple[str, str], Sequence[Change]] = field(default_factory=dict)
    own: Sequence[Example] = ()  # hand-written and imported
    held_out: Sequence[str] = ()  # answers that no example may resemble
    variants: Sequence[Variant] = ()
    rejected: Collection[str] = ()  # ids of examples that people turned down
    vectors: Vectors | None = None  # of the patterns, in their order


def build(
    ingredients: Ingredients,
    out: Path,
    settings: Dataset,
    *,
    check: Check,
    compliance: Compliance,
    facts: Mapping[str, Any],
    strict: bool = False,
    progress: Progress = silent,
) -> BuildReport:
    """Write the dataset; ``facts`` go into its manifest, ``compliance`` is what ``check`` found.

    Raises:
        FailedCheckError: ``strict``, and an example has a forbidden term.
        HubError: a setting or ``out`` is wrong, or no example is left.
    """
    started = time.perf_counter()
    options = checked_options(out, settings)
    report = BuildReport(out=str(out))
    examples = _reviewed(_made(ingredients, settings, report, progress), ingredients, report)
    examples = _checked(examples, check, settings, report, progress)
    report.private = compliance.private_kinds()
    if strict and compliance.forbidden:
        raise FailedCheckError(_forbidden(compliance))
    examples = _answerable(distinct(examples, report), report)
    if ingredients.held_out:
        examples = _decontaminated(examples, ingredients.held_out, report)
    report.before = _by_category(examples)
    kept, dropped = balance(examples, caps=settings.caps, task_share=settings.task_share)
    report.stages.append(Stage("balanced", len(kept), dropped))
    report.floor_shortfall = shortfalls(kept, settings.floors)
    shares = Shares(
        test=settings.test_share, validation=settings.validation_share, min_test=settings.min_test
    )
    progress("splitting", 0, 1)
    found = split(kept, shares, seed=settings.seed, clusters=ingredients.clusters)
    report.rows = {side: len(found.sides[side]) for side in SIDES}
    report.stages.append(Stage("split", sum(report.rows.values()), found.dropped))
    report.test_shortfall = found.shortfall
    report.side_shortfall = found.side_shortfall
    report.after = _by_category([e for side in SIDES for e in found.sides[side]])
    if not sum(report.rows.values()):
        raise HubError(_nothing_left(report))
    told = compliance.to_json()
    _write(out, found.sides, ingredients, settings.formats, options, report, facts, told)
    report.seconds = time.perf_counter() - started
    return report


def standing(out: Path, inputs: str) -> BuildReport | None:
    """The report of a dataset that is there, whole, and made of the same ``inputs``."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        same = (
            manifest["inputs"] == inputs
            and (out / CARD).is_file()
            and all(_sha256(out / name) == known for name, known in manifest["files"].items())
        )
        report = BuildReport(out=str(out), unchanged=True, **{n: manifest[n] for n in OF_DATASET})
        report.stages = [
            Stage(s["name"], s["kept"], Counter(s["dropped"])) for s in manifest["stages"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return report if same else None


def checked_options(out: Path, settings: Dataset) -> Options:
    """What the formats need; a build that cannot succeed ends here, before any work is done.

    Raises:
        HubError: a task, format, family or tokenizer that is not there; or ``out`` is not a
            dataset's.
    """
    _tasks(settings.tasks)
    options = Options(family=settings.fim_family, template=_template(settings.tokenizer))
    check_formats(settings.formats, options)
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise HubError(f"{out} holds something else than a dataset; name a new folder")
    if out.exists() and not out.is_dir():
        raise HubError(f"{out} is a file; name a folder")
    return options


def _made(
    ingredients: Ingredients, settings: Dataset, report: BuildReport, progress: Progress
) -> Iterator[Example]:
    """The examples of every task, in the order of the patterns, then of variants, then the team's
    own."""
    material = Material.of(ingredients.patterns, ingredients.tests, ingredients.changes)
    patterns = material.patterns.values()
    tasks = _tasks(settings.tasks)
    stage = Stage("made", 0)
    for done, p in enumerate(patterns):
        if done % 1000 == 0:
            progress("making examples", done, len(patterns))
        if p.id in ingredients.stand_ins:
            stage.dropped["pattern is a duplicate"] += 1
            continue
        for task in tasks:
            for example in TASKS[task](p, material, Random(f"{settings.seed} {task} {p.id}")):
                stage.kept += 1
                yield _annotated(example, ingredients.annotations.get(p.id))
    for variant in ingredients.variants:
        known = ingredients.annotations.get(variant.pattern.id)
        for example in examples_of(variant, tasks, material, settings.seed):
            stage.kept += 1
            yield _annotated(example, known, worth=WORTH)
    stage.kept += len(ingredients.own)
    report.stages.append(stage)
    yield from ingredients.own


def _reviewed(
    examples: Iterable[Example], ingredients: Ingredients, report: BuildReport
) -> list[Example]:
    """Examples that nobody turned down."""
    made = list(examples)
    if not ingredients.rejected:
        return made
    kept = [example for example in made if identity(example) not in ingredients.rejected]
    reasons = Counter({"rejected by a person": len(made) - len(kept)})
    report.stages.append(Stage("reviewed", len(kept), +reasons))
    return kept


def _annotated(example: Example, known: Annotation | None, *, worth: float = 1.0) -> Example:
    if known is None:
        return example
    return replace(example, category=known.category, quality=known.quality * worth)


def _checked(
    examples: Sequence[Example],
    check: Check,
    settings: Dataset,
    report: BuildReport,
    progress: Progress,
) -> list[Example]:
    """Examples that pass the check, each once, with the team's system prompt."""
    stage = Stage("checked", 0)
    system = (Message("system", settings.system),) if settings.system else ()
    kept: dict[bytes, Example] = {}
    for done, example in enumerate(examples):
        if done % 1000 == 0:
            progress("checking examples", done, len(examples))
        if system and example.prompt[0].role != "system":
            example = replace(example, prompt=system + example.prompt)
        found = check(example)
        if isinstance(found, str):
            stage.dropped[found] += 1
        elif kept.setdefault(digest(found.prompt, found.completion), found) is not found:
            stage.dropped["duplicate"] += 1
    stage.kept = len(kept)
    report.stages.append(stage)
    return list(kept.values())


def distinct(examples: Sequence[Example], report: BuildReport) -> list[Example]:
    """Examples, in their order, without those that teach a task what a better one teaches."""
    stage = Stage("deduplicated", 0)
    drop: set[int] = set()
    by_task: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        by_task[example.task, lesson(example.task, _answer(example))].append(row)
    for rows in by_task.values():
        rows.sort(key=lambda row: _rank(examples[row]))
        sets = Sets.of(telling(_asked(examples[row]), _answer(examples[row])) for row in rows)
        drop.update(rows[worse] for worse in give_way(near_pairs(sets, NEAR)[0]))
    stage.dropped["says what a better example says"] = len(drop)
    stage.kept = len(examples) - len(drop)
    report.stages.append(stage)
    return [example for row, example in enumerate(examples) if row not in drop]


def _decontaminated(
    examples: Sequence[Example], held_out: Sequence[str], report: BuildReport
) -> list[Example]:
    """Examples whose answer resembles none of a held-out dataset."""
    leaks = set(leaking(list(map(_answer, examples)), held_out, threshold=LEAK))
    kept = [example for row, example in enumerate(examples) if row not in leaks]
    reasons = Counter({"its answer resembles one of a held-out dataset": len(leaks)})
    report.stages.append(Stage("decontaminated", len(kept), +reasons))
    return kept


def _answerable(examples: Sequence[Example], report: BuildReport) -> list[Example]:
    """Examples without those whose question has another answer elsewhere: nobody could know it."""
    stage = Stage("answerable", 0)
    asked = Counter(example.prompt for example in examples)
    kept = [example for example in examples if asked[example.prompt] == 1]
    stage.kept = len(kept)
    stage.dropped["its question has another answer, too"] = len(examples) - len(kept)
    report.stages.append(stage)
    return kept


def _rank(example: Example) -> tuple[float, str]:
    """The best first; between equals chance decides, the same in every build."""
    return -example.quality, identity(example)


def _asked(example: Example) -> str:
    return example.prompt[-1].content


def _answer(example: Example) -> str:
    return example.completion[-1].content


def telling(asked: str, answer: str) -> Hashes:
    """The shingles an example is known by: of its answer, with the question where that is short."""
    said = tokens(answer)
    return shingles(said if len(said) >= SHORT else tokens(asked) + said)


def lesson(task: str, answer: str) -> str:
    """What tells examples apart however alike their code is: the bug explained, the name given."""
    return answer.partition("\n")[0] if task in ("fix", "name") else ""


def _tasks(names: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise HubError(
            f"dataset.tasks: no task is called {unknown[0]!r}; there are: {', '.join(TASKS)}"
        )
    return list(names) or list(TASKS)


def _template(tokenizer: str) -> Callable[[list[dict[str, str]]], str] | None:
    """The chat template of a tokenizer that lies on this machine."""
    if not tokenizer:
        return None
    from hub.errors import MissingExtraError

    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("the format 'text'", "train") from error
    try:
        found = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        found.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False)
    except (OSError, ValueError) as error:
        raise HubError(
            f"dataset.tokenizer = {tokenizer!r} is not on this machine, or has no chat template: "
            f"{error}"
        ) from error
    return lambda turns: str(found.apply_chat_template(turns, tokenize=False))


def _by_category(examples: Iterable[Example]) -> dict[str, int]:
    return dict(sorted(Counter(example.category for example in examples).items()))


def _forbidden(compliance: Compliance) -> str:
    found = compliance.forbidden
    rows = len({each.where for each in found})
    lines = [f"{rows} rows have a forbidden term; nothing was written", *map(str, found[:SHOWN])]
    if len(found) > SHOWN:
        lines.append(f"... and {len(found) - SHOWN} more")
    return "\n  ".join(lines)


def _nothing_left(report: BuildReport) -> str:
    told = [
        f"{stage.name}: {stage.kept} left"
        + "".join(f", {n} {why}" for why, n in stage.dropped.items())
        for stage in report.stages
    ]
    return "no example is left; nothing was written. " + "; ".join(told)


def _write(
    out: Path,
    sides: Mapping[str, Sequence[Example]],
    ingredients: Ingredients,
    formats: Sequence[str],
    options: Options,
    report: BuildReport,
    facts: Mapping[str, Any],
    compliance: Mapping[str, Any],
) -> None:
    """The new folder beside the old one, then in its place."""
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            new = Path(scratch) / "new"
            for nth, name in enumerate(formats):
                folder = new / name if nth else new
                folder.mkdir()
                _write_rows(folder, sides, name, options)
            _compare(out, new, report)
            examples = [example for side in sides.values() for example in side]
            _write_json(new / COMPLIANCE, compliance)
            shown = page(
                out.name, ingredients, examples, report, ingredients.vectors, compliance=compliance
            )
            (new / REPORT).write_text(shown, encoding="utf-8")
            files = sorted(path for path in new.rglob("*") if path.is_file())
            manifest = {
                **facts,
                **report.of_dataset(),
                "files": {path.relative_to(new).as_posix(): _sha256(path) for path in files},
            }
            _write_json(new / MANIFEST, manifest)
            (new / CARD).write_text(card(sides, report, manifest, formats), encoding="utf-8")
            if out.exists():
                out.rename(Path(scratch) / "old")
            new.rename(out)
    except OSError as error:
        raise HubError(f"{out} cannot be written: {error}; what was there stays") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_rows(
    folder: Path, sides: Mapping[str, Sequence[Example]], name: str, options: Options
) -> None:
    for side, examples in sides.items():
        if not examples:
            continue
        with (folder / f"{side}.jsonl").open("w", encoding="utf-8") as file:
            for example in examples:
                row = as_row(example, name, options)
                if row is not None:
                    file.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _compare(old: Path, new: Path, report: BuildReport) -> None:
    """Count what differs from the folder that is replaced."""
    before, after = _digests(old), _digests(new)
    report.added = len(after.keys() - before.keys())
    report.removed = len(before.keys() - after.keys())
    report.changed = sum(before[key] != now for key, now in after.items() if key in before)


def _digests(folder: Path) -> dict[str, str]:
    """A digest of each row of a dataset, by the row's id, or by its place where it has none."""
    found = {}
    for side in SIDES:
        path = folder / f"{side}.jsonl"
        for line in read_lines(path) if path.is_file() else ():
            known = line.data.get("id") if isinstance(line.data, dict) else None
            shown = hashlib.blake2b(line.raw, digest_size=8).hexdigest()
            found[str(known or f"{side} {line.number}")] = shown
    return found
