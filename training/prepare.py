"""What a run starts from: the base, its tokenizer and template, and the tokens of the dataset."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training import hardware
from training.checkpoints import problems
from training.data import tokenize
from training.errors import TrainingError
from training.hugging_face import is_at_hand
from training.origin import dataset_digest
from training.output import BASE, check_data
from training.processes import count
from training.scratch import build_base
from training.template import template_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.config import Config
    from training.data import Sequence, TokenReport
    from training.runlog import RunLog
    from training.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a run starts from: the base, its tokenizer and template, and the tokens.

    ``dataset`` is the digest that names what the tokens are of, ``multiple`` is what the lengths
    of batches are padded to multiples of.
    """

    base: str
    tokenizer: Any
    template: Template
    train: list[Sequence]
    evaluation: list[Sequence]
    reports: list[TokenReport]
    dataset: str
    multiple: int


def prepare(config: Config, log: RunLog) -> Prepared:
    """Load or build the base's tokenizer, and make tokens of the rows.

    Raises:
        TrainingError: the base or the dataset cannot be used.
    """
    base = config.base
    if config.scratch:
        base = str((Path(config.output) / BASE).resolve())
        if not Path(base).is_dir() or problems(Path(base)):
            shutil.rmtree(base, ignore_errors=True)
            build_base(config, Path(base), _base_logger(log))
    tokenizer = load_tokenizer(base, config.revision)
    architecture = architecture_of(base, config.revision)
    check_architecture(config, architecture)
    check_targets(config, architecture)
    given = config.data.chat_template
    text = read_template_file(given) if given else ""
    template = template_of(tokenizer, text=text, origin=given)
    reports: list[TokenReport] = []
    splits: list[list[Sequence]] = []
    for name in (config.data.train, config.data.evaluation):
        path = Path(config.dataset) / name
        if name == config.data.evaluation and not path.is_file():
            splits.append([])
            continue
        sequences, report = tokenize(path, tokenizer, template, config.data)
        check_data(Path(config.output), name, report.sha256)
        reports.append(report)
        splits.append(sequences)
        log("data", name=name, **report.to_json())
    if not splits[0]:
        reasons = ", ".join(f"{n} x {why}" for why, n in reports[0].dropped.items()) or "no rows"
        raise TrainingError(f"{reports[0].path} has nothing to learn from: {reasons}")
    if wrong := unfit(config, splits[0], splits[1], architecture):
        raise TrainingError(f"{config.dataset}: {wrong}")
    files = {Path(report.path).name: report.sha256 for report in reports}
    digest = dataset_digest(Path(config.dataset), files)
    log(
        "start",
        base=base,
        dataset=digest,
        processes=count(),
        template=template.origin,
        end=template.end,
        system=template.system,
        device=hardware.device(),
        precision=precision_of(config),
    )
    return Prepared(
        base=base,
        tokenizer=tokenizer,
        template=template,
        train=splits[0],
        evaluation=splits[1],
        reports=reports,
        dataset=digest,
        multiple=multiple_of(config, architecture, precision_of(config), hardware.device_kind()),
    )


def load_tokenizer(base: str, revision: str = "") -> Any:
    """The tokenizer of a base.

    Raises:
        TrainingError: there is no such base, or it may not be read.
    """
    from transformers import AutoTokenizer

    if not Path(base).is_dir() and (base[:1] in "./~" or base.count("/") > 1):
        raise TrainingError(
            f"the base {base!r} is no folder that is there: name one that holds a model, or the "
            "id of a model on the Hub, as org/name"
        )
    try:
        return AutoTokenizer.from_pretrained(
            base, revision=revision or None, local_files_only=is_at_hand(base)
        )
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0].strip()
        why = "it has no tokenizer." if why.endswith(":") else why  # a list would follow
        raise TrainingError(
            f"the base {base!r} cannot be read: {why} "
            "Name a folder that holds a model, or the id of one whose licence you have accepted"
        ) from error


def architecture_of(base: str, revision: str = "") -> Any:
    """The transformers configuration of a base.

    Raises:
        TrainingError: it cannot be read.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(
            base, revision=revision or None, local_files_only=is_at_hand(base)
        )
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"the base {base!r} has an architecture that cannot be read: "
            f"{str(error).strip().splitlines()[0]} Name another base, or update transformers"
        ) from error


def check_architecture(config: Config, architecture: Any) -> None:
    """Refuse a base that cannot be trained as the configuration says.

    Raises:
        TrainingError: it is no causal language model, or is quantised already.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if architecture.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise TrainingError(
            f"the base {config.base!r} is a {architecture.model_type}, which is no causal language "
            "model that transformers knows: name another base"
        )
    method = _quantised_by(architecture)
    if method and not config.quantization:
        _check_loadable(config.base, architecture)
    if config.quantization and method not in ("", "bitsandbytes"):
        raise TrainingError(
            f"the base {config.base!r} is quantised by {method} already and cannot be quantised "
            "again: set quantization = null, or name the base that it was made from"
        )


def check_targets(config: Config, architecture: Any) -> None:
    """PEFT adapts the layers that it finds, and says nothing of a name that is none.

    Raises:
        TrainingError: a layer of ``lora.target_modules`` is not there; names those that are.
    """
    targets = config.lora.target_modules
    if isinstance(targets, str):
        return
    import torch
    from transformers.pytorch_utils import Conv1D

    layers = [
        name
        for name, module in _without_memory(architecture).named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D | torch.nn.Embedding)
    ]
    unknown = [t for t in targets if not any(n == t or n.endswith(f".{t}") for n in layers)]
    if unknown:
        known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
        raise TrainingError(
            f"lora.target_modules = {unknown[0]!r} is no layer of the base, which has {known}"
        )


def _check_loadable(base: str, architecture: Any) -> None:
    """Whether the package is here that reads weights which are quantised already.

    Raises:
        TrainingError: it is not.
    """
    from transformers.quantizers.auto import AutoHfQuantizer

    try:
        quantizer = AutoHfQuantizer.from_config(architecture.quantization_config)
        quantizer.validate_environment(device_map=None)
    except (RuntimeError, ValueError):  # of hardware: not asked where it only starts from here
        return
    except ImportError as error:
        raise TrainingError(
            f"the base {base!r} is quantised, and cannot be loaded here: "
            f"{str(error).strip().splitlines()[0]}. Name the base that it was made from"
        ) from error


def _quantised_by(architecture: Any) -> str:
    """The method by which a base's stored weights are quantised; empty: they are not."""
    stored = getattr(architecture, "quantization_config", None)
    return str((stored or {}).get("quant_method") or ("another method" if stored else ""))


def evaluation_of(config: Config, tokenizer: Any, template: Template) -> list[Sequence]:
    """The rows that a run is evaluated by; none where there is no file of them."""
    path = Path(config.dataset) / config.data.evaluation
    if not path.is_file():
        return []
    return tokenize(path, tokenizer, template, config.data)[0]


def unfit(
    config: Config, train: list[Sequence], evaluation: list[Sequence], architecture: Any
) -> str:
    """Why a run with these rows would be refused, and the way out; empty: it would not."""
    if config.train.patience and not evaluation:
        return (
            f"train.patience = {config.train.patience} needs evaluation rows, and "
            f"{Path(config.dataset) / config.data.evaluation} has none: set it to 0, or name a "
            "file as data.evaluation (`[dataset] validation_share` makes one)"
        )
    learned, held_out = config.data.train, config.data.evaluation
    wrong = (
        f"{name}: {why}"
        for name, sequences in ((learned, train), (held_out, evaluation))
        for why in (beyond_context(sequences, architecture), beyond_words(sequences, architecture))
        if why
    )
    return next(wrong, "")


def beyond_context(sequences: list[Sequence], architecture: Any) -> str:
    """Which sequences the base has no positions for, and the way out; empty: none."""
    context = context_of(architecture)
    over = sum(len(s.input_ids) > context for s in sequences) if context else 0
    if not over:
        return ""
    return f"{over} longer than the base's context: set data.max_length = {context}"


def beyond_words(sequences: list[Sequence], architecture: Any) -> str:
    """Whether the tokenizer makes tokens that the base has no vectors for; empty: it does not."""
    most = max((int(np.max(s.input_ids)) for s in sequences if len(s.input_ids)), default=0)
    words = architecture.get_text_config().vocab_size
    if most < words:
        return ""
    return (
        f"the tokenizer makes the token {most}, and the base has {words}: name the tokenizer's own "
        "base, or one whose embeddings were resized for it"
    )


def context_of(architecture: Any) -> int:
    """Tokens that a base has positions for; 0: any number."""
    return getattr(architecture.get_text_config(), "max_position_embeddings", None) or 0


def multiple_of(config: Config, architecture: Any, precision: str, device: str) -> int:
    """What the lengths of batches are padded to multiples of: what is good for the hardware, but
    never beyond ``data.max_length`` or the base's positions."""
    return math.gcd(
        hardware.length_multiple(precision, device),
        config.data.max_length,
        context_of(architecture),
    )


def parameters_of(architecture: Any) -> int:
    """How many weights a base of this architecture has; none is made."""
    return sum(weight.numel() for weight in _without_memory(architecture).parameters())


def _without_memory(architecture: Any) -> Any:
    """A model whose weights have a shape alone."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(architecture)


def precision_of(config: Config) -> str:
    """bf16, fp16 or fp32."""
    return hardware.precision() if config.train.precision == "auto" else config.train.precision


def read_template_file(path: str) -> str:
    """A chat template of the user's own.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"data.chat_template = {path!r} cannot be read: {error}") from error


def _base_logger(log: RunLog) -> Callable[[int, int, float], None]:
    """Logs every tenth step of building a base."""

    def on_step(step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            log("base", step=step, steps=steps, loss=loss)

    return on_step
