"""A run ends with a whole adapter, whatever stopped it on the way; all of it is really trained."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hub.serving.registry import Registry
from tests.training_fixtures import rows, write_rows
from training import loop
from training.adapter import base_of
from training.checkpoints import problems, saved, state_of
from training.config import Config, make_config
from training.errors import TrainingError
from training.export import export
from training.generate import LocalModel
from training.output import Stop, alone
from training.preflight import preflight
from training.prepare import prepare
from training.runlog import RunLog, read_log
from training.scratch import build_base
from training.sft import Result, train, trainer_of
from training.template import read_template

TINY: dict[str, Any] = {
    "data": {"max_length": 128, "packing": False},
    "lora": {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear"},
    "train": {
        "epochs": 3,
        "learning_rate": 2e-3,
        "batch_size": 2,
        "accumulation": 2,
        "strategy": "steps",
        "save_steps": 2,
        "eval_steps": 4,
    },
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    write_rows(folder / "train.jsonl", rows(14))
    write_rows(folder / "validation.jsonl", rows(4))
    return folder


@pytest.fixture(scope="module")
def base(dataset: Path) -> Path:
    scratch = {"vocabulary": 400, "hidden": 64, "layers": 2, "heads": 2, "steps": 20}
    made = make_config({"scratch": scratch, "dataset": str(dataset), "output": "unused"})
    return build_base(made, dataset / "base")


def settings(base: Path, dataset: Path, output: Path, **changed: Any) -> Config:
    run = {**TINY, "base": str(base), "dataset": str(dataset), "output": str(output)}
    for key, value in changed.items():
        part, _, name = key.partition("__")
        run[part] = {**run[part], name: value} if name else value
    return make_config(run)


def weights(result: Result) -> dict[str, torch.Tensor]:
    assert result.adapter is not None
    found: dict[str, torch.Tensor] = load_file(result.adapter / "adapter_model.safetensors")
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def whole(base: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run that nothing stopped."""
    return train(settings(base, dataset, tmp_path_factory.mktemp("whole") / "run"))


def test_a_run_ends_with_an_adapter_that_is_whole_and_says_what_it_is(
    whole: Result, base: Path
) -> None:
    assert whole.adapter is not None
    assert problems(whole.adapter) == []
    made_from = json.loads((whole.adapter / "training.json").read_text())
    assert made_from["base"] == str(base)
    assert made_from["data"][0]["kept"] == 14
    assert len(made_from["data"][0]["sha256"]) == 64
    assert read_template(whole.adapter).stops == ("<|im_end|>",)
    assert not list(whole.adapter.glob("optimizer*"))
    steps = [event for event in read_log(whole.adapter.parent) if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 13))
    assert steps[-1]["loss"] < steps[0]["loss"]
    for key in ("learning_rate", "grad_norm", "tokens_per_second", "eta_seconds", "peak_bytes"):
        assert all(event[key] is not None for event in steps)
    evaluations = {
        e["step"]: e["loss"]
        for e in read_log(whole.adapter.parent)
        if "loss" in e and e["event"] == "evaluation"
    }
    assert list(evaluations) == [4, 8, 12]
    assert made_from["step"] == min(evaluations, key=lambda step: evaluations[step])
    # A resume looks there for the best, and would call the place of a save that is over lost.
    state = state_of(saved(whole.adapter.parent / "checkpoints")[-1])
    assert (state["best_global_step"], state["best_model_checkpoint"]) == (made_from["step"], None)


def test_the_adapter_loads_on_its_base_and_changes_what_it_says(whole: Result, base: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(whole.adapter)
    ids = tokenizer("def open_file_0", return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        before = model(**ids).logits
        after = PeftModel.from_pretrained(model, whole.adapter)(**ids).logits
    assert not torch.allclose(before, after)


@pytest.mark.slow
def test_an_adapter_whose_base_the_run_has_built_outlives_the_runs_folder(
    dataset: Path, tmp_path: Path
) -> None:
    scratch = {"vocabulary": 400, "hidden": 64, "layers": 2, "heads": 2, "steps": 2}
    places = {"dataset": str(dataset), "output": str(tmp_path / "run"), "scratch": scratch}
    config = make_config({**TINY, **places, "train": TINY["train"] | {"epochs": 1}})
    result = train(config)
    assert result.adapter is not None
    registry = Registry.open(tmp_path / "adapters")
    kept = registry.take(result.adapter, name="team")
    shutil.rmtree(tmp_path / "run")
    folder = registry.path(kept)
    assert registry.verify() == {kept.reference: []}
    assert kept.base.startswith("scratch-")
    assert base_of(folder) == str(folder / "base")
    model = LocalModel.load(base_of(folder))
    model.add("team", folder)
    assert export(folder, tmp_path / "merged", form="merged").files["model.safetensors"] > 0


@pytest.mark.parametrize("step", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 7))])
def test_a_run_stopped_by_ctrl_c_goes_on_to_the_very_same_weights(
    step: int, whole: Result, base: Path, dataset: Path, tmp_path: Path
) -> None:
    config = settings(base, dataset, tmp_path / "run")

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = train(config, listener=interrupt)
    assert stopped.adapter is None
    assert stopped.stopped == "interrupted"
    assert stopped.steps <= step + 1
    checkpoint = saved(tmp_path / "run/checkpoints")[-1]
    assert problems(checkpoint) == []
    with pytest.raises(TrainingError, match="--resume"):
        train(config)
    resumed = train(config, resume=True)
    assert same(weights(resumed), weights(whole))
    assert resumed.metrics == whole.metrics
    with pytest.raises(TrainingError, match="this run is done"):
        train(config, resume=True)


@pytest.mark.slow
def test_by_epochs_too_and_packed_a_stopped_run_goes_on_exactly(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    by_epoch = {"train": {**TINY["train"], "strategy": "epoch"}, "data__packing": True}
    for unused in ("save_steps", "eval_steps"):
        del by_epoch["train"][unused]
    by_epoch["train"] |= {"batch_size": 1, "epochs": 4}
    expected = train(settings(base, dataset, tmp_path / "whole", **by_epoch))
    config = settings(base, dataset, tmp_path / "run", **by_epoch)

    asked: set[int] = set()

    def interrupt(event: dict[str, Any]) -> None:
        """Once in each process: a second Ctrl-C does not wait for a step."""
        if event["event"] == "step" and len(asked) == stops:
            asked.add(event["step"])
            os.kill(os.getpid(), signal.SIGINT)

    stops = 0
    result = train(config, listener=interrupt)
    while result.adapter is None:
        stops += 1
        result = train(config, resume=True, listener=interrupt)
    assert stops > 2
    assert same(weights(result), weights(expected))
    assert result.metrics == expected.metrics


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(
    whole: Result, base: Path, dataset: Path, tmp_path: Path
) -> None:
    config = settings(base, dataset, tmp_path / "run")

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "save" and event["step"] == 8:
            os.kill(os.getpid(), signal.SIGINT)

    train(config, listener=interrupt)
    last = saved(tmp_path / "run/checkpoints")[-1]
    with (last / "optimizer.pt").open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    resumed = train(config, resume=True)
    events = read_log(tmp_path / "run")
    (damaged,) = [event for event in events if event["event"] == "damaged"]
    assert damaged["problems"] == ["optimizer.pt is not what was saved"]
    assert (tmp_path / f"run/checkpoints/damaged-{last.name}").is_dir()
    assert same(weights(resumed), weights(whole))


def test_a_disk_that_fills_during_a_save_leaves_the_checkpoint_before_it(
    whole: Result, base: Path, dataset: Path, tmp_path: Path
) -> None:
    config = settings(base, dataset, tmp_path / "run")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(event: dict[str, Any]) -> None:
        if event["event"] == "save" and event["step"] == 4:  # no file may grow past the log's size
            resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, usual[1]))

    try:
        with pytest.raises(TrainingError, match=r"checkpoint of step 6 cannot be saved in .* free"):
            train(config, listener=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert [path.name for path in saved(tmp_path / "run/checkpoints")][-1] == "checkpoint-4"
    assert not list((tmp_path / "run/checkpoints").glob(".partial/*"))
    assert read_log(tmp_path / "run")[-1]["event"] == "failed"
    assert same(weights(train(config, resume=True)), weights(whole))


def test_a_disk_that_fills_under_the_tokenizer_ends_the_run_with_a_sentence(
    base: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise Exception("No space left on device (os error 28)")

    config = settings(base, dataset, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("transformers.PreTrainedTokenizerBase.save_pretrained", full)
        with pytest.raises(TrainingError, match=r"step 2 cannot be saved .* free: No space"):
            train(config)
    assert train(config).adapter


def test_a_run_on_the_output_of_another_is_refused(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    with (
        alone(tmp_path / "run"),
        pytest.raises(TrainingError, match="another process is training into"),
    ):
        train(settings(base, dataset, tmp_path / "run"))


def test_a_run_goes_on_only_with_the_settings_and_rows_it_began_with(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    mine = write_rows(tmp_path / "data/train.jsonl", rows(14)).parent
    config = settings(base, mine, tmp_path / "run")
    with pytest.raises(TrainingError, match="no run to go on with"):
        train(config, resume=True)

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 1:
            os.kill(os.getpid(), signal.SIGINT)

    train(config, listener=interrupt)
    other = settings(base, mine, tmp_path / "run", train__learning_rate=1e-4, lora__r=8)
    with pytest.raises(TrainingError, match=r"lora\.r was 4, is 8; train\.learning_rate was"):
        train(other, resume=True)
    write_rows(mine / "train.jsonl", rows(15))
    with pytest.raises(TrainingError, match="is not what"):
        train(config, resume=True)


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_saved(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in base.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"the loss is nan in step 1; train\.learning_rate"):
        train(settings(broken, dataset, tmp_path / "run"))
    assert saved(tmp_path / "run/checkpoints") == []
    assert "loss is nan" in read_log(tmp_path / "run")[-1]["reason"]


def test_a_run_that_diverges_stops_and_says_from_what_to_what(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    wild = {**TINY["train"], "learning_rate": 0.9, "epochs": 20, "scheduler": "constant"}
    config = settings(base, dataset, tmp_path / "run", train=wild | {"divergence": 1.05})
    with pytest.raises(TrainingError, match=r"the loss has risen from 4.* to .*train\.divergence"):
        train(config)


def test_a_run_without_progress_stops_early_and_keeps_the_best(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    still = {**TINY["train"], "learning_rate": 1e-30, "patience": 1}
    result = train(settings(base, dataset, tmp_path / "run", train=still))
    assert result.stopped == "no better evaluation in 1"
    assert result.steps == 8
    assert result.adapter is not None
    assert json.loads((result.adapter / "training.json").read_text())["step"] == 4


def short_of_memory(real: Any) -> Any:
    """A trainer for which two rows at a time are too many."""

    class Trainer(real):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
            if inputs["input_ids"].shape[0] > 1:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().training_step(model, inputs, *rest)

    return Trainer


def test_a_disk_that_fills_at_the_very_end_leaves_a_run_to_go_on_with(
    base: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(base, dataset, tmp_path / "run", train__epochs=1)
    with monkeypatch.context() as patch:

        def full(_from: Path, to: Path, **_: Any) -> None:
            to.mkdir()
            raise shutil.Error([("a", "b", "[Errno 28] No space left on device")])

        patch.setattr("training.sft.shutil.copytree", full)
        with pytest.raises(TrainingError, match=r"free: \[Errno 28\] No space .*; make room"):
            train(config)
    assert not (tmp_path / "run/.adapter").exists()
    assert train(config, resume=True).adapter


@pytest.mark.parametrize("size", [0, 100])
def test_a_base_whose_weights_are_broken_is_named_before_and_in_a_run(
    size: int, base: Path, dataset: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(base, tmp_path / "base")
    (weights,) = broken.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:size])
    config = settings(broken, dataset, tmp_path / "run")
    assert preflight(config, steps=1)[-1].passed is False
    with pytest.raises(TrainingError, match="cannot be trained so"):
        train(config)
    weights.unlink()
    assert "has no weights" in str(preflight(config)[1])


def test_where_memory_runs_out_half_the_batch_is_tried_or_the_setting_named(
    base: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.trainer_class()
    monkeypatch.setattr("training.sft.trainer_class", lambda: short_of_memory(real))
    with pytest.raises(TrainingError, match=r"train\.batch_size = 1 with train\.accumulation = 4"):
        train(settings(base, dataset, tmp_path / "stop"))
    halve = {"train__out_of_memory": "halve", "train__epochs": 1}
    config = settings(base, dataset, tmp_path / "run", **halve)
    assert train(config).steps == 4
    (event,) = [e for e in read_log(tmp_path / "run") if e["event"] == "memory"]
    assert (event["batch_size"], event["accumulation"]) == (1, 4)


@pytest.mark.parametrize("count", [0, 1])
def test_a_dataset_of_one_row_trains_and_one_of_none_is_refused(
    count: int, base: Path, tmp_path: Path
) -> None:
    folder = write_rows(tmp_path / "data/train.jsonl", rows(count)).parent
    config = settings(base, folder, tmp_path / "run", train__epochs=1)
    if count:
        assert train(config).adapter
    else:
        with pytest.raises(TrainingError, match="nothing to learn from: no rows"):
            train(config)


def test_a_base_that_is_not_there_is_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nowhere"):
        train(settings(tmp_path / "nowhere", dataset, tmp_path / "run"))


def test_layers_that_the_base_does_not_have_are_named(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    config = settings(base, dataset, tmp_path / "run", lora__target_modules=["query_key_value"])
    with pytest.raises(TrainingError, match="query_key_value"):
        train(config)


def test_packed_rows_do_not_see_each_other_and_none_is_lost(
    base: Path, dataset: Path, tmp_path: Path
) -> None:
    exact = {"train": TINY["train"] | {"batch_size": 1, "precision": "fp32"}, "quantization": None}
    packed = settings(base, dataset, tmp_path / "run", **exact, data__packing=True)
    (tmp_path / "run").mkdir()
    log = RunLog(tmp_path / "run")
    prepared = prepare(packed, log)
    trainer = trainer_of(packed, prepared, log, Stop())
    lengths = [n for row in trainer.train_dataset["seq_lengths"] for n in row]
    assert sorted(lengths) == sorted(len(s.input_ids) for s in prepared.train)
    row = max(trainer.train_dataset, key=lambda row: len(row["seq_lengths"]))
    batch = trainer.data_collator([row])
    assert batch["input_ids"].numel() == len(row["input_ids"])  # no padding at all
    model = trainer.model.eval()
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
        start = row["seq_lengths"][0]
        alone_ids = batch["input_ids"][:, start : start + row["seq_lengths"][1]]
        apart = model(input_ids=alone_ids).logits
    part = together[:, start : start + apart.shape[1]]
    assert torch.allclose(part, apart, atol=1e-4)


@pytest.mark.parametrize(("most", "taken"), [(3, 3), (50, 4)])
def test_a_run_takes_its_most_steps_only_where_its_epochs_would_take_more(
    most: int, taken: int, base: Path, dataset: Path, tmp_path: Path
) -> None:
    short = TINY["train"] | {"epochs": 1, "max_steps": most}
    assert train(settings(base, dataset, tmp_path / "run", train=short)).steps == taken
