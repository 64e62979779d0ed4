"""Tuning a retriever: clean pairs, real training, and a result that is checked before use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hub.documentation import first_sentence
from hub.errors import HubError
from hub.preparing import with_ids
from hub.store.minilm import NAME, MiniLMEncoder, packaged_folder, start_torch
from hub.store.static import StaticEncoder
from hub.store.tuned import ADAPTER, CARD, SHIPPED, STATIC, Tuned, save_table, write_card
from hub.tuning import recipe
from hub.tuning.pairs import collect_pairs, fingerprint
from indexers.code import chunk_file
from training.retriever import (
    RUN,
    Recipe,
    StaticRecipe,
    _loss,
    _trainer,
    shuffled,
    tune_encoder,
    tune_static,
)

if TYPE_CHECKING:
    from hub.types import Pattern

DOCUMENTED = {
    "a.py": '''class Client:
    @retry(3)
    def send(self, request):
        """Send one request and wait for the answer.

        Raises: OSError.
        """
        self.socket.write(request)
        return self.socket.read()
''',
    "a.ts": """/** Send one request and wait for the answer. */
export function send(socket: Socket, request: string): string {
  socket.write(request); // no reply yet
  return socket.read();
}
""",
    "a.go": """package a

// Send one request and wait for the answer.
func (c *Client) Send(request []byte) []byte {
	c.socket.Write(request)
	return c.socket.Read()
}
""",
    "a.rs": """impl Client {
    #[inline]
    /// Send one request and wait for the answer.
    pub fn send(&self, request: &[u8]) -> Vec<u8> {
        self.socket.write(request);
        self.socket.read()
    }
}
""",
    "A.java": """class Client {
    /**
     * Send one request and wait for the answer.
     * @param request what to send
     */
    @Override
    byte[] send(byte[] request) {
        socket.write(request);
        return socket.read();
    }
}
""",
    "a.rb": """class Client
  # Send one request and wait for the answer.
  def send(request)
    @socket.write(request)
    @socket.read
  end
end
""",
    "a.php": """<?php
/** Send one request and wait for the answer. */
function send($socket, $request) {
    $socket->write($request);
    return $socket->read();
}
""",
}


def patterns(path: str, code: str) -> tuple[Pattern, ...]:
    return with_ids("tree", chunk_file(path, code.encode()))


@pytest.mark.parametrize("path", DOCUMENTED)
def test_a_pair_is_the_first_sentence_and_the_code_without_it(path: str) -> None:
    report = collect_pairs(patterns(path, DOCUMENTED[path]), ["docs"])
    (pair,) = report.kept
    assert pair.query.endswith("one request and wait for the answer")
    assert "wait" not in pair.document
    assert "Raises" not in pair.document
    assert "socket" in pair.document
    assert pair.document.partition("\n")[0].endswith("send")
    for kept in ("@retry(3)", "#[inline]", "@Override", "// no reply yet"):
        assert (kept in pair.document) == (kept in DOCUMENTED[path])


@pytest.mark.parametrize(
    ("docstring", "code", "reason"),
    [
        ("Go now.", "return run(everything, now=True, then=False)", "too short a question"),
        ("Send one long request.", "return 1", "too short an answer"),
        ("The send one request function of all.", "", "kept"),
        ("Deprecated since the last version of all.", "", "no pair"),
        ("See the other function for what this does.", "", "no pair"),
    ],
)
def test_what_teaches_nothing_is_left_out_with_its_reason(
    docstring: str, code: str, reason: str
) -> None:
    body = code or "return connection.send(request, timeout=30)"
    text = f'def send_one(request):\n    """{docstring}"""\n    {body}\n'
    report = collect_pairs(patterns("a.py", text), ["docs"])
    expected = {reason: 1} if reason not in ("kept", "no pair") else {}
    assert dict(report.left_out) == expected
    assert len(report.kept) == (reason == "kept")


def test_a_question_with_two_answers_and_an_answer_given_twice_are_left_out() -> None:
    body = "    value = compute(request)\n    return value.strip()\n"
    functions = [
        ("one", "Strip what was computed from it.", body),
        ("two", "Strip what was computed from it!", body + "    # other\n"),
        ("three", "Compute the value and clean it.", body),
        ("four", "Clean the value that is computed.", body),
    ]
    text = "\n".join(f'def {n}(request):\n    """{d}"""\n{b}' for n, d, b in functions)
    same = text.replace("def four", "def three")
    report = collect_pairs(patterns("a.py", same), ["docs"])
    assert [pair.query for pair in report.kept] == ["Compute the value and clean it"]
    assert report.left_out == {"a question with several answers": 2, "the same code again": 1}


def test_code_of_an_evaluation_is_never_trained_on() -> None:
    found = patterns("a.py", DOCUMENTED["a.py"])
    (pair,) = collect_pairs(found, ["docs"]).kept
    marks = frozenset([fingerprint(pair.document)])
    report = collect_pairs(found, ["docs"], held_out=marks)
    assert (report.kept, dict(report.left_out)) == ([], {"in an evaluation set": 1})


def test_a_section_asks_for_the_code_it_shows() -> None:
    text = "# Guide\n\n## Retry a call\n\nWrap it in [retry](x). More.\n\n```python\n"
    text += "client = retry(Client(), attempts=5)\nclient.send(request)\n```\n"
    (pair,) = collect_pairs(patterns("a.md", text), ["sections"]).kept
    assert pair.query.endswith("Retry a call. Wrap it in retry.")
    assert pair.document == "\nclient = retry(Client(), attempts=5)\nclient.send(request)\n"


@pytest.mark.parametrize(
    ("documentation", "expected"),
    [
        ("Parse :ref:`a date <x>`, e.g. an ISO one. Then stop.", "Parse a date, e.g. an ISO one"),
        ("name reads {@link File files} from\n`disk`.\n\nMore.", "reads File files from disk"),
        (":param x: nothing is said", ""),
        ("", ""),
    ],
)
def test_the_first_sentence_is_plain(documentation: str, expected: str) -> None:
    assert first_sentence(documentation, "name") == expected


def tuned_folder(folder: Path, table: np.ndarray, adapter: bytes = b"none") -> Tuned:
    folder.mkdir(exist_ok=True)
    if adapter:
        (folder / ADAPTER).write_bytes(adapter)
    save_table(folder / STATIC, table)
    write_card(folder, name="tuned", dense_weight={"best": 0.7, "fast": 0.6}, base=NAME)
    return Tuned.from_folder(folder)


@given(arrays(np.float32, (5, 256), elements=st.floats(-50, 50, width=32)))
def test_a_table_comes_back_within_a_step_of_its_scale(table: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = tuned_folder(Path(folder), table).table()
    step = np.abs(table).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(found - table) <= 0.51 * step + 1e-6)


@pytest.mark.parametrize("file", [ADAPTER, STATIC])
@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_file_that_is_missing_or_altered_is_refused_with_the_way_out(
    tmp_path: Path, file: str, damage: str
) -> None:
    tuned = tuned_folder(tmp_path / "tuned", np.ones((3, 256), np.float32))
    path = tuned.folder / file
    expected = path.read_bytes()
    path.write_bytes(expected[:-1] + b"?") if damage == "altered" else path.unlink()
    with pytest.raises(HubError) as caught:
        tuned.weights({}) if file == ADAPTER else tuned.table()
    message = str(caught.value)
    assert str(path) in message
    assert "embedding.model = 'all-MiniLM-L6-v2'" in message
    if damage == "altered":
        assert hashlib.sha256(expected).hexdigest() in message


def test_a_card_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"card\.json, the card of a tuned retriever, is missing"):
        Tuned.from_folder(tmp_path)
    for content in ("{", "{}"):
        (tmp_path / "card.json").write_text(content)
        with pytest.raises(HubError, match=r"card\.json cannot be read"):
            Tuned.from_folder(tmp_path)


QUESTIONS = ["remove a file", "open a door", "read a page", "call a friend", "draw a line"]
ANSWERS = ["parse sheet", "dial number", "plot stroke", "unlink path", "unlock hinge"]


def learnable(times: int) -> list[tuple[str, str]]:
    """Five questions with answers that nobody would expect of them, many times over."""
    return [
        (f"{question} {n}", f"{answer} {n % 7}")
        for n in range(times)
        for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
    ]


def rank_of_answers(encoder: MiniLMEncoder | StaticEncoder) -> float:
    """Mean reciprocal rank of each question's own answer among the five."""
    cosines = encoder.encode_queries(QUESTIONS) @ encoder.encode_queries(ANSWERS).T
    ranks = (cosines >= np.diag(cosines)[:, None]).sum(axis=1)
    return float((1 / ranks).mean())


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, runtime_cache: None) -> Path:
    """A folder with an adapter that was really trained over the packaged model."""
    folder = tmp_path_factory.mktemp("adapted")
    recipe = Recipe(batch=5, rank=4, learning_rate=3e-3, max_tokens=16)
    pairs = learnable(8)
    scores = tune_encoder(packaged_folder(), pairs, pairs[:5], folder, recipe)
    assert 0 < scores["eval_held_out_cosine_mrr@10"] <= 1
    save_table(folder / STATIC, np.ones((3, 256), np.float32))
    write_card(folder, name="adapted", dense_weight={"best": 0.7, "fast": 0.6}, base=NAME)
    return folder


def test_a_trained_adapter_ranks_better_and_runs_without_torch(adapted: Path) -> None:
    base = MiniLMEncoder(packaged_folder())
    tuned = MiniLMEncoder(packaged_folder(), tuned=Tuned.from_folder(adapted))
    assert rank_of_answers(tuned) > rank_of_answers(base)
    assert tuned.digest != base.digest
    assert tuned.onnx_path != base.onnx_path


def test_the_merged_adapter_is_what_peft_computes(adapted: Path) -> None:
    from peft import LoraConfig, TaskType, set_peft_model_state_dict
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(packaged_folder()), device="cpu")
    config = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION, r=4, lora_alpha=8, target_modules="all-linear"
    )
    reference.add_adapter(config)
    weights = {name: value.float() for name, value in load_file(adapted / ADAPTER).items()}
    set_peft_model_state_dict(reference[0].auto_model, weights)
    texts = [*QUESTIONS, *ANSWERS, "def retry(call, attempts): ..."]
    expected = reference.encode(texts, normalize_embeddings=True)
    tuned = MiniLMEncoder(packaged_folder(), tuned=Tuned.from_folder(adapted))
    found = tuned.encode_queries(texts)
    assert (found * expected).sum(axis=1).min() > 0.9999
    ids = [encoding.ids for encoding in tuned.tokenizer.encode_batch(texts)]
    on_torch = start_torch(tuned, device="cpu", precision="float32")(ids, None)
    assert (found * on_torch).sum(axis=1).min() > 0.9999


def test_a_run_that_is_stopped_goes_on_from_its_checkpoint(
    adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finished run's checkpoints are there: a second run only reads its result off them."""
    from sentence_transformers import SentenceTransformerTrainer

    again = tmp_path / "again"
    shutil.copytree(adapted, again, ignore=shutil.ignore_patterns(ADAPTER))
    steps: list[int] = []
    real = SentenceTransformerTrainer.training_step

    def counted(self: SentenceTransformerTrainer, *arguments: object) -> object:
        steps.append(self.state.global_step)
        return real(self, *arguments)

    monkeypatch.setattr(SentenceTransformerTrainer, "training_step", counted)
    recipe = Recipe(batch=5, rank=4, learning_rate=3e-3, max_tokens=16)
    pairs = learnable(8)
    tune_encoder(packaged_folder(), pairs, pairs[:5], again, recipe)
    assert len(steps) < 8
    assert (again / ADAPTER).is_file()


@given(st.lists(st.sampled_from("abc"), max_size=300), st.integers(0, 9))
def test_a_shuffled_epoch_has_every_row_once_and_groups_in_runs(
    groups: list[str], seed: int
) -> None:
    rows = shuffled(groups, seed)
    assert sorted(rows) == list(range(len(groups)))
    assert rows == shuffled(groups, seed)
    changes = sum(groups[a] != groups[b] for a, b in pairwise(rows))
    assert changes < sum(-(-groups.count(group) // RUN) for group in "abc") + 1


def test_a_batch_draws_on_few_groups() -> None:
    from datasets import Dataset

    groups = [f"package {i % 6}" for i in range(6 * RUN)]
    data = Dataset.from_dict({"query": groups})
    batches = _trainer(groups).get_batch_sampler(None, data, batch_size=RUN, drop_last=False)
    assert [{groups[row] for row in batch} for batch in batches] == [
        {groups[batch[0]]} for batch in batches
    ]
    first = [list(batch) for batch in batches]
    batches.set_epoch(1)
    assert first != [list(batch) for batch in batches]


@pytest.mark.slow
def test_an_encoder_is_trained_in_batches_of_few_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given in turns, the groups are told apart by the width of their texts."""
    from sentence_transformers import SentenceTransformerTrainer

    widths: list[set[int]] = []
    real = SentenceTransformerTrainer.compute_loss

    def seen(self: Any, model: Any, inputs: dict[str, Any], *rest: Any, **options: Any) -> Any:
        features = self.collect_features(inputs)[0]
        widths.append({int(n) for f in features for n in f["attention_mask"].sum(dim=1)})
        return real(self, model, inputs, *rest, **options)

    monkeypatch.setattr(SentenceTransformerTrainer, "compute_loss", seen)
    pairs = [(f"one {n}", f"two {n}") for n in range(4)]
    wide = [(f"one two three {n}", f"four five six {n}") for n in range(4)]
    train = [pair for both in zip(pairs, wide, strict=True) for pair in both]
    tune_encoder(
        packaged_folder(), train, pairs, tmp_path, Recipe(batch=4, rank=4, max_tokens=16),
        groups=["short", "wide"] * 4,
    )  # fmt: skip
    assert sorted(map(sorted, widths)) == [[4], [6]]


def test_texts_that_run_in_parts_give_the_loss_of_the_whole_batch() -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(packaged_folder()), device="cpu").eval()
    pairs = [
        (f"question {'about ' * i}{i}", f"answer {i} {'at length ' * (40 - i)}") for i in range(30)
    ]
    features = [model.preprocess(list(side)) for side in zip(*pairs, strict=True)]
    with torch.no_grad():
        expected = MultipleNegativesRankingLoss(model)(features, None)
        found = _loss(model)(features, None)
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(("train", "held_out"), [(0, 1), (1, 1), (8, 0)])
def test_too_few_pairs_are_refused_with_how_many_are_needed(
    tmp_path: Path, train: int, held_out: int
) -> None:
    with pytest.raises(ValueError, match=r"at least one batch of 16 and one pair are needed"):
        tune_encoder(
            packaged_folder(), learnable(train), learnable(held_out), tmp_path, Recipe(batch=16)
        )


def test_a_transformer_that_cannot_take_lora_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    def refused(*_: Any) -> None:
        raise ValueError("no linear layers")

    monkeypatch.setattr(SentenceTransformer, "add_adapter", refused)
    message = r"minilm.* cannot take LoRA: no linear layers; tune all its weights"
    with pytest.raises(ValueError, match=message):
        tune_encoder(packaged_folder(), learnable(2), learnable(1), tmp_path, Recipe(batch=5))


def test_trained_static_vectors_rank_better(tmp_path: Path) -> None:
    base = MiniLMEncoder(packaged_folder())
    start = StaticEncoder(base, Tuned.from_folder(SHIPPED))
    recipe = StaticRecipe(epochs=6, batch=5)
    table = tune_static(start.table, start.tokenizer.to_str(), learnable(8), recipe)
    assert table.shape == start.table.shape
    tuned = StaticEncoder(base, tuned_folder(tmp_path / "tuned", table))
    assert rank_of_answers(tuned) > rank_of_answers(start)
    assert tuned.digest != start.digest


def test_the_shipped_card_lists_what_the_recipe_learns_from() -> None:
    card = json.loads((SHIPPED / CARD).read_text(encoding="utf-8"))
    assert card["sources"] == tomllib.loads(recipe.SOURCES.read_text(encoding="utf-8"))
    assert card["licences_chosen"] == recipe.CHOSEN
    assert {*recipe.CHOSEN} <= {name for rows in card["sources"].values() for name, *_ in rows}


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs Debian's dpkg-deb")
def test_a_version_that_debian_replaced_gives_way_to_its_successor_which_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A security update takes the version before it out of the archive."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: ruby-made-up\nVersion: 2:1.0-2\nArchitecture: all\n"
        "Maintainer: A <a@example.org>\nDescription: made up\n"
    )
    (tree / "made_up.rb").write_text("def made_up = 1\n")
    archive = tmp_path / "ruby-made-up_2%3a1.0-2_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree, archive], check=True, capture_output=True)
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f'#!/bin/sh\ncase "$3" in *=*) exit 100;; *) cp "{archive}" .;; esac\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}{os.pathsep}{os.environ['PATH']}")
    listed = tmp_path / "sources.toml"
    listed.write_text('debian = [["ruby-made-up", "2:1.0-1", "MIT"]]\n')
    monkeypatch.setattr(recipe, "SOURCES", listed)
    recipe.download(tmp_path / "packages")
    assert (tmp_path / "packages" / "debian" / "ruby-made-up" / "made_up.rb").is_file()
    assert recipe.replaced(tmp_path / "packages") == {"ruby-made-up": archive.name}
    listed.write_text('debian = [["ruby-made-up", "2:1.0-2", "MIT"]]\n')
    assert recipe.replaced(tmp_path / "packages") == {}
