"""A BERT sentence encoder as an ONNX graph, written straight from its safetensors weights.

Why not ``torch.onnx.export``: it needs torch and transformers, several gigabytes that nothing else
in the base install asks for. The graph of a BERT encoder is small enough to write down, and a test
holds it to the original (cosine > .9999).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from hub.store.tuned import Tuned

OPSET = 20  # the first opset with Gelu as one node
IR_VERSION = 10
MASKED = np.float32(-1e9)


class _Graph:
    """Collects nodes and weights; every method returns the name of the tensor it made."""

    def __init__(self, weights: dict[str, np.ndarray], epsilon: float) -> None:
        self.weights = weights
        self.epsilon = epsilon
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def linear(self, x: str, layer: str, output: str, scale: float = 1.0) -> str:
        weight = self.weights[f"{layer}.weight"].T * np.float32(scale)
        bias = self.weights[f"{layer}.bias"] * np.float32(scale)
        product = self.op("MatMul", [x, self.constant(f"{output}.w", weight)], f"{output}.xw")
        return self.op("Add", [product, self.constant(f"{output}.b", bias)], output)

    def norm(self, x: str, layer: str, output: str) -> str:
        gain = self.constant(f"{output}.g", self.weights[f"{layer}.weight"])
        bias = self.constant(f"{output}.b", self.weights[f"{layer}.bias"])
        return self.op("LayerNormalization", [x, gain, bias], output, epsilon=self.epsilon, axis=-1)


def build_bert_onnx(folder: Path, target: Path, tuned: Tuned | None = None) -> None:
    """Write ``folder``'s BERT (mean pooling, L2-normalised) to ``target`` as ONNX.

    What was ``tuned`` is merged into its weights.

    Inputs ``input_ids`` and ``attention_mask`` are int64 of shape (batch, tokens); the output
    ``embedding`` is float32 of shape (batch, hidden).
    """
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    graph = _Graph(tuned.weights(weights) if tuned else weights, config["layer_norm_eps"])
    hidden, heads = config["hidden_size"], config["num_attention_heads"]

    graph.constant("split_heads", np.array([0, 0, heads, hidden // heads], dtype=np.int64))
    graph.constant("join_heads", np.array([0, 0, hidden], dtype=np.int64))
    graph.op("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    x = _embed(graph)
    bias = _attention_bias(graph)
    for layer in range(config["num_hidden_layers"]):
        x = _layer(graph, f"encoder.layer.{layer}", x, bias, (hidden // heads) ** -0.5)
    _mean_pool(graph, x)

    shape = ["batch", "tokens"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert",
            [
                helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape),
                helper.make_tensor_value_info("attention_mask", TensorProto.INT64, shape),
            ],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", hidden])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _embed(graph: _Graph) -> str:
    """Word, position and (always the first) segment embeddings, normalised."""
    weights = graph.weights
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    graph.constant("words", weights["embeddings.word_embeddings.weight"])
    graph.constant("positions", weights["embeddings.position_embeddings.weight"] + segment)
    for name, value in (("zero", [0]), ("one", [1]), ("two", [2])):
        graph.constant(name, np.array(value, dtype=np.int64))
    graph.op("Shape", ["input_ids"], "shape")
    graph.op("Slice", ["shape", "one", "two"], "length")
    graph.op("Slice", ["positions", "zero", "length"], "position")
    graph.op("Gather", ["words", "input_ids"], "word")
    graph.op("Add", ["word", "position"], "embedded")
    return graph.norm("embedded", "embeddings.LayerNorm", "layer_in")


def _attention_bias(graph: _Graph) -> str:
    """0 where a token is real and a large negative number where it is padding."""
    graph.constant("axes_1_2", np.array([1, 2], dtype=np.int64))
    graph.op("Unsqueeze", ["mask", "axes_1_2"], "mask_4d")
    graph.op("Sub", [graph.constant("one_f", np.float32(1)), "mask_4d"], "padding")
    return graph.op("Mul", ["padding", graph.constant("masked", MASKED)], "attention_bias")


def _layer(graph: _Graph, layer: str, x: str, bias: str, scale: float) -> str:
    """One transformer layer; the attention scale is folded into the query weights."""
    attention = f"{layer}.attention"
    for name, factor, order in (
        ("query", scale, [0, 2, 1, 3]),
        ("key", 1.0, [0, 2, 3, 1]),
        ("value", 1.0, [0, 2, 1, 3]),
    ):
        flat = graph.linear(x, f"{attention}.self.{name}", f"{layer}.{name}", factor)
        split = graph.op("Reshape", [flat, "split_heads"], f"{flat}.split")
        graph.op("Transpose", [split], f"{flat}.heads", perm=order)
    graph.op("MatMul", [f"{layer}.query.heads", f"{layer}.key.heads"], f"{layer}.scores")
    graph.op("Add", [f"{layer}.scores", bias], f"{layer}.masked")
    graph.op("Softmax", [f"{layer}.masked"], f"{layer}.weights", axis=-1)
    graph.op("MatMul", [f"{layer}.weights", f"{layer}.value.heads"], f"{layer}.context")
    graph.op("Transpose", [f"{layer}.context"], f"{layer}.context.t", perm=[0, 2, 1, 3])
    graph.op("Reshape", [f"{layer}.context.t", "join_heads"], f"{layer}.joined")
    attended = graph.linear(f"{layer}.joined", f"{attention}.output.dense", f"{layer}.attended")
    graph.op("Add", [attended, x], f"{layer}.residual")
    middle = graph.norm(
        f"{layer}.residual", f"{attention}.output.LayerNorm", f"{layer}.attention_out"
    )
    wide = graph.linear(middle, f"{layer}.intermediate.dense", f"{layer}.wide")
    graph.op("Gelu", [wide], f"{layer}.gelu")
    narrow = graph.linear(f"{layer}.gelu", f"{layer}.output.dense", f"{layer}.narrow")
    graph.op("Add", [narrow, middle], f"{layer}.sum")
    return graph.norm(f"{layer}.sum", f"{layer}.output.LayerNorm", f"{layer}.out")


def _mean_pool(graph: _Graph, x: str) -> None:
    """Mean of the real tokens' vectors, scaled to unit length."""
    graph.op("Unsqueeze", ["mask", "two"], "mask_3d")
    graph.op("Mul", [x, "mask_3d"], "real")
    graph.op("ReduceSum", ["real", "one"], "total", keepdims=0)
    graph.op("ReduceSum", ["mask_3d", "one"], "count", keepdims=0)
    graph.op("Div", ["total", "count"], "mean")
    graph.op("LpNormalization", ["mean"], "embedding", axis=-1, p=2)
