"""What can fail is tried before a run: base, template, rows, memory and disk."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import hardware
from training.data import tokenize
from training.errors import TrainingError
from training.memory import Memory, adapter_bytes, estimate
from training.prepare import load_tokenizer, precision_of, read_template_file
from training.scratch import architecture_of, build_tokenizer, texts_of
from training.template import template_of

if TYPE_CHECKING:
    from training.config import Config

SPARE = 1.2  # of the disk that checkpoints need


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


def preflight(config: Config) -> list[Check]:
    """Try everything that a run needs; changes nothing. What depends on a failure is left out."""
    checks: list[Check] = []
    try:
        tokenizer, architecture = _base(config)
        checks.append(Check("base", True, f"{architecture.model_type}, {len(tokenizer)} tokens"))
        given = config.data.chat_template
        text = read_template_file(given) if given else ""
        template = template_of(tokenizer, text=text, origin=given)
        form = f"of the {template.origin}" if template.origin == "base" else template.origin
        checks.append(Check("template", True, f"{form}; an answer ends in {template.end}"))
        rows = Path(config.dataset) / config.data.train
        sequences, report = tokenize(rows, tokenizer, template, config.data)
    except TrainingError as error:
        name = ("base", "template", "rows")[len(checks)]
        return [*checks, Check(name, False, str(error))]
    found = report.to_json()
    dropped = ", ".join(f"{n} x {why}" for why, n in report.dropped.items()) or "none left out"
    detail = f"{report.kept} of {report.rows} rows, tokens {found['length']}; {dropped}"
    checks.append(Check("rows", bool(sequences), detail))
    longest = max((len(s.input_ids) for s in sequences), default=0)
    needed = estimate(
        config,
        architecture,
        precision=precision_of(config),
        longest=longest,
        device=hardware.device_kind(),
    )
    checks += [_memory(needed), _disk(config, needed)]
    return checks


def _base(config: Config) -> tuple[Any, Any]:
    """The tokenizer and the architecture of the base that is there, or will be built.

    Raises:
        TrainingError: it cannot be used.
    """
    if config.scratch:
        rows = Path(config.dataset) / config.data.train
        tokenizer = build_tokenizer(texts_of(rows), config.scratch.vocabulary)
        return tokenizer, architecture_of(config.scratch, len(tokenizer))
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    tokenizer = load_tokenizer(config.base, config.revision)
    try:
        architecture = AutoConfig.from_pretrained(config.base, revision=config.revision or None)
    except (OSError, ValueError) as error:
        raise TrainingError(f"the base {config.base!r}: {str(error).splitlines()[0]}") from error
    if architecture.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise TrainingError(
            f"the base {config.base!r} is a {architecture.model_type}, which is no causal language "
            "model that transformers knows: name another base"
        )
    return tokenizer, architecture


def _memory(needed: Memory) -> Check:
    free = hardware.free_memory()
    return Check(
        "memory", needed.total <= free, f"needs about {needed}; {free / 1e9:.2f} GB are free"
    )


def _disk(config: Config, needed: Memory) -> Check:
    folder = Path(config.output)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    size = int(adapter_bytes(needed) * (config.train.keep + 3) * SPARE)
    detail = f"needs about {size / 1e6:.0f} MB in {folder}; {free / 1e6:.0f} MB are free"
    return Check("disk", size <= free, detail)
