"""An adapter in the forms that other programs take, each a folder that appears whole.

"merged" is the base with the adapter in its weights, for any backend, Ollama among them. "ollama"
is a Modelfile over the base, which is only read when Ollama runs it. "unsloth" is what the adapter
was trained on and with, to train it again there.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from training.adapter import base_of
from training.checkpoints import digest, publish
from training.data import alpaca_messages, kind_of
from training.errors import TrainingError
from training.go_template import begin_token, go_template
from training.hugging_face import is_at_hand
from training.output import ORIGIN
from training.prepare import load_tokenizer
from training.template import read_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.template import Template

OLLAMA_ADAPTS = ("llama", "mistral", "gemma2")  # architectures whose adapters Ollama converts
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"  # Unsloth knows no "all-linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written: bytes by file, and what to do with it."""

    folder: str
    files: dict[str, int]
    next: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export(adapter: Path, out: Path, *, form: str, base: str = "") -> Exported:
    """Write the adapter in ``adapter`` as a new folder ``out``.

    Args:
        adapter: What a run left.
        out: Must not be there yet.
        form: "merged", "ollama" or "unsloth".
        base: Where the base lies now, a folder or an id, for Ollama also a model's name there; by
            default where it lay at training.

    Raises:
        TrainingError: ``out`` is there or cannot be written, the base or the dataset is not there,
            or the form cannot hold this adapter.
    """
    if out.exists():
        raise TrainingError(f"{out} is there already: name another folder")
    made = json.loads((adapter / ORIGIN).read_text(encoding="utf-8"))
    partial = out.with_name(f".{out.name}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        said = FORMS[form](adapter, partial, base or base_of(adapter), made)
        publish(partial, out)
    except OSError as error:
        raise TrainingError(f"{out} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sizes = {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}
    return Exported(folder=str(out), files=dict(sorted(sizes.items())), next=_with_place(said, out))


def _with_place(said: str, out: Path) -> str:
    """``OUT`` and files in it as a shell takes them, whatever characters the folder's name has."""
    return re.sub(r"\bOUT(/\w+)?\b", lambda found: shlex.quote(f"{out}{found[1] or ''}"), said)


def _merged(adapter: Path, out: Path, base: str, made: dict[str, Any]) -> str:
    """The base's own precision; the adapter may have been trained on quantised weights."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tokenizer, template = load_tokenizer(str(adapter)), read_template(adapter)
    revision = made["config"].get("revision") or None
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base, revision=revision, dtype="auto", local_files_only=is_at_hand(base)
        )
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload(safe_merge=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise TrainingError(
            f"the adapter cannot be merged into the base {base}: {str(error).splitlines()[0]} "
            "Name the base that it was trained on with --base"
        ) from error
    merged.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(template.stops))
    merged.save_pretrained(out)
    tokenizer.chat_template = template.text
    tokenizer.save_pretrained(out)
    template.write(out)
    try:
        _write_modelfile(out, "FROM .", template, tokenizer)
    except TrainingError as error:
        return f"a whole model: any backend loads OUT; it has no Modelfile, for {error}"
    return "a whole model: any backend loads OUT; ollama create NAME -f OUT/Modelfile"


def _ollama(adapter: Path, out: Path, base: str, _made: dict[str, Any]) -> str:
    place, model = Path(base), ""
    if place.is_dir():
        base = str(place.resolve())
        try:
            config = json.loads((place / "config.json").read_text(encoding="utf-8"))
            model = str(config["model_type"])
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(
                f"{place} is no model: config.json says no type ({error})"
            ) from error
    elif "/" in base:
        raise TrainingError(
            f"Ollama cannot fetch the base {base}: give --base, a folder with its files (`hf "
            f"download {base} --local-dir DIR`) or the model's name at Ollama, such as llama3.2:1b"
        )
    if model and model not in OLLAMA_ADAPTS:
        raise TrainingError(
            f"Ollama takes adapters of {', '.join(OLLAMA_ADAPTS)} alone, and {base} is of {model}: "
            "use --to merged, which has a Modelfile too"
        )
    (out / "adapter").mkdir()
    shutil.copyfile(adapter / SETTINGS, out / "adapter" / SETTINGS)
    # Ollama 0.13 overlooks weights of PEFT's own name (its issue 13314).
    shutil.copyfile(adapter / WEIGHTS, out / "adapter" / "model.safetensors")
    head = f'FROM "{base}"\nADAPTER ./adapter'
    _write_modelfile(out, head, read_template(adapter), load_tokenizer(str(adapter)))
    return "ollama create NAME -f OUT/Modelfile"


def _write_modelfile(out: Path, head: str, template: Template, tokenizer: Any) -> None:
    text = go_template(template, tokenizer)
    lines = [head, f'TEMPLATE """{text}"""']
    lines += [f'PARAMETER stop "{stop}"' for stop in template.stops]
    if begin := begin_token(tokenizer):
        lines.insert(0, f"# Ollama itself puts {begin} before the prompt.")
    (out / "Modelfile").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _unsloth(_adapter: Path, out: Path, base: str, made: dict[str, Any]) -> str:
    config, names = made["config"], []
    for part in made["data"]:
        path = Path(part["path"])
        if not path.is_file() or digest(path) != part["sha256"]:
            raise TrainingError(
                f"{path} is not what the adapter learned from any more: build the dataset again, "
                "with the index and settings of then"
            )
        names.append(path.name)
        rows = [json.loads(line) for line in path.read_bytes().splitlines() if line]
        with (out / path.name).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in _rows(rows, path))
    lora, train, data = config["lora"], config["train"], config["data"]
    modules = lora["target_modules"]
    settings = {
        "model": base,
        "data": {"local_dataset": names[:1], "format_type": "chatml"},
        "training": {
            "max_seq_length": data["max_length"],
            "load_in_4bit": (config["quantization"] or {}).get("bits") == 4,
            "num_epochs": math.ceil(train["epochs"]),
            "max_steps": train["max_steps"],
            "learning_rate": train["learning_rate"],
            "batch_size": train["batch_size"],
            "gradient_accumulation_steps": train["accumulation"],
            "warmup_steps": math.ceil(train["warmup"] * made["steps"]),
            "weight_decay": train["weight_decay"],
            "random_seed": train["seed"],
            "packing": data["packing"],
            "train_on_completions": True,
        },
        "lora": {
            "lora_r": lora["r"],
            "lora_alpha": lora["alpha"],
            "lora_dropout": lora["dropout"],
            "target_modules": LINEAR if modules == "all-linear" else ",".join(modules),
        },
    }
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    head = "# unsloth train --config config.yaml, in this folder\n"
    (out / "config.yaml").write_text(head + text, encoding="utf-8")
    return "cd OUT && unsloth train --config config.yaml"


def _rows(rows: list[dict[str, Any]], path: Path) -> Iterator[dict[str, Any]]:
    """Rows as messages."""
    for number, row in enumerate(rows, 1):
        kind = kind_of(row)
        if kind == "messages":
            messages = row["messages"]
        elif kind == "prompt-completion":
            messages = [*row["prompt"], *row["completion"]]
        elif kind == "alpaca":
            asked, answer = alpaca_messages(row)
            messages = [*asked, {"role": "assistant", "content": answer}]
        else:
            raise TrainingError(f"{path}, row {number}: Unsloth has no form for rows of {kind}")
        yield {"messages": messages}


FORMS = {"merged": _merged, "ollama": _ollama, "unsloth": _unsloth}
