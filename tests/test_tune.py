"""`patternhub tune`: real training on a hub's own pairs, judged on files it did not learn from."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import hub.tuning.measure as measure
import hub.tuning.tune as tuning
import training.retriever as retriever
from hub import Hub
from hub.buckets import bucket
from hub.cli import main
from hub.errors import HubError
from hub.store.minilm import NAME, packaged_folder
from hub.store.tuned import ADAPTER, CARD, SHIPPED, SHIPPED_NAME, STATIC
from hub.terminal.tuning import tune_summary
from hub.tuning.measure import WEIGHTS, Bench, Scores, best_weight
from hub.tuning.pairs import collect_pairs

if TYPE_CHECKING:
    from hub.config import Tier
    from hub.store.encoders import Encoders
    from hub.types import Pattern

SAID = """lantern harbour copper meadow violin glacier pepper saddle orchard thunder candle marble
bridge feather""".split()  # noqa: SIM905
WRITTEN = """basalt quorum nimbus lattice ferrite umbra tundra cobalt zephyr isthmus fjord gneiss
sonnet plasma""".split()  # noqa: SIM905


def made_up_code(folder: Path, *, files: int, learnable: bool = True, seed: int = 0) -> Path:
    """Functions whose documentation and code share no word: the one follows from the other by a
    dictionary that only training can find, or, not ``learnable``, by none."""
    draw = random.Random(seed)
    folder.mkdir(exist_ok=True)
    for number in range(files):
        functions = []
        for nth in range(10):
            said = draw.sample(range(len(SAID)), 4)
            written = said if learnable else draw.sample(range(len(SAID)), 4)
            terms = ", ".join(WRITTEN[i] for i in written)
            functions.append(
                f"def f{number}_{nth}(value):\n"
                f'    """Bring the {" and the ".join(SAID[i] for i in said)} together."""\n'
                f"    return combine({terms})\n"
            )
        (folder / f"m{number}.py").write_text("\n\n".join(functions))
    return folder


def in_files(code: Path, folder: Path, names: list[str]) -> Path:
    """The same code in fewer files."""
    folder.mkdir()
    modules = [path.read_text() for path in sorted(code.iterdir())]
    for nth, name in enumerate(names):
        (folder / name).write_text("\n\n".join(modules[nth :: len(names)]))
    return folder


def new_hub(folder: Path, *sources: Path, model: str = SHIPPED_NAME) -> Hub:
    """A hub whose fast tier is indexed: of a model that is not shipped it has to be distilled."""
    folder.mkdir()
    (folder / "hub.toml").write_text(
        f"# kept\n[embedding]\nmodel = {model!r}  # why\ntier = 'fast'\n"
    )
    hub = Hub.open(folder)
    hub.index(sources)
    return hub


def card_of(hub: Hub) -> dict[str, Any]:
    model = hub.workspace.config.embedding.model
    return dict(json.loads((hub.workspace.folder / model / CARD).read_text()))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_quick(monkeypatch)


def make_quick(patch: pytest.MonkeyPatch) -> None:
    """Fewer questions to judge by, short texts, one checkpoint, and one runtime for all."""
    patch.setattr(tuning, "MIN_HELD_OUT", 25)
    patch.setattr("hub.store.minilm.FEW", 10_000)
    patch.setattr(retriever, "CHECKPOINTS", 1)
    patch.setattr(
        tuning,
        "recipe_of",
        lambda method, epochs: retriever.Recipe(
            epochs=epochs, batch=16, max_tokens=32, rank=32 if method == "lora" else 0,
            learning_rate=2e-3 if method == "lora" else 2e-4,
        ),
    )  # fmt: skip


def test_a_tuned_fast_tier_is_used_at_once_and_finds_more(tmp_path: Path, quick: None) -> None:
    source = made_up_code(tmp_path / "team", files=15)
    hub = new_hub(tmp_path / "hub", source)
    report = hub.tune(tiers=["fast"])
    verdict = report.verdicts["fast"]
    assert report.pairs == {"docs": 150}
    assert report.trained + report.held_out == 150
    assert verdict.kept
    assert verdict.tuned > verdict.base
    assert verdict.interval[0] > 0
    text = (hub.workspace.folder / "hub.toml").read_text()
    assert "# kept" in text
    assert f'model = "{report.model}"  # why' in text
    assert hub.search("Bring the copper and the saddle together")  # the new vectors are there
    assert hub.workspace.config.embedding.model == report.model
    assert not list((hub.workspace.store_folder / "tuned").glob("run-*"))
    assert "`patternhub tune compare` says more" in tune_summary(report)
    compared = hub.compare_tuned()
    assert compared.base == SHIPPED_NAME
    assert compared.verdicts["fast"][""].questions == verdict.questions
    assert compared.verdicts["fast"][""].tuned == pytest.approx(verdict.tuned, abs=1e-6)
    assert compared.verdicts["best"][""].tuned == pytest.approx(
        compared.verdicts["best"][""].base, abs=0.05
    )  # the best model is the same; the weights are fitted anew


def test_what_cannot_be_learned_changes_nothing(tmp_path: Path, quick: None) -> None:
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=15, learnable=False))
    before = (hub.workspace.folder / "hub.toml").read_text()
    report = hub.tune(tiers=["fast"])
    assert not report.verdicts["fast"].kept
    assert report.model == ""
    assert (hub.workspace.folder / "hub.toml").read_text() == before
    assert [p.name for p in (hub.workspace.store_folder / "tuned").iterdir()] == ["lock"]


def test_with_few_pairs_every_file_is_held_out_once(tmp_path: Path, quick: None) -> None:
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=10))
    report = hub.tune(tiers=["fast"])
    assert report.folds == tuning.FOLDS
    assert report.verdicts["fast"].questions == 100 == report.trained
    assert report.verdicts["fast"].kept
    assert tune_summary(report).endswith("none is left for `patternhub tune compare`")
    with pytest.raises(HubError, match="every file was learned from"):
        hub.compare_tuned()


def test_too_few_pairs_are_refused_with_how_many_are_needed(tmp_path: Path) -> None:
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=3))
    with pytest.raises(HubError, match=r"30 pairs .* 350 are needed .* nothing was trained"):
        hub.tune(tiers=["fast"])
    assert not (hub.workspace.store_folder / "tuned").exists()


def test_pairs_that_are_all_alike_are_refused_with_why_they_were_left_out(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    same = '    """Return the value of the field."""\n    return record.lookup("field", None)\n'
    code = "\n\n".join(f"def f{n}(record):\n{same}" for n in range(400))
    (tmp_path / "team" / "a.py").write_text(code)
    new_hub(tmp_path / "hub", tmp_path / "team")
    found = CliRunner().invoke(main, ["--hub", str(tmp_path / "hub"), "tune"])
    assert found.exit_code
    assert "0 pairs of a question and its answer were found" in found.output
    assert "(400 a question with several answers: left out), 350 are needed" in found.output


@pytest.mark.slow
def test_what_is_nearly_alike_is_no_reason_to_change_anything(tmp_path: Path, quick: None) -> None:
    """Questions that differ in a number: the words find each, and training adds nothing."""
    (tmp_path / "team").mkdir()
    for file in range(4):
        functions = [
            f'def f{n}(record):\n    """Return the value of field {n} of a record."""\n'
            f'    return record.lookup("field", {n}, default=None)\n'
            for n in range(10 * file, 10 * file + 10)
        ]
        (tmp_path / "team" / f"m{file}.py").write_text("\n\n".join(functions))
    report = new_hub(tmp_path / "hub", tmp_path / "team").tune(tiers=["fast"])
    assert report.verdicts["fast"].questions == 40
    assert not report.verdicts["fast"].kept
    assert report.model == ""


def test_files_fewer_than_folds_are_each_judged_by_a_model_of_the_others(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also two of them, which a hash of their paths would put in one fold."""
    assert int(bucket("two/b.py") * tuning.FOLDS) == int(bucket("two/d.py") * tuning.FOLDS)
    team = made_up_code(tmp_path / "team", files=10)
    hub = new_hub(tmp_path / "hub", in_files(team, tmp_path / "two", ["b.py", "d.py"]))
    learned: list[set[str]] = []

    def seen(table: Any, _: str, train: list[tuple[str, str]], *__: Any, **___: Any) -> Any:
        learned.append({query for query, _ in train})
        return table

    monkeypatch.setattr(retriever, "tune_static", seen)
    report = hub.tune(tiers=["fast"])
    assert (report.folds, report.verdicts["fast"].questions) == (2, 100)
    everything, *folds = learned
    assert [len(fold) for fold in folds] == [50, 50]
    assert folds[0] | folds[1] == everything


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_split_that_leaves_nothing_to_learn_from_is_refused(
    tmp_path: Path, quick: None, dry_run: bool
) -> None:
    """One file is learned from or judged by; a source that has every pair cannot be held out."""
    team = made_up_code(tmp_path / "team", files=15)
    hub = new_hub(tmp_path / "hub", team)
    with pytest.raises(HubError, match=r"'team' held out 0 of 150 pairs .* Hold out fewer"):
        hub.tune(tiers=["fast"], hold_out=["team"], dry_run=dry_run)
    alone_in = in_files(team, tmp_path / "one", ["all.py"])
    alone = new_hub(tmp_path / "alone", alone_in)
    with pytest.raises(
        HubError, match=r"all 150 pairs are of one file, one/all\.py, .* Index more"
    ):
        alone.tune(tiers=["fast"], dry_run=dry_run)
    assert not (alone.workspace.store_folder / "tuned").exists()


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, quick: None) -> None:
    folder = tmp_path / "hub"
    new_hub(folder, made_up_code(tmp_path / "team", files=15))
    found = CliRunner().invoke(main, ["--hub", str(folder), "tune", "--dry-run", "--json"])
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    assert report["pairs"] == {"docs": 150}
    assert report["verdicts"] == {}
    assert not (folder / ".patternhub" / "tuned").exists()


@pytest.mark.slow
def test_a_source_held_out_whole_is_never_learned_from(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made_up_code(tmp_path / "one", files=15)
    two = made_up_code(tmp_path / "two", files=10, seed=1)
    hub = new_hub(tmp_path / "hub", one, two)
    learned: list[str] = []
    real = retriever.tune_static

    def seen(
        table: Any, tokenizer: str, train: list[tuple[str, str]], recipe: Any, **groups: Any
    ) -> Any:
        learned.extend(query for query, _ in train)
        return real(table, tokenizer, train, recipe, **groups)

    monkeypatch.setattr(retriever, "tune_static", seen)
    report = hub.tune(tiers=["fast"], hold_out=["two"])
    pairs = collect_pairs(hub._patterns(), ["docs"]).kept
    away = {pair.query.lower() for pair in pairs if pair.answer.source == "two"}
    assert away
    assert not away & set(learned)
    assert report.model
    rows = hub.compare_tuned().verdicts["fast"]
    assert rows["two"].questions == len(away)
    assert rows[""].questions == rows["one"].questions + rows["two"].questions
    with pytest.raises(HubError, match="no source is called 'three'; there are: one, two"):
        hub.tune(hold_out=["three"])


@pytest.fixture(scope="module")
def tuned_best(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hub, Any]:
    """A hub whose best tier was really tuned."""
    folder = tmp_path_factory.mktemp("best")
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        hub = new_hub(folder / "hub", made_up_code(folder / "team", files=15))
        report = hub.tune(tiers=["best"], epochs=1)
    return hub, report


@pytest.mark.slow  # test_tuning trains an adapter in the quick suite
def test_the_best_tier_is_tuned_and_the_fast_tier_stays(
    tuned_best: tuple[Hub, Any], quick: None
) -> None:
    hub, report = tuned_best
    assert report.verdicts["best"].kept
    folder = hub.workspace.folder / report.model
    assert sorted(p.name for p in folder.iterdir()) == [ADAPTER, CARD, STATIC]
    hub.index(tier="best")
    assert hub.search("the thunder and the pepper", tier="best")[0].pattern.kind == "function"
    card = json.loads((folder / CARD).read_text())
    assert card["base"] == SHIPPED_NAME
    assert card["pairs"] == {"docs": 150}


@pytest.mark.slow
def test_tuning_again_starts_from_what_was_tuned_before(
    tuned_best: tuple[Hub, Any], tmp_path: Path, quick: None
) -> None:
    """A retriever tuned here may know the files that a later run judges by; one from elsewhere,
    a colleague's for instance, is what the next is tuned from."""
    hub, first = tuned_best
    starts: list[Any] = []
    real = retriever.tune_encoder

    def seen(*arguments: Any, start: Any, **options: Any) -> Any:
        starts.append(start)
        return real(*arguments, start=start, **options)

    def tune_a_copy(name: str, model: str) -> Hub:
        copy = tmp_path / name
        shutil.copytree(hub.workspace.folder, copy)
        tuning.use_model(copy, model)
        Hub.open(copy).tune(tiers=["best"])
        return Hub.open(copy)

    shutil.copytree(hub.workspace.folder / first.model, tmp_path / "theirs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retriever, "tune_encoder", seen)
        here = tune_a_copy("here", first.model)
        tune_a_copy("there", str(tmp_path / "theirs"))
    assert starts == [SHIPPED / ADAPTER, tmp_path / "theirs" / ADAPTER]
    assert card_of(here)["base"] == SHIPPED_NAME


@pytest.mark.slow  # a second process would tune for it once more
def test_a_tier_that_is_not_tuned_stays_as_it_was_tuned(
    tuned_best: tuple[Hub, Any], tmp_path: Path, quick: None
) -> None:
    """And nothing that either tier learned from counts as held out."""
    hub, first = tuned_best
    copy = tmp_path / "copy"
    shutil.copytree(hub.workspace.folder, copy)
    again = Hub.open(copy)
    again.index([made_up_code(tmp_path / "more", files=20, seed=2)])
    report = again.tune(tiers=["fast"])
    assert report.model != first.model
    old, new = json.loads((copy / first.model / CARD).read_text()), card_of(again)
    assert new["sha256"][ADAPTER] == old["sha256"][ADAPTER]
    assert new["sha256"][STATIC] != old["sha256"][STATIC]
    assert new["held_out_below"] <= old["held_out_below"]
    assert new["base"] == SHIPPED_NAME


@pytest.mark.slow
def test_the_best_tier_is_judged_beside_the_vectors_it_will_be_used_with(
    tmp_path: Path, quick: None
) -> None:
    """A later run's static vectors that are not kept leave those of the earlier run in use."""
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=15))
    assert hub.tune(tiers=["fast"]).verdicts["fast"].kept
    in_use = hub.workspace.encoders.fast.digest
    beside: list[str] = []
    real = Bench.scores

    def seen(self: Bench, encoders: Encoders, tier: Tier, *rest: Any) -> Scores:
        if tier == "best":
            beside.append(encoders.fast.digest)
        return real(self, encoders, tier, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "scores", seen)
        patch.setattr(retriever, "tune_static", lambda table, *_, **__: np.ones_like(table))
        report = hub.tune(tiers=["best", "fast"])
    assert not report.verdicts["fast"].kept
    assert beside == [in_use, in_use]
    assert hub.workspace.encoders.fast.digest == in_use


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path, quick: None) -> None:
    """A run with other pairs cannot go on with it."""
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=15))
    stale = hub.workspace.store_folder / "tuned" / "run-0123456789ab" / "final"
    stale.mkdir(parents=True)
    hub.tune(tiers=["fast"])
    assert not stale.parent.exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_what_it_had(tmp_path: Path, quick: None) -> None:
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=15), model=NAME)
    calls: list[str] = []
    real_static, real_encoder = retriever.tune_static, retriever.tune_encoder

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append("best")
        return real_encoder(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retriever, "tune_encoder", counted)
        patch.setattr(retriever, "tune_static", killed)
        with pytest.raises(KeyboardInterrupt):
            hub.tune()
        patch.setattr(retriever, "tune_static", real_static)
        report = hub.tune()
    assert calls == ["best"]
    assert set(report.verdicts) == {"best", "fast"}


@pytest.mark.slow
def test_all_weights_can_be_tuned(tmp_path: Path, quick: None) -> None:
    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=15), model=NAME)
    report = hub.tune(tiers=["best"], method="full", epochs=3)
    assert report.verdicts["best"].kept
    folder = hub.workspace.folder / report.model
    assert (folder / "model" / "model.safetensors").is_file()
    assert hub.search("the thunder and the pepper")


def test_a_model_of_static_vectors_is_indexed_and_only_its_fast_tier_can_be_tuned(
    tmp_path: Path, quick: None
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    folder = tmp_path / "hub"
    folder.mkdir()
    tokenizer = Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
    module = StaticEmbedding(tokenizer, embedding_dim=64)
    SentenceTransformer(modules=[module]).save(str(folder / "bag"))
    (folder / "hub.toml").write_text("[embedding]\nmodel = 'bag'\n")
    hub = Hub.open(folder)
    hub.index([made_up_code(tmp_path / "team", files=15)], tier="best")
    for tier in ("fast", "best"):
        found = hub.search("def f3_4(value): return value", tier=tier)
        assert found[0].pattern.symbol == "f3_4"
    for method in ("--lora", "--full"):
        command = ["--hub", str(folder), "tune", "--tier", "best", method]
        refused = CliRunner().invoke(main, command)
        assert refused.exit_code == 2
        assert f"{folder / 'bag'} is no transformer: it cannot take LoRA" in refused.output
        assert "tune the fast tier alone" in refused.output
    assert hub.tune(tiers=["fast"]).verdicts["fast"].questions


def test_two_runs_at_once_are_refused(tmp_path: Path, quick: None) -> None:
    from filelock import FileLock

    hub = new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=15))
    home = hub.workspace.store_folder / "tuned"
    home.mkdir()
    with FileLock(home / "lock"), pytest.raises(HubError, match="another `patternhub tune`"):
        hub.tune(tiers=["fast"])


def test_epochs_that_never_end_or_never_begin_are_refused(tmp_path: Path) -> None:
    new_hub(tmp_path / "hub", made_up_code(tmp_path / "team", files=1))
    for epochs in ("inf", "nan", "0", "-1"):
        command = ["--hub", str(tmp_path / "hub"), "tune", "--epochs", epochs]
        found = CliRunner().invoke(main, command)
        assert found.exit_code == 2
        assert "a finite number above 0 is needed" in found.output


def test_a_hub_toml_that_cannot_be_written_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").mkdir()
    with pytest.raises(HubError, match=r"put model = 'x' under \[embedding\]"):
        tuning.use_model(tmp_path, "x")


@pytest.mark.slow  # a second process would tune for it once more
def test_a_tuned_folder_that_is_gone_is_named(tuned_best: tuple[Hub, Any]) -> None:
    hub, report = tuned_best
    folder = hub.workspace.folder / report.model
    moved = folder.with_name("away")
    shutil.move(folder, moved)
    try:
        with pytest.raises(HubError, match=rf"there is no folder {folder}; put it back"):
            Hub.open(hub.workspace.folder)
    finally:
        shutil.move(moved, folder)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """A hub that searches with a colleague's retriever; all its runtime files are made."""
    folder = tmp_path_factory.mktemp("theirs")
    shutil.copytree(SHIPPED, folder / "hub" / "theirs")
    (folder / "hub" / "hub.toml").write_text("[embedding]\nmodel = 'theirs'\n")
    hub = Hub.open(folder / "hub")
    hub.index([made_up_code(folder / "team", files=1)], tier="best")
    assert hub.search("the thunder and the pepper", tier="best")
    return hub


@pytest.mark.parametrize("file", [ADAPTER, STATIC, CARD])
def test_a_damaged_retriever_is_refused_though_its_runtime_files_are_in_the_cache(
    theirs: Hub, file: str
) -> None:
    home = theirs.workspace.folder
    path = home / "theirs" / file
    whole = path.read_bytes()
    altered = bytes([whole[0] ^ 1, *whole[1:]])
    try:
        for damaged in (b"", altered):
            path.write_bytes(damaged) if damaged else path.unlink()
            for command in (["index", str(home.parent / "team")], ["search", "it"], ["doctor"]):
                found = CliRunner().invoke(main, ["--hub", str(home), *command])
                assert found.exit_code
                assert str(path) in found.output
                way_out = "put the folder back as it was made, or set embedding.model"
                assert way_out in found.output
                assert ("is missing" in found.output) == (not damaged)
                if damaged and file != CARD:
                    for data in (whole, altered):
                        assert hashlib.sha256(data).hexdigest() in found.output
    finally:
        path.write_bytes(whole)


@functools.cache
def bench() -> tuple[Bench, list[Pattern]]:
    import tempfile

    from hub.preparing import with_ids
    from indexers.code import chunk_file

    with tempfile.TemporaryDirectory() as folder:
        root = made_up_code(Path(folder), files=6)
        patterns = [
            p
            for path in sorted(root.iterdir())
            for p in with_ids("team", chunk_file(path.name, path.read_bytes()))
        ]
    return Bench(patterns, collect_pairs(patterns, ["docs"]).kept), patterns


def test_the_corpus_holds_every_answer_and_none_of_its_documentation() -> None:
    found, patterns = bench()
    ids = {p.id for p in found.corpus}
    assert {pair.answer.id for pair in found.pairs} <= ids
    assert len(found.corpus) == len(patterns)
    assert not any("Bring the" in p.text for p in found.corpus)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=60, max_size=60), st.data())
def test_equal_models_are_never_told_apart(ranks: list[float], data: st.DataObject) -> None:
    found, _ = bench()
    fused = np.tile(np.array(ranks, dtype=np.float32), (len(WEIGHTS), 1))
    scores = Scores(fused, fused[0])
    verdict = found.verdict(scores, scores)
    assert (verdict.base, verdict.interval, verdict.kept) == (verdict.tuned, (0.0, 0.0), False)


def test_the_weight_is_fitted_on_other_files_than_it_is_judged_on() -> None:
    """A weight that is best on one half only cannot lift that half's own score."""
    found, _ = bench()
    half = np.array([bucket(f"half {pair.group}") < 0.5 for pair in found.pairs])
    assert 0 < half.sum() < len(half)
    fused = np.zeros((len(WEIGHTS), len(half)), dtype=np.float32)
    fused[0, half] = fused[1, ~half] = 1
    scores = Scores(fused, fused[0])
    assert found.verdict(scores, scores).tuned == 0


@given(st.lists(st.text(max_size=8), unique=True, min_size=2, max_size=20))
def test_a_file_is_always_on_the_same_side(names: list[str]) -> None:
    assert all(0 <= bucket(name) < 1 for name in names)
    assert len({bucket(name) for name in names}) == len(names)


def test_between_equal_weights_the_middle_one_is_taken() -> None:
    fused = np.zeros((len(WEIGHTS), 3), dtype=np.float32)
    fused[4:9] = 1
    assert best_weight(fused) == WEIGHTS[6]
    assert all(b > a for a, b in pairwise(WEIGHTS))
    assert measure.CONFIDENCE > 0.9
