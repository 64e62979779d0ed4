"""A small base model and its tokenizer, built from the dataset itself.

So that a whole run, and all that comes after it, works on two cores with no download. It is a
Llama of a few million parameters, trained for some minutes on the rows as text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.checkpoints import publish
from training.data import has_lone_surrogate, tokenize
from training.errors import TrainingError
from training.template import template_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from training.config import Config, Scratch

TEXTS = frozenset({"prompt", "completion", "content", "instruction", "input", "output", "text"})
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")


def build_base(
    config: Config, folder: Path, on_step: Callable[[int, int, float], None] | None = None
) -> Path:
    """Build the base that ``config.scratch`` describes; returns ``folder``, which holds it whole.

    Args:
        config: Of the run; the rows are those that the adapter learns from.
        folder: Must not exist yet.
        on_step: Called with the steps done, all steps and the loss.

    Raises:
        TrainingError: the dataset has no text to learn from.
    """
    assert config.scratch is not None
    rows = Path(config.dataset) / config.data.train
    tokenizer = build_tokenizer(texts_of(rows), config.scratch.vocabulary)
    whole = config.data.model_copy(update={"too_long": "split"})
    sequences, _ = tokenize(rows, tokenizer, template_of(tokenizer), whole)
    if not sequences:
        raise TrainingError(f"{rows} has no row to build a base from")
    stream = np.concatenate([sequence.input_ids for sequence in sequences])
    model = _pretrain(stream, len(tokenizer), config.scratch, config.train.seed, on_step)
    partial = folder.with_name(f".{folder.name}")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    publish(partial, folder)
    return folder


def build_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer with ChatML's tokens and template; every text has an encoding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END, *FIM],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, chat_template=CHATML
    )


def architecture_of(scratch: Scratch, vocabulary: int) -> Any:
    """The transformers configuration of the base."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=scratch.hidden,
        intermediate_size=-(-scratch.hidden * 8 // 3 // 64) * 64,
        num_hidden_layers=scratch.layers,
        num_attention_heads=scratch.heads,
        num_key_value_heads=scratch.heads,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )


def _pretrain(
    stream: Any,
    vocabulary: int,
    scratch: Scratch,
    seed: int,
    on_step: Callable[[int, int, float], None] | None,
) -> Any:
    """Next-token prediction on random windows of ``stream``."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM(architecture_of(scratch, vocabulary))
    optimizer = torch.optim.AdamW(model.parameters(), lr=scratch.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, scratch.learning_rate, total_steps=scratch.steps + 1, pct_start=0.1
    )
    draw = np.random.default_rng(seed)
    length = min(scratch.length, len(stream) - 1)
    tokens = torch.from_numpy(stream.astype(np.int64))
    for step in range(1, scratch.steps + 1):
        starts = draw.integers(0, len(stream) - length, scratch.batch_size)
        batch = torch.stack([tokens[at : at + length] for at in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if on_step:
            on_step(step, scratch.steps, loss.item())
    return model.eval()


def texts_of(path: Path) -> Iterator[str]:
    """Every text of the rows that is learned from; a line that is no JSON is reported later."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    for line in lines:
        try:
            if not has_lone_surrogate(line):
                yield from _strings(json.loads(line))
        except (ValueError, RecursionError):
            continue


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            if key == "messages" or (key in TEXTS and isinstance(part, list)):
                yield from _strings(part)
            elif key in TEXTS and isinstance(part, str):
                yield part
