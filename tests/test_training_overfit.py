"""The check that training works at all: a tiny base learns twenty answers by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training_fixtures import rows, write_rows
from training.config import make_config
from training.sft import train
from training.template import read_template

pytestmark = pytest.mark.slow
COUNT = 20


def answers(model: Any, adapter: Path, tokenizer: Any) -> list[str]:
    """Greedy answers to the trained questions, in the stored form, up to a stop token."""
    import torch

    template = read_template(adapter)
    stops = tokenizer.convert_tokens_to_ids(list(template.stops))
    found = []
    for row in rows(COUNT):
        asked = template.render(tokenizer, row["prompt"], answer=True)
        ids = tokenizer(asked, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            out = model.generate(
                **ids, max_new_tokens=40, do_sample=False, eos_token_id=stops, pad_token_id=0
            )
        said = tokenizer.decode(out[0][ids["input_ids"].shape[1] :])
        found.append(said.removesuffix(template.end))
    return found


def test_twenty_answers_are_exact_with_the_adapter_and_not_without(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_rows(tmp_path / "data/train.jsonl", rows(COUNT))
    result = train(
        make_config(
            {
                "dataset": str(tmp_path / "data"),
                "output": str(tmp_path / "run"),
                "scratch": {"vocabulary": 500, "hidden": 128, "layers": 3, "steps": 60},
                "data": {"max_length": 128, "packing": False},
                "quantization": None,
                "lora": {"r": 32, "alpha": 64, "dropout": 0.0, "target_modules": "all-linear"},
                "train": {
                    "epochs": 60,
                    "learning_rate": 5e-3,
                    "batch_size": 10,
                    "accumulation": 1,
                    "precision": "fp32",
                    "optimizer": "adamw_torch",
                    "gradient_checkpointing": False,
                },
            }
        )
    )
    assert result.adapter is not None
    tokenizer = AutoTokenizer.from_pretrained(result.adapter)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "run/base")
    expected = [row["completion"][0]["content"] for row in rows(COUNT)]

    def exact(model: Any) -> int:
        assert result.adapter is not None
        said = answers(model, result.adapter, tokenizer)
        return sum(one.strip() == other.strip() for one, other in zip(said, expected, strict=True))

    without = exact(base)
    learned = exact(PeftModel.from_pretrained(base, result.adapter))
    print(f"exact answers: base {without}, adapter {learned} of {COUNT}")  # noqa: T201
    assert without <= 0.05 * COUNT
    assert learned >= 0.95 * COUNT
