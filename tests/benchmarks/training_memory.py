"""The estimate of a run's memory against the peak that the run really had.

    python -m tests.benchmarks.training_memory [--role calibrate|report]

Each run is what a user starts, `python -m training`: a base with random weights, eight steps, one
checkpoint. The bases that the factors of ``training/memory.py`` were chosen by are not those that
are reported.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.training_fixtures import rows, tokenizer, write_rows
from training.config import Config, make_config
from training.memory import estimate
from training.prepare import architecture_of
from training.runlog import read_log

STEPS = 8
LORA = {"r": 16, "alpha": 32, "target_modules": "all-linear"}


class Case(NamedTuple):
    """A base, by family, width, layers, width of the feed-forward part, heads, of them for keys,
    vocabulary; and the settings that decide about memory."""

    family: str
    shape: tuple[int, int, int, int, int, int]
    length: int
    batch: int
    packing: bool
    checkpointing: bool
    bits: int
    precision: str
    optimizer: str = "adamw_8bit"


CASES = {
    "calibrate": [
        Case("llama", (192, 4, 512, 4, 4, 1000), 512, 2, True, True, 4, "bf16"),
        Case("llama", (192, 4, 512, 4, 4, 16000), 512, 4, False, False, 0, "fp32", "adamw_torch"),
        Case("qwen2", (384, 8, 1024, 6, 2, 8192), 1024, 2, True, False, 4, "bf16"),
        Case("llama", (512, 8, 1408, 8, 4, 32000), 512, 1, True, True, 0, "fp32"),
        Case("qwen2", (768, 12, 2048, 12, 4, 64000), 256, 2, True, True, 4, "bf16"),
        Case("llama", (1024, 16, 2816, 16, 8, 50000), 256, 1, False, True, 4, "bf16"),
    ],
    "report": [
        Case("qwen2", (128, 6, 384, 4, 2, 4000), 1024, 2, True, True, 4, "bf16"),
        Case("llama", (256, 6, 704, 4, 4, 8000), 256, 8, False, True, 0, "bf16", "adamw_torch"),
        Case("llama", (320, 6, 896, 5, 5, 1000), 512, 2, False, False, 4, "fp32"),
        Case("qwen2", (448, 6, 1216, 7, 7, 50000), 256, 2, True, False, 0, "bf16"),
        Case("llama", (640, 8, 1728, 10, 5, 24000), 512, 1, True, False, 4, "bf16"),
        Case("qwen2", (768, 10, 2048, 12, 12, 100000), 256, 1, False, True, 4, "fp32"),
        Case("llama", (1024, 16, 2816, 16, 8, 32000), 128, 2, True, True, 4, "bf16"),
        Case("llama", (768, 8, 2048, 12, 6, 8000), 128, 1, False, False, 8, "fp32"),
    ],
}


def architecture(case: Case) -> Any:
    from transformers import LlamaConfig, Qwen2Config

    width, layers, inner, heads, keys, vocabulary = case.shape
    return {"llama": LlamaConfig, "qwen2": Qwen2Config}[case.family](
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        vocab_size=vocabulary,
        tie_word_embeddings=vocabulary % 3 == 1,
    )


def settings(case: Case, folder: Path) -> Config:
    return make_config(
        {
            "base": str(folder / "base"),
            "dataset": str(folder),
            "output": str(folder / "run"),
            "data": {"max_length": case.length, "packing": case.packing},
            "quantization": {"bits": case.bits} if case.bits else None,
            "lora": LORA,
            "train": {
                "max_steps": STEPS,
                "batch_size": case.batch,
                "accumulation": 1,
                "precision": case.precision,
                "optimizer": case.optimizer,
                "gradient_checkpointing": case.checkpointing,
            },
        }
    )


def build(case: Case, folder: Path) -> None:
    """A base with random weights, stored in bf16 as most are, and rows of nearly the full length.

    None may be longer: it would be dropped, and the batches be short.
    """
    import torch
    from transformers import AutoModelForCausalLM

    made = tokenizer("chatml")
    model = AutoModelForCausalLM.from_config(architecture(case), dtype=torch.bfloat16)
    model.save_pretrained(folder / "base")
    made.save_pretrained(folder / "base")
    ids = made(" ".join(str(row) for row in rows(200)))["input_ids"]
    given = [{"role": "system", "content": "Code."}, {"role": "user", "content": "Why?"}]
    around = len(
        made.apply_chat_template([*given, {"role": "assistant", "content": "x"}])["input_ids"]
    )
    whole = case.length // 2 if case.packing else case.length
    count = case.batch * (24 if case.packing else 4)
    # An answer is decoded and encoded again, by somewhat more tokens.
    answers = [made.decode(ids[: int((whole - around) * 0.97) - at % 4]) for at in range(count)]
    made_rows = [
        {"prompt": given, "completion": [{"role": "assistant", "content": answer}]}
        for answer in answers
    ]
    write_rows(folder / "train.jsonl", made_rows)


def measure(case: Case, folder: Path) -> int:
    """Most bytes that the run held, by itself as users start it."""
    values = folder / "settings.yaml"
    values.write_text(yaml.safe_dump(settings(case, folder).model_dump()), encoding="utf-8")
    command = [sys.executable, "-m", "training", str(values), "--no-checks"]
    subprocess.run(command, check=True, capture_output=True)
    events = read_log(folder / "run")
    if dropped := next(event for event in events if event["event"] == "data")["dropped"]:
        raise RuntimeError(f"{case}: rows were dropped, so batches were short: {dropped}")
    return max(event["peak_bytes"] for event in events if event["event"] == "step")


def compare(case: Case) -> tuple[Any, int, int]:
    """The estimate, the measured peak in bytes, and the base's weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(case, folder)
        peak = measure(case, folder)
        data = next(event for event in read_log(folder / "run") if event["event"] == "data")
        needed = estimate(
            settings(case, folder),
            architecture_of(str(folder / "base")),
            precision=case.precision,
            longest=data["length"]["max"],
            device="cpu",
        )
        with torch.device("meta"):
            base = AutoModelForCausalLM.from_config(architecture(case))
        return needed, peak, sum(weight.numel() for weight in base.parameters())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", choices=CASES, default="report")
    role = parser.parse_args().role
    print("| base | weights | run | estimate, MB | measured, MB | error |")
    print("|---|---|---|---|---|---|")
    errors = []
    for case in CASES[role]:
        needed, peak, weights = compare(case)
        errors.append(needed.total / peak - 1)
        run = (
            f"{case.batch} x {case.length}{' packed' if case.packing else ''}, "
            f"{f'{case.bits} bits, ' if case.bits else ''}{case.precision}"
            f"{', checkpointing' if case.checkpointing else ''}, {case.optimizer}"
        )
        print(
            f"| {case.family}, {case.shape[5]} tokens | {weights / 1e6:.0f}M | {run} | "
            f"{needed.total / 1e6:.0f} | {peak / 1e6:.0f} | {errors[-1]:+.1%} |",
            flush=True,
        )
    sizes = [abs(error) for error in errors]
    print(
        f"\nMedian error {statistics.median(sizes):.1%}, from {min(errors):+.1%} to "
        f"{max(errors):+.1%}."
    )


if __name__ == "__main__":
    main()
