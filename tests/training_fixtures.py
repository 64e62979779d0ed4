"""Small real tokenizers, chat templates of known families, and rows to train on."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

# From the model cards and tokenizer_config.json of each family; the others ship with TRL.
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
    "{% endfor %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
DEEPSEEK_CODER = (
    "{{ bos_token }}{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{{ message['content'] }}"
    "{%- elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n' }}"
    "{%- else %}{{ '### Response:\n' + message['content'] + '\n<|EOT|>\n' }}{%- endif %}"
    "{%- endfor %}{% if add_generation_prompt %}{{ '### Response:' }}{% endif %}"
)
# Family: its template, the token that ends an answer, the tokenizer's end token and its others.
FAMILIES: dict[str, tuple[str, str, str, list[str]]] = {
    "chatml": ("qwen2_5.jinja", "<|im_end|>", "<|im_end|>", ["<|im_start|>", "<|endoftext|>"]),
    "llama-3": (
        "llama3.jinja",
        "<|eot_id|>",
        "<|eot_id|>",
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"],
    ),
    "llama-3.2": (
        "llama3_2.jinja",
        "<|eot_id|>",
        "<|eot_id|>",
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"],
    ),
    "mistral": (MISTRAL, "</s>", "</s>", ["<s>"]),
    "gemma": ("gemma.jinja", "<end_of_turn>", "<eos>", ["<bos>", "<start_of_turn>"]),
    "phi-3": (
        "phi3.jinja",
        "<|end|>",
        "<|endoftext|>",
        ["<s>", "<|user|>", "<|assistant|>", "<|system|>"],
    ),
    "deepseek": (
        "deepseekv3.jinja",
        "<｜end▁of▁sentence｜>",  # noqa: RUF001
        "<｜end▁of▁sentence｜>",  # noqa: RUF001
        ["<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"],  # noqa: RUF001
    ),
    "deepseek-coder": (DEEPSEEK_CODER, "<|EOT|>", "<|EOT|>", ["<｜begin▁of▁sentence｜>"]),  # noqa: RUF001
    "zephyr": (ZEPHYR, "</s>", "</s>", ["<s>"]),
    "none": ("", "</s>", "</s>", ["<s>"]),
}


def template_text(name: str) -> str:
    """A template of TRL's by the name of its file, without importing TRL."""
    if not name.endswith(".jinja"):
        return name
    spec = importlib.util.find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "chat_templates" / name).read_text(encoding="utf-8")


def tokenizer(family: str, texts: list[str] | None = None, *, vocabulary: int = 400) -> Any:
    """A byte-level tokenizer with the special tokens and the template of a family."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    template, end, eos, others = FAMILIES[family]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys([*others, end, eos]))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(texts or [json.dumps(row) for row in rows(20)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=eos,
        bos_token=others[0],
        pad_token=eos,  # as many bases have it; labels must not depend on it
        chat_template=template_text(template) or None,
    )


def rows(count: int, *, system: bool = False) -> list[dict[str, Any]]:
    """Rows in the form that a dataset build writes: a question, and a function that answers it."""
    verbs, things = ("open", "close", "count", "merge"), ("file", "order", "user", "page", "price")
    made = []
    for at in range(count):
        name = f"{verbs[at % 4]}_{things[at // 4 % 5]}_{at}"
        prompt = [{"role": "user", "content": f"Write the python function `{name}`."}]
        if system:
            prompt.insert(0, {"role": "system", "content": "Answer with code alone."})
        code = f"def {name}(value):\n    return {at} + value\n"
        made.append({"prompt": prompt, "completion": [{"role": "assistant", "content": code}]})
    return made


def write_rows(path: Path, made: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    return path


def adapter_folder(
    path: Path, *, base: str = "team/base", data: str = "1", step: int = 4, ballast: int = 4
) -> Path:
    """A folder in the form that a run leaves, with a few weights; ``step`` is in them."""
    import numpy as np
    from safetensors.numpy import save_file

    from training.checkpoints import publish

    partial = path.with_name(f".{path.name}")
    partial.mkdir(parents=True)
    save_file({"lora_A": np.full(ballast, step, np.float32)}, partial / "adapter_model.safetensors")
    made = {
        "base": base,
        "config": {"base": base, "train": {"epochs": 4}},
        "dataset": data,
        "data": [{"path": "out/train.jsonl", "sha256": data}],
        "metrics": {"loss": 1.5},
        "step": step,
    }
    (partial / "training.json").write_text(json.dumps(made))
    (partial / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    (partial / "template.json").write_text(json.dumps({"text": "", "stops": ["</s>"]}))
    publish(partial, path)
    return path
