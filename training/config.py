"""The settings of a training run as a typed schema: every field is documented once, here.

A YAML file holds them, or a preset in ``training/presets``. Whatever is wrong with it, unknown
keys, values out of range and values that contradict each other, is named at once.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Format = Literal["auto", "prompt-completion", "messages", "alpaca", "text", "fim"]


# YAML 1.1 reads 2e-4, without a point, as a string.
Rate = Annotated[float, Field(gt=0, lt=1, strict=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(_Section):
    """How rows become tokens."""

    format: Format = Field(
        default="auto", description="of the rows; auto: what the columns of each row say"
    )
    train: str = Field(default="train.jsonl", description="the file in the dataset to learn from")
    evaluation: str = Field(
        default="validation.jsonl",
        description="the file to choose the best checkpoint by; it need not be there",
    )
    max_length: int = Field(default=2048, ge=16, le=1_048_576, description="tokens of a row")
    too_long: Literal["drop", "split"] = Field(
        default="drop",
        description="what happens to a longer row: it is left out, or its answer is learned in "
        "pieces, each after what stands before it",
    )
    packing: bool = Field(
        default=True, description="put several rows into one sequence; they do not see each other"
    )
    chat_template: str = Field(
        default="",
        description="a Jinja file to use instead of the base's own template; a base without one "
        "gets a plain one",
    )


class Quantization(_Section):
    """How the base's weights are held in memory (bitsandbytes)."""

    bits: Literal[4, 8] = Field(default=4, description="4 or 8")
    type: Literal["nf4", "fp4"] = Field(default="nf4", description="of 4-bit weights")
    double: bool = Field(default=True, description="quantise the scales of 4-bit weights too")


class Lora(_Section):
    """The adapter."""

    r: int = Field(default=16, ge=1, le=1024, description="rank")
    alpha: int = Field(default=32, ge=1, description="the update is scaled by alpha / r")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="share of inputs left out")
    target_modules: list[str] | Literal["all-linear"] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        description="names of layers, or all-linear: every one but the output layer",
    )


class Train(_Section):
    """The run."""

    epochs: float = Field(default=4, gt=0, description="passes over the rows")
    max_steps: int = Field(
        default=0, ge=0, description="most steps, where the epochs would take more; 0: by epochs"
    )
    learning_rate: Rate = Field(default=2e-4, description="at its highest")
    batch_size: int = Field(default=2, ge=1, description="sequences at a time on one device")
    accumulation: int = Field(default=8, ge=1, description="batches of one step")
    optimizer: Literal["adamw_8bit", "paged_adamw_8bit", "adamw_torch", "adamw_torch_fused"] = (
        Field(default="adamw_8bit", description="AdamW, with its state in 8 or in 32 bits")
    )
    scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        default="cosine", description="how the learning rate falls"
    )
    warmup: float = Field(
        default=0.03, ge=0, lt=1, description="share of the steps in which it rises"
    )
    weight_decay: float = Field(default=0.0, ge=0, lt=1, description="of AdamW")
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to it")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        default="auto", description="auto: bf16 where the hardware has it, else fp16 on a GPU"
    )
    gradient_checkpointing: bool = Field(
        default=True, description="compute activations twice instead of keeping them"
    )
    seed: int = Field(default=0, ge=0, description="of the adapter, the order and the dropout")
    strategy: Literal["epoch", "steps"] = Field(
        default="epoch", description="when a checkpoint is saved and evaluated"
    )
    save_steps: int = Field(default=100, ge=1, description="between checkpoints, where by steps")
    eval_steps: int = Field(
        default=100, ge=1, description="between evaluations, where by steps; each is saved"
    )
    keep: int = Field(
        default=2, ge=2, description="checkpoints that stay, beside the best: one may be damaged"
    )
    patience: int = Field(
        default=0, ge=0, description="evaluations without a better one that end the run; 0: none"
    )
    log_steps: int = Field(default=1, ge=1, description="steps between lines of the run's log")
    divergence: float = Field(
        default=2.0, gt=1, description="the run stops where its loss is so many times the first's"
    )
    out_of_memory: Literal["stop", "halve"] = Field(
        default="stop", description="halve: go on with half the batch and twice the accumulation"
    )


class Scratch(_Section):
    """A base built from the dataset itself, for runs without a download."""

    vocabulary: int = Field(default=4096, ge=300, le=65_536, description="tokens")
    hidden: int = Field(
        default=192, ge=64, multiple_of=64, description="width; blocks of 64 are quantised"
    )
    layers: int = Field(default=4, ge=1, description="depth")
    heads: int = Field(default=4, ge=1, description="of attention")
    steps: int = Field(default=200, ge=1, description="of training on the plain text")
    batch_size: int = Field(default=8, ge=1, description="sequences of a step")
    length: int = Field(default=256, ge=16, description="tokens of a sequence")
    learning_rate: Rate = Field(default=1e-3, description="at its highest")


class Config(_Section):
    """The whole of a run."""

    base: str = Field(
        default="", description="the base model: a folder, or an id on the Hugging Face Hub"
    )
    revision: str = Field(default="", description="of a base on the Hub; empty: the newest")
    scratch: Scratch | None = Field(default=None, description="build a base instead")
    dataset: str = Field(min_length=1, description="the folder with the splits, as JSON lines")
    output: str = Field(
        min_length=1, description="the folder of the run: log, checkpoints, adapter"
    )
    data: Data = Data()
    quantization: Quantization | None = Field(
        default=Quantization(), description="null: full-size weights"
    )
    lora: Lora = Lora()
    train: Train = Train()


def load_config(name: str, given: Mapping[str, Any] | None = None) -> Config:
    """The settings of a YAML file or of a shipped preset.

    Args:
        name: Path of the file, or name of the preset.
        given: Settings that take the place of the file's, by dotted name, as ``train.epochs``.

    Raises:
        TrainingError: there is no such file or preset, or it is not valid; names every problem.
    """
    path = Path(name)
    if not path.is_file() and name in presets():
        path = Path(str(files("training") / "presets" / f"{name}.yaml"))
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        known = ", ".join(presets())
        raise TrainingError(
            f"{name!r} is neither a file nor a preset; there are the presets {known}"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(settings, dict):
        raise TrainingError(f"{path} holds no settings, but a {type(settings).__name__}")
    for key, value in (given or {}).items():
        _place(settings, key.split("."), value)
    return make_config(settings, str(path))


def make_config(settings: Mapping[str, Any], source: str = "the settings") -> Config:
    """Check settings, as nested dictionaries.

    Raises:
        TrainingError: names every unknown key, value out of range and contradiction.
    """
    problems = list(_contradictions(settings))
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        problems = [_explain(problem) for problem in error.errors()] + problems
    if problems:
        raise TrainingError(f"{source}:\n" + "\n".join(f"  {problem}" for problem in problems))
    return config


def setting(text: str) -> tuple[str, Any]:
    """A dotted name and its value, from ``train.epochs=1``.

    Raises:
        TrainingError: it has another form.
    """
    key, found, value = text.partition("=")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise TrainingError(f"{text!r}: {value!r} cannot be read as a value") from error
    if not found or not key:
        raise TrainingError(f"{text!r} sets nothing: give it as KEY=VALUE, such as train.epochs=1")
    return key, parsed


def presets() -> list[str]:
    """Names of the shipped presets."""
    folder = files("training") / "presets"
    return sorted(Path(f.name).stem for f in folder.iterdir() if f.name.endswith(".yaml"))


def _contradictions(settings: Mapping[str, Any]) -> Iterator[str]:
    """Values that are right alone and wrong together; a wrong type is not this one's to name."""

    def value(section: str, key: str) -> Any:
        part = settings.get(section)
        sections: dict[str, type[BaseModel]] = {"train": Train, "scratch": Scratch}
        field = sections[section].model_fields[key]
        return part.get(key, field.default) if isinstance(part, dict) else field.default

    base, scratch = settings.get("base"), settings.get("scratch")
    if base and scratch is not None:
        yield f"base = {base!r} and scratch: a run has one base; remove one of them"
    if not base and scratch is None:
        yield "base: name a folder or a model id, or give 'scratch' to build a base"
    steps, evaluations = value("train", "save_steps"), value("train", "eval_steps")
    by_steps = value("train", "strategy") == "steps"
    if by_steps and isinstance(steps, int) and isinstance(evaluations, int) and steps > 0:
        if evaluations % steps:
            yield (
                f"train.eval_steps = {evaluations} is no multiple of train.save_steps = {steps}: "
                "what is evaluated has to be saved, or the best could not be kept"
            )
    elif not by_steps and isinstance(settings.get("train"), dict):
        named = [key for key in ("save_steps", "eval_steps") if _differs(settings, Train, key)]
        if named:
            yield f"train.{named[0]} is given, but train.strategy is 'epoch'; set it to 'steps'"
    constant = value("train", "scheduler") == "constant"
    if constant and value("train", "warmup") and _differs(settings, Train, "warmup"):
        yield "train.warmup is given, but train.scheduler = 'constant' has none"
    quantization = settings.get("quantization")
    if isinstance(quantization, dict) and quantization.get("bits") == 8:
        for key in ("type", "double"):
            if _differs(settings, Quantization, key):
                yield f"quantization.{key} is of 4-bit weights, but quantization.bits = 8"
    if scratch is not None:
        width, heads = value("scratch", "hidden"), value("scratch", "heads")
        if isinstance(width, int) and isinstance(heads, int) and heads > 0 and width % (2 * heads):
            yield f"scratch.hidden = {width} is no even multiple of scratch.heads = {heads}"


def _differs(settings: Mapping[str, Any], section: type[BaseModel], key: str) -> bool:
    """Whether a value is given that is not the default: the file of a run holds all of them."""
    part = settings.get(section.__name__.lower())
    default = section.model_fields[key].default
    return isinstance(part, dict) and part.get(key, default) != default


def _place(settings: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        part = settings.setdefault(key, {})
        if not isinstance(part, dict):
            part = settings[key] = {}
        settings = part
    settings[keys[-1]] = value


def _explain(problem: Any) -> str:
    """One line for one pydantic error: the key, the value, and what would be right."""
    location = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{location} is missing: {Config.model_fields[location].description}"
    if problem["type"] != "extra_forbidden":
        return f"{location} = {problem['input']!r}: {problem['msg']}"
    known = _keys(problem["loc"][:-1])
    close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    return f"unknown key {location!r}; {hint}"


def _keys(section: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for name in section:
        annotation = model.model_fields[str(name)].annotation
        for choice in (annotation, *get_args(annotation)):
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                model = choice
    return list(model.model_fields)
