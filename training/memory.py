"""How much memory a run will need, from the base's architecture alone.

One forward and backward pass is made with tensors that have a shape but no memory, by the code
that trains: the bytes they would hold are counted as they come and go. On a GPU the scores over
the vocabulary are counted apart: a kernel computes them in place.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from training.errors import TrainingError

if TYPE_CHECKING:
    from training.config import Config, Quantization

BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}
BLOCK, DOUBLE_BLOCK = 64, 256  # weights, and scales, that share a scale
SMALL = 4096  # a tensor of fewer elements keeps 32-bit optimizer state
# Of Python, PyTorch and the CUDA context; on a CPU with the kernels that PyTorch compiles.
RUNTIME = {"cuda": 0.6e9, "cpu": 0.74e9}
TILE = (4096, 32768)  # tokens and entries of the vocabulary that TRL scores at a time


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


class _Pass(NamedTuple):
    """Bytes beyond the weights: after the forward pass, and at most."""

    kept: int
    peak: int


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

    Raises:
        TrainingError: the base has no such layers to adapt, or its memory cannot be told.
    """
    import torch

    from training.prepare import check_targets, multiple_of

    check_targets(config, architecture)

    # Making the model writes its own format there.
    stored = architecture.dtype.itemsize if architecture.dtype else BYTES["fp32"]
    model = _model(config, architecture, precision)
    linear = _quantised(model) if config.quantization else []
    quantised = sum(layer.weight.numel() for layer in linear)
    frozen, tensors = 0, []
    for weight in model.parameters():
        if weight.requires_grad:
            tensors.append(weight)
        else:
            frozen += weight.numel()
    weights = float((frozen - quantised) * BYTES[precision])
    if config.quantization:
        weights += _packed(quantised, config.quantization)
    if config.quantization and device == "cpu":  # the file stays mapped, and serves as it is
        weights += frozen * stored - (stored == BYTES[precision]) * (frozen - quantised) * stored
    width = {weight.element_size() for weight in tensors}.pop()
    values = sum(weight.numel() for weight in tensors)
    eight_bit = "8bit" in config.train.optimizer
    states = sum(
        n * (2 if eight_bit and n >= SMALL else 2 * width) for n in map(torch.numel, tensors)
    )
    rows = 1 if config.data.packing else config.train.batch_size
    length = config.data.max_length * config.train.batch_size if config.data.packing else longest
    multiple = multiple_of(config, architecture, precision, device)
    length += -length % multiple
    try:
        made = _pass(
            config,
            model,
            rows=rows,
            length=length,
            masked=config.data.packing or rows > 1 or multiple > 1,
            precision=precision,
            scored=device == "cpu",
        )
    except (RuntimeError, TypeError, ValueError) as error:  # a base whose tensors depend on values
        raise TrainingError(
            f"the memory of a {architecture.model_type} cannot be told before it is trained: "
            f"{type(error).__name__}"
        ) from error
    activations = made.peak
    if device == "cuda":
        hidden = architecture.get_text_config().hidden_size
        activations = max(made.peak, made.kept + _scores(hidden, rows * length, BYTES[precision]))
    return Memory(
        weights=int(weights),
        adapter=values * width,
        gradients=values * width,
        optimizer=states,
        activations=activations,
        runtime=int(RUNTIME[device]),
    )


def adapter_bytes(memory: Memory) -> int:
    """What a checkpoint takes on disk."""
    return memory.adapter + memory.optimizer


def _model(config: Config, architecture: Any, precision: str) -> Any:
    """The base and its adapter, in the formats that they are trained in, without memory."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    from training.sft import lora_of

    kind = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(architecture, dtype=kind)
        try:
            model = get_peft_model(base, lora_of(config))
        except ValueError as error:
            raise TrainingError(str(error).splitlines()[0]) from error
    for weight in model.parameters():
        if weight.requires_grad:
            small = config.quantization and precision == "bf16"
            weight.data = weight.data.to(torch.bfloat16 if small else torch.float32)
    return model


def _quantised(model: Any) -> list[Any]:
    """The layers of the base that are held in 4 or 8 bits: all linear ones but the output."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_base_model().get_output_embeddings()
    return [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
        and module is not head
        and "lora_" not in name
    ]


def _packed(weights: int, quantization: Quantization) -> float:
    """Bytes of quantised weights with their scales."""
    if quantization.bits == 8:
        return weights * 1.01
    scales = weights / BLOCK
    return weights / 2 + (scales * (1 + 4 / DOUBLE_BLOCK) if quantization.double else scales * 4)


def _scores(hidden: int, tokens: int, size: int) -> int:
    """Bytes for the loss over the vocabulary on a GPU, at its backward pass."""
    return min(tokens, TILE[0]) * TILE[1] * size + tokens * hidden * (4 + size)


def _pass(
    config: Config,
    model: Any,
    *,
    rows: int,
    length: int,
    masked: bool,
    precision: str,
    scored: bool,
) -> _Pass:
    """A forward and a backward pass of the model, with its output layer where ``scored``."""
    import torch
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode(), _counter() as held:
        _give_shapes(model)
        if config.quantization:
            for layer in _quantised(model):
                layer.forward = _unpacking(layer, config.quantization.bits)
        if config.train.gradient_checkpointing:
            model.gradient_checkpointing_enable()
            model.enable_input_require_grads()
        model.train()
        ids = torch.zeros(rows, length, dtype=torch.long)
        given = {"input_ids": ids, "position_ids": ids[:1]}
        if masked:  # else there is nothing to hide from a token
            given["attention_mask"] = torch.ones(rows, 1, length, length, dtype=torch.bool)
        start = held.now
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "fp32"):
            last = model.get_base_model().base_model(**given, use_cache=False).last_hidden_state
            kept = held.now - start
            if scored:
                last = _log_probabilities(model, last)
        last.sum().backward()
        return _Pass(kept, held.peak - start)


def _log_probabilities(model: Any, last: Any) -> Any:
    """Of the next tokens, as TRL computes them: a tile at a time, so two tiles tell what all
    take. The part of a tile beyond the vocabulary is never touched, and takes no memory."""
    import torch
    from trl.kernels import ChunkedLogProbFunction

    head = model.get_base_model().get_output_embeddings()
    states = last[:, :-1].reshape(-1, last.shape[-1])[: 2 * TILE[0]]
    targets = torch.zeros(len(states), dtype=torch.long)
    columns = min(TILE[1], len(head.weight))
    kinds = ("log_probs", "entropy", "is_top1")
    return ChunkedLogProbFunction.apply(
        states, head.weight, head.bias, targets, 1.0, columns, None, 1.0, kinds
    )[0]


def _give_shapes(model: Any) -> None:
    """Tensors of the current mode, in place of those on the meta device."""
    import torch

    made: dict[int, Any] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
                    if isinstance(tensor, torch.nn.Parameter):
                        fake = torch.nn.Parameter(fake, requires_grad=tensor.requires_grad)
                        if tensor.requires_grad:
                            fake.grad = torch.empty(tensor.shape, dtype=tensor.dtype)
                    made[id(tensor)] = fake
                tensors[name] = made[id(tensor)]


def _unpacking(layer: Any, bits: int) -> Any:
    """A forward pass that makes the full weights anew each time they are needed."""
    import torch

    turned = isinstance(layer, torch.nn.Linear)  # GPT-2's layers keep their weights the other way

    def full(like: Any, turn: bool) -> Any:
        made = like.new_empty(layer.weight.shape)
        return made.t() if turn else made

    class Unpacked(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, given: Any) -> Any:
            if bits == 8:  # bitsandbytes keeps what an 8-bit layer is given
                context.given = given
            return given @ full(given, turned)

        @staticmethod
        def backward(_: Any, gradient: Any) -> Any:
            return gradient @ full(gradient, not turned)

    return Unpacked.apply


def _counter() -> Any:
    """Counts the bytes of every tensor that an operation makes, until it is dropped."""
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Counter(TorchDispatchMode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = 0
            self.seen: set[int] = set()

        def __torch_dispatch__(
            self, operation: Any, types: Any, given: Any = (), named: Any = None
        ) -> Any:
            made = operation(*given, **(named or {}))
            for tensor in tree_leaves(made):
                if not isinstance(tensor, Tensor):
                    continue
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self.seen:
                    self.seen.add(key)
                    self.now += size
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._drop, key, size)
            return made

        def _drop(self, key: int, size: int) -> None:
            self.seen.discard(key)
            self.now -= size

    return Counter()
