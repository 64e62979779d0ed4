"""What can fail is tried before a run: base, template, rows, memory, disk, and a few steps."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import hardware
from training.data import TokenReport, tokenize
from training.errors import TrainingError
from training.hugging_face import is_here
from training.memory import BYTES, Memory, adapter_bytes, estimate
from training.output import check_place, nearest
from training.prepare import (
    architecture_of,
    check_architecture,
    evaluation_of,
    load_tokenizer,
    parameters_of,
    precision_of,
    read_template_file,
    unfit,
)
from training.runlog import left_out
from training.scratch import architecture_of as scratch_architecture
from training.scratch import build_tokenizer, texts_of
from training.template import template_of

if TYPE_CHECKING:
    from training.config import Config

SPARE = 1.2  # of the disk that checkpoints and weights need
BASES = 3  # copies of a base that was built: in the run, its adapter and the registry
WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried, and what was found."""

    name: str
    passed: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name}: {self.detail}"


def preflight(config: Config, *, steps: int = 0, price: float = 0.0) -> list[Check]:
    """Try everything that a run needs; changes nothing. What depends on a failure is left out.

    Args:
        config: Of the run.
        steps: Of the run that are made to see how long it will take, where the base is on this
            machine and memory suffices; 0: none.
        price: Of an hour on this machine, to say what the run will cost.
    """
    checks = [_output(config)]
    try:
        tokenizer, architecture = base_of(config)
        checks.append(Check("base", True, f"{architecture.model_type}, {len(tokenizer)} tokens"))
        given = config.data.chat_template
        text = read_template_file(given) if given else ""
        template = template_of(tokenizer, text=text, origin=given)
        form = f"of the {template.origin}" if template.origin == "base" else template.origin
        checks.append(Check("template", True, f"{form}; an answer ends in {template.end}"))
        rows = Path(config.dataset) / config.data.train
        sequences, report = tokenize(rows, tokenizer, template, config.data)
    except TrainingError as error:
        first = "rows" if config.scratch else "base"  # a tokenizer is built from rows
        name = (first, "template", "rows")[len(checks) - 1]
        return [*checks, Check(name, False, str(error))]
    found = report.to_json()
    detail = f"{report.kept} of {report.rows} rows, tokens {found['length']}; {left_out(found)}"
    longest = max((len(s.input_ids) for s in sequences), default=0)
    evaluation = evaluation_of(config, tokenizer, template)
    wrong = unfit(config, sequences, evaluation, architecture)
    if not evaluation:
        detail += f"; no {config.data.evaluation}: nothing is evaluated, the last step is kept"
    detail += f"; {wrong}" if wrong else ""
    checks.append(Check("rows", longest > 0 and not wrong, detail))
    if not longest:
        return checks
    try:
        needed = estimate(
            config,
            architecture,
            precision=precision_of(config),
            longest=longest,
            device=hardware.device_kind(),
        )
    except TrainingError as error:
        return [*checks, Check("adapter", False, str(error))]
    checks += [_memory(needed), _disk(config, needed, architecture)]
    if not (config.scratch or is_here(config.base, config.revision)):
        checks.append(_download(architecture))
    if steps and all(check.passed for check in checks):
        checks.append(_time(config, report, steps, price))
    return checks


def base_of(config: Config) -> tuple[Any, Any]:
    """The tokenizer and the architecture of the base that is there, or will be built.

    Raises:
        TrainingError: it cannot be used.
    """
    if config.scratch:
        rows = Path(config.dataset) / config.data.train
        tokenizer = build_tokenizer(texts_of(rows), config.scratch.vocabulary)
        return tokenizer, scratch_architecture(config.scratch, len(tokenizer))
    tokenizer = load_tokenizer(config.base, config.revision)
    architecture = architecture_of(config.base, config.revision)
    check_architecture(config, architecture)
    folder = Path(config.base)
    if folder.is_dir() and not any(True for kind in WEIGHTS for _ in folder.glob(kind)):
        raise TrainingError(f"the base {config.base!r} has no weights, {' or '.join(WEIGHTS)}")
    return tokenizer, architecture


def _memory(needed: Memory) -> Check:
    free = hardware.free_memory()
    return Check(
        "memory", needed.total <= free, f"needs about {needed}; {free / 1e9:.2f} GB are free"
    )


def _output(config: Config) -> Check:
    try:
        check_place(config)
    except TrainingError as error:
        return Check("output", False, str(error))
    return Check("output", True, "free, and may be written to")


def _disk(config: Config, needed: Memory, architecture: Any) -> Check:
    """For checkpoints, and a base that is built: it lies in the run, and in the adapter."""
    built = 4 * parameters_of(architecture) if config.scratch else 0  # bytes, in fp32
    size = int((adapter_bytes(needed) * (config.train.keep + 3) + BASES * built) * SPARE)
    return _room("disk", size, Path(config.output))


def _download(architecture: Any) -> Check:
    """For the base's weights, which are not on this machine yet."""
    from huggingface_hub import constants

    width = architecture.dtype.itemsize if architecture.dtype else BYTES["fp32"]
    size = int(parameters_of(architecture) * width * SPARE)
    return _room("download", size, Path(constants.HF_HUB_CACHE))


def _room(name: str, size: int, folder: Path) -> Check:
    """Whether so many bytes are free where a folder is, or will be."""
    there = nearest(folder)
    free = shutil.disk_usage(there).free
    detail = f"needs about {size / 1e6:.0f} MB in {there}; {free / 1e6:.0f} MB are free"
    return Check(name, size <= free, detail)


def _time(config: Config, report: TokenReport, steps: int, price: float) -> Check:
    """How long the run will take, from ``steps`` of it."""
    from training.measure import measure

    if not config.scratch and not is_here(config.base, config.revision):
        detail = f"not known: the weights of {config.base} are not on this machine yet"
        return Check("time", True, detail)
    try:
        speed = measure(config, steps)
    except TrainingError as error:
        return Check("time", False, str(error))
    run = config.train
    tokens = run.epochs * report.tokens
    if run.max_steps:
        packed = config.data.packing
        each = config.data.max_length if packed else report.tokens / report.sequences
        tokens = min(tokens, run.max_steps * run.batch_size * run.accumulation * each)
    hours = tokens / speed.tokens_per_second / 3600
    cost = f", {hours * price:.2f} at {price:g} an hour" if price else ""
    span = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
    return Check(
        "time",
        True,
        f"about {span}{cost}: {tokens:.0f} tokens at {speed.tokens_per_second:.0f} a "
        f"second in {steps} steps, which held {speed.peak_bytes / 1e9:.2f} GB; evaluations, saves"
        f"{' and building the base' if config.scratch else ''} come on top",
    )
