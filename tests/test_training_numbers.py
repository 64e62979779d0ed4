"""What a run says of itself before it starts: memory, time, size; and how full packing fills it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training_fixtures import rows, tokenizer, write_rows
from training import hardware
from training.config import Config, load_config, make_config
from training.data import Sequence
from training.errors import TrainingError
from training.memory import adapter_bytes, estimate
from training.output import Stop
from training.preflight import preflight
from training.prepare import prepare
from training.runlog import RunLog
from training.sft import _dataset, train, trainer_of

LENGTH = 2048


def drawn(name: str) -> Any:
    """Lengths of 2,000 rows, as datasets have them."""
    draw = np.random.default_rng(0)
    lengths = {
        "like functions": draw.lognormal(5.2, 0.8, 2000),
        "like files": draw.lognormal(6.5, 0.9, 2000),
        "even": draw.uniform(16, 1500, 2000),
        "all alike": np.full(2000, 300),
    }[name]
    return np.clip(lengths, 16, LENGTH).astype(int)


@pytest.mark.parametrize(
    ("precision", "length", "lengths"),
    [("bf16", 128, {64}), ("bf16", 48, {48}), ("fp32", 128, {43})],
)
def test_batches_on_a_cpu_have_few_shapes_in_bf16_and_no_more_tokens_than_asked_for(
    base: Path, precision: str, length: int, lengths: set[int]
) -> None:
    """PyTorch keeps a compiled kernel for each shape that it has met."""
    if hardware.device_kind() != "cpu":
        pytest.skip("on a GPU nothing is kept for a shape")
    config = settings(
        base,
        data={"max_length": length, "packing": False},
        train={"precision": precision, "gradient_checkpointing": False},
    )
    log = RunLog(base.parent)
    trainer = trainer_of(config, prepare(config, log), log, Stop())
    shapes = [batch["input_ids"].shape[1] for batch in trainer.get_train_dataloader()]
    assert set(shapes) == lengths


@pytest.mark.parametrize(
    ("name", "full"), [("like functions", 0.98), ("like files", 0.98), ("even", 0.98)]
)
def test_packed_sequences_are_full_and_hold_every_token(name: str, full: float) -> None:
    from trl.data_utils import pack_dataset

    lengths = drawn(name)
    given = [Sequence(np.zeros(n, np.int32), np.zeros(n, np.int32)) for n in lengths]
    packed = pack_dataset(_dataset(given), LENGTH, "bfd")
    held = [len(ids) for ids in packed["input_ids"]]
    assert sorted(n for row in packed["seq_lengths"] for n in row) == sorted(lengths)
    assert max(held) <= LENGTH
    # The last sequence takes what is left over; it is no smaller for packing badly.
    assert sum(held) / (len(held) * LENGTH) >= full


def llama(**shape: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**shape)


def test_the_adapter_of_the_reference_preset_is_seven_megabytes() -> None:
    base = llama(  # of Llama-3.2-1B, as published
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    )
    config = load_config("llama-3.2-1b-qlora", {"dataset": "x", "output": "y"})
    needed = estimate(config, base, precision="bf16", longest=LENGTH, device="cuda")
    assert needed.adapter == 2 * 3_407_872
    assert adapter_bytes(needed) < 20e6
    assert 1.0e9 < needed.weights < 1.1e9  # half a byte a weight, and the vocabulary in bf16


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """GPT-2's layers are of another class than all others', and its context ends."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    tokenizer("none").save_pretrained(tmp_path / "base")
    shape = GPT2Config(vocab_size=500, n_positions=64, n_embd=64, n_layer=2, n_head=2)
    GPT2LMHeadModel(shape).save_pretrained(tmp_path / "base")
    write_rows(tmp_path / "data/train.jsonl", rows(8))
    return tmp_path / "base"


def settings(base: Path, **changed: Any) -> Config:
    folder = base.parent
    given = {"base": str(base), "dataset": str(folder / "data"), "output": str(folder / "run")}
    lora = {"target_modules": "all-linear"}
    data = {"max_length": 128, "packing": False}
    return make_config({**given, "lora": lora, "data": data, **changed})


def test_a_few_steps_say_how_long_a_run_takes_and_leave_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    before = sorted(tmp_path.rglob("*"))
    checks = preflight(settings(base), steps=2, price=1.5)
    assert all(check.passed for check in checks), checks
    assert checks[-1].name == "time"
    assert "1376 tokens" in checks[-1].detail  # 4 epochs of 8 rows of 43
    assert "at 1.5 an hour" in checks[-1].detail
    assert sorted(tmp_path.rglob("*")) == before


def test_layers_that_are_not_there_and_rows_past_the_context_are_named_before_the_run(
    base: Path,
) -> None:
    checks = preflight(settings(base, lora={"target_modules": ["q_proj"]}))
    assert not checks[-1].passed
    assert "q_proj" in checks[-1].detail
    long = [{"instruction": "Count.", "output": " ".join(map(str, range(60)))}]
    write_rows(base.parent / "data/train.jsonl", long)
    (failed,) = [check for check in preflight(settings(base)) if not check.passed]
    assert failed.name == "rows"
    said = "1 longer than the base's context: set data.max_length = 64"
    assert said in failed.detail
    with pytest.raises(TrainingError, match=said):  # and of a run that nothing was asked before
        train(settings(base))
    write_rows(base.parent / "data/train.jsonl", rows(8))
    write_rows(base.parent / "data/validation.jsonl", long)
    (failed,) = [check for check in preflight(settings(base)) if not check.passed]
    assert f"validation.jsonl: {said}" in failed.detail
    with pytest.raises(TrainingError, match=f"validation.jsonl: {said}"):
        train(settings(base))


def test_tokens_that_the_base_has_no_vectors_for_are_named_before_the_run(base: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = GPT2Config(vocab_size=40, n_positions=64, n_embd=64, n_layer=2, n_head=2)
    GPT2LMHeadModel(shape).save_pretrained(base)
    (failed,) = [check for check in preflight(settings(base)) if not check.passed]
    assert failed.name == "rows"
    assert re.search(r"makes the token \d+, and the base has 40: name", failed.detail)


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({"model_type": "hydra-9"}, "base", "model type `hydra-9` .* Name another base, or update"),
        (
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            "base",
            "is quantised by gptq already .* set quantization = null, or name the base",
        ),
    ],
)
def test_an_unknown_architecture_and_a_base_that_cannot_be_quantised_are_named_with_a_way_out(
    base: Path, changed: dict[str, Any], name: str, said: str
) -> None:
    said_of_it = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(said_of_it | changed))
    _, check = preflight(settings(base), steps=2)
    assert (check.name, check.passed) == (name, False)
    assert re.search(said, check.detail)


def test_a_quantised_base_that_needs_a_package_is_named_before_the_run(base: Path) -> None:
    stored = json.loads((base / "config.json").read_text())
    stored["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (base / "config.json").write_text(json.dumps(stored))
    _, check = preflight(settings(base, quantization=None), steps=2)
    assert not check.passed
    assert re.search("is quantised, and cannot be loaded here: .*optimum", check.detail)


def test_the_peak_of_a_process_is_its_own_and_not_its_parents() -> None:
    ballast = np.ones(600_000_000, dtype=np.uint8)
    asked = "from training.hardware import peak_memory; print(peak_memory())"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert int(said.stdout) < hardware.peak_memory() - 0.5 * len(ballast)
