"""Settings of a run: what is wrong is named at once, and the reference is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from training.config import load_config, make_config, presets
from training.errors import TrainingError

PLACES = {"dataset": "OUT", "output": "RUN"}
FOLDER = Path(__file__).parents[1] / "training/presets"


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_valid_and_opens_with_the_command_that_runs_it(name: str) -> None:
    config = load_config(name, PLACES)
    assert config.base or config.scratch
    first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    folder = "DATASET/fim" if name == "completion-fim" else "DATASET"
    assert first == f"# python -m training {name} --dataset {folder} --output RUN"


def test_the_reference_has_the_values_it_is_known_for() -> None:
    config = load_config("llama-3.2-1b-qlora", PLACES)
    assert config.quantization
    four = config.quantization
    assert (four.bits, four.type, four.double) == (4, "nf4", True)
    assert (config.lora.r, config.lora.alpha, config.lora.dropout) == (16, 32, 0.05)
    assert config.lora.target_modules == ["q_proj", "k_proj", "v_proj", "o_proj"]
    run = config.train
    assert (run.epochs, run.learning_rate, run.batch_size, run.accumulation) == (4, 2e-4, 2, 8)
    assert (run.optimizer, run.scheduler, run.warmup) == ("adamw_8bit", "cosine", 0.03)
    assert (config.data.max_length, config.data.packing) == (2048, True)
    assert (run.max_grad_norm, run.precision) == (1.0, "auto")


def test_everything_wrong_is_named_at_once() -> None:
    settings = {
        "base": "a",
        "scratch": {"hidden": 64, "heads": 3},
        "output": "RUN",
        "lora": {"rank": 8, "dropout": 1.5},
        "quantization": {"bits": 8, "type": "fp4"},
        "train": {
            "strategy": "steps",
            "save_steps": 30,
            "eval_steps": 50,
            "epoch": 2,
            "seed": -1,
            "epochs": float("inf"),
        },
        "datas": {},
    }
    with pytest.raises(TrainingError) as caught:
        make_config(settings, "my.yaml")
    message = str(caught.value)
    for part in (
        "my.yaml:",
        "dataset is missing: the folder with the splits",
        "unknown key 'lora.rank'; known keys: r, alpha, dropout",
        "lora.dropout = 1.5: Input should be less than 1",
        "unknown key 'train.epoch'; did you mean 'epochs'?",
        "train.seed = -1",
        "train.epochs = inf: Input should be a finite number",
        "unknown key 'datas'; did you mean 'data'?",
        "base = 'a' and scratch",
        "train.eval_steps = 50 is no multiple of train.save_steps = 30",
        "quantization.type is of 4-bit weights",
        "scratch.hidden = 64 is no even multiple of scratch.heads = 3",
    ):
        assert part in message, part


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "base: name a folder or a model id"),
        ({"base": "a", "train": {"save_steps": 10}}, "train.strategy is 'epoch'"),
        ({"base": "a", "train": {"scheduler": "constant", "warmup": 0.1}}, "has none"),
        ({"base": "a", "train": {"epochs": "many"}}, "train.epochs = 'many'"),
        ({"base": "a", "train": 3}, "train = 3"),
        ({"base": "a", "lora": {"target_modules": []}}, "lora.target_modules"),
    ],
)
def test_a_contradiction_or_a_wrong_value_is_refused(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(TrainingError, match=said.replace(".", r"\.")):
        make_config({**PLACES, **settings})


def test_settings_given_by_name_take_the_place_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("base: a\ndataset: d\noutput: o\ntrain:\n  learning_rate: 2e-5\n")
    config = load_config(str(path), {"train.epochs": 1, "output": "p"})
    assert (config.train.epochs, config.output, config.train.learning_rate) == (1, "p", 2e-5)


@pytest.mark.parametrize("text", ["- a\n- b\n", "base: [\n", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=r"run\.yaml"):
        load_config(str(path))


def test_an_unknown_preset_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(TrainingError, match="scratch-tiny"):
        load_config("llama-9", PLACES)


def test_settings_survive_their_way_through_yaml() -> None:
    """Of every preset: the file that a run keeps can be given to a run."""
    for name in presets():
        config = load_config(name, PLACES)
        assert make_config(yaml.safe_load(yaml.safe_dump(config.model_dump()))) == config
