"""How much memory a run will need, from the base's architecture alone.

Weights, adapter, gradients and optimizer are counted; activations are estimated, with the factors
below, and are most of what is uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.config import Config, Quantization

BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}
BLOCK, DOUBLE_BLOCK = 64, 256  # weights, and scales, that share a scale
SMALL = 4096  # a tensor of fewer elements keeps 32-bit optimizer state
RUNTIME = {"cuda": 0.6e9, "cpu": 0.6e9}  # of Python, PyTorch and the CUDA context
LAYER_WIDTHS = 14  # values that a layer keeps for its backward pass, in widths of the model
LAYER_INNER = 4  # and in widths of its feed-forward part
HEAD_ROWS = 256  # tokens whose scores over the vocabulary are held at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes by what they are for."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    runtime: int

    @property
    def total(self) -> int:
        return (
            self.weights
            + self.adapter
            + self.gradients
            + self.optimizer
            + self.activations
            + self.runtime
        )

    def __str__(self) -> str:
        return (
            f"{self.total / 1e9:.2f} GB: weights {self.weights / 1e9:.2f}, adapter, gradients and "
            f"optimizer {(self.adapter + self.gradients + self.optimizer) / 1e9:.2f}, "
            f"activations {self.activations / 1e9:.2f}, runtime {self.runtime / 1e9:.2f}"
        )


def estimate(
    config: Config, architecture: Any, *, precision: str, longest: int, device: str
) -> Memory:
    """The peak of training ``architecture``, a transformers configuration.

    Args:
        config: Of the run.
        architecture: Of the base.
        precision: bf16, fp16 or fp32.
        longest: Tokens of the longest sequence; packed ones are all of ``data.max_length``.
        device: cuda or cpu.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture)
    size = BYTES[precision]
    linear = dict(_linear(model))
    quantised = sum(layer.weight.numel() for layer in linear.values())
    everything = sum(weight.numel() for weight in model.parameters())
    rest = everything - (quantised if config.quantization else 0)
    weights = rest * size + (_packed(quantised, config.quantization) if config.quantization else 0)
    tensors = [
        config.lora.r * side
        for name, layer in linear.items()
        if _targeted(name, config.lora.target_modules)
        for side in (layer.in_features, layer.out_features)
    ]
    width = 2 if config.quantization and precision == "bf16" else 4
    eight_bit = "8bit" in config.train.optimizer
    states = sum(n * (2 if eight_bit and n >= SMALL else 2 * width) for n in tensors)
    length = config.data.max_length if config.data.packing else longest
    return Memory(
        weights=int(weights),
        adapter=sum(tensors) * width,
        gradients=sum(tensors) * width,
        optimizer=states,
        activations=_activations(config, architecture, config.train.batch_size * length, size),
        runtime=int(RUNTIME[device]),
    )


def adapter_bytes(memory: Memory) -> int:
    """What a checkpoint takes on disk."""
    return memory.adapter + memory.optimizer


def _linear(model: Any) -> Iterator[tuple[str, Any]]:
    """Linear layers but the output layer, with their names."""
    import torch

    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            yield name, module


def _targeted(name: str, targets: list[str] | str) -> bool:
    if isinstance(targets, str):
        return True
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _packed(weights: int, quantization: Quantization) -> float:
    """Bytes of quantised weights with their scales."""
    if quantization.bits == 8:
        return weights * 1.01
    scales = weights / BLOCK
    return weights / 2 + (scales * (1 + 4 / DOUBLE_BLOCK) if quantization.double else scales * 4)


def _activations(config: Config, architecture: Any, tokens: int, size: int) -> int:
    """What is kept between the forward and the backward pass, and the scores of the output."""
    text = architecture.get_text_config()
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    layer = tokens * size * (LAYER_WIDTHS * text.hidden_size + LAYER_INNER * inner)
    layers = text.num_hidden_layers
    if config.train.gradient_checkpointing:
        kept = layers * tokens * text.hidden_size * size + layer
    else:
        kept = layers * layer
    mask = tokens * tokens * size if config.data.packing else 0
    return int(kept + mask + 3 * HEAD_ROWS * text.vocab_size * 4)
