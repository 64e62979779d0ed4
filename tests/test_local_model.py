"""Base and adapters answer together as they would alone, and what does not belong is refused."""

from __future__ import annotations

import json
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny_model import COUNT
from tests.training_fixtures import rows
from training import hardware
from training.checkpoints import publish
from training.config import make_config
from training.errors import TrainingError
from training.generate import Completion, LocalModel, Request
from training.scratch import build_base

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tiny_model import Tiny

QUESTIONS = [row["prompt"] for row in rows(COUNT)]
LONGER = [{"role": "user", "content": "Write the python function `open_file_0`. " * 6}]


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> LocalModel:
    made = LocalModel.load(str(tiny.base), precision="fp32")
    made.add("team@1.2.0", tiny.adapter)
    return made


def test_rows_of_base_and_adapter_decoded_together_are_what_each_is_alone(
    model: LocalModel,
) -> None:
    asked = [
        Request(QUESTIONS[0]),
        Request(QUESTIONS[0], "team@1.2.0"),
        Request(LONGER),
        Request(LONGER, "team@1.2.0"),
    ]
    together = model.generate(asked, max_tokens=24)
    alone = [model.generate([request], max_tokens=24)[0] for request in asked]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.tokens for answer in together] == [answer.tokens for answer in alone]
    assert [answer.prompt_tokens for answer in together] == [a.prompt_tokens for a in alone]
    assert together[0].text != together[1].text


def test_the_adapter_answers_as_it_was_trained_and_stops_at_its_stop_token(
    model: LocalModel,
) -> None:
    answers = model.generate([Request(q, "team@1.2.0") for q in QUESTIONS], max_tokens=60)
    expected = [row["completion"][0]["content"] for row in rows(COUNT)]
    assert [answer.text for answer in answers] == expected
    assert {answer.finish for answer in answers} == {"stop"}
    assert all(0 < answer.tokens < 60 and answer.seconds > 0 for answer in answers)
    assert model.effect("team@1.2.0", QUESTIONS) > 0


def test_an_answer_comes_in_pieces_that_make_up_the_whole(model: LocalModel) -> None:
    parts = list(model.stream([Request(q, "team@1.2.0") for q in QUESTIONS[:2]], max_tokens=60))
    for row in range(2):
        pieces = [part for at, part in parts if at == row]
        assert isinstance(pieces[-1], Completion)
        assert len(pieces) > 5
        assert "".join(map(str, pieces[:-1])) == pieces[-1].text


def test_stop_texts_and_the_longest_length_end_an_answer(model: LocalModel) -> None:
    asked = [Request(QUESTIONS[0], "team@1.2.0")]
    whole = model.generate(asked, max_tokens=60)[0].text
    (stopped,) = model.generate(asked, max_tokens=60, stop=("return",))
    assert stopped.text == whole.partition("return")[0]
    assert stopped.finish == "stop"
    (cut,) = model.generate(asked, max_tokens=3)
    assert (cut.finish, cut.tokens) == ("length", 3)
    assert whole.startswith(cut.text)


def test_a_seed_repeats_what_was_sampled(model: LocalModel) -> None:
    asked = [Request(QUESTIONS[0]), Request(QUESTIONS[1])]

    def sampled(seed: int) -> list[str]:
        found = model.generate(asked, max_tokens=16, seed=seed, temperature=1.5)
        return [answer.text for answer in found]

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_a_reader_that_goes_away_leaves_the_model_free_for_the_next(model: LocalModel) -> None:
    parts = model.stream([Request(LONGER)], max_tokens=2000)
    next(parts)
    parts.close()
    done = threading.Event()
    threading.Thread(target=lambda: (model.generate([Request(LONGER)], max_tokens=2), done.set()),
                     daemon=True).start()  # fmt: skip
    assert done.wait(60)


def test_a_base_in_four_bits_serves_its_adapter_too(tiny: Tiny) -> None:
    model = LocalModel.load(str(tiny.base), bits=4)
    model.add("team", tiny.adapter)
    base, adapted = model.generate([Request(QUESTIONS[0]), Request(QUESTIONS[0], "team")],
                                   max_tokens=30)  # fmt: skip
    assert base.text != adapted.text
    kinds = {type(module).__name__ for module in model._model.modules()}
    assert "Linear4bit" in kinds


def test_in_bf16_on_a_cpu_prompts_have_few_shapes_and_the_same_answers(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch keeps a compiled kernel for each shape that it has met."""
    if hardware.device_kind() != "cpu":
        pytest.skip("on a GPU nothing is kept for a shape")
    model = LocalModel.load(str(tiny.base), precision="bf16")
    model.add("team", tiny.adapter)
    shapes: list[int] = []
    decode = model._model.generate

    def seen(**given: Any) -> Any:
        shapes.append(given["input_ids"].shape[1])
        return decode(**given)

    monkeypatch.setattr(model._model, "generate", seen)
    answers = [model.generate([Request(q, "team")], max_tokens=60)[0] for q in QUESTIONS]
    assert [answer.text for answer in answers] == [
        row["completion"][0]["content"] for row in rows(COUNT)
    ]
    asked = [[{"role": "user", "content": "Count. " * n}] for n in range(1, 30)]
    lengths = [model.generate([Request(q)], max_tokens=1)[0].prompt_tokens for q in asked]
    assert len(set(lengths)) == len(asked)
    assert len(set(shapes)) == len({-(-length // 64) for length in lengths})


def test_a_prompt_without_room_for_its_answer_is_refused_with_both_numbers(
    model: LocalModel,
) -> None:
    with pytest.raises(TrainingError, match=r"answer of 5000 are more than the 4096"):
        model.generate([Request(QUESTIONS[0])], max_tokens=5000)


def test_an_adapter_that_nobody_loaded_is_named(model: LocalModel) -> None:
    with pytest.raises(TrainingError, match=r"no adapter 'other' is loaded .*there: team@1\.2\.0"):
        model.generate([Request(QUESTIONS[0], "other")])


def changed(
    adapter: Path, folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> Path:
    """A copy of an adapter with another configuration or other weights, published anew."""
    partial = folder / "partial"
    shutil.copytree(adapter, partial)
    config = json.loads((partial / "adapter_config.json").read_text())
    weights = load_file(partial / "adapter_model.safetensors")
    change(config, weights)
    (partial / "adapter_config.json").write_text(json.dumps(config))
    save_file(weights, partial / "adapter_model.safetensors")
    publish(partial, folder / "adapter")
    return folder / "adapter"


def of_another_base(config: dict[str, Any], _: dict[str, Any]) -> None:
    config["base_model_name_or_path"] = "acme/other-base"


def of_another_rank(config: dict[str, Any], _: dict[str, Any]) -> None:
    config["r"] = 32


def wider(_: dict[str, Any], weights: dict[str, Any]) -> None:
    name = next(name for name in weights if "lora_A" in name)
    weights[name] = torch.ones(16, 80)


def deeper(_: dict[str, Any], weights: dict[str, Any]) -> None:
    name = next(name for name in weights if "layers.1" in name and "lora_A" in name)
    for part in ("lora_A", "lora_B"):
        old = name.replace("lora_A", part)
        weights[old.replace("layers.1", "layers.7")] = weights.pop(old)


def silent(_: dict[str, Any], weights: dict[str, Any]) -> None:
    for name in weights:
        if "lora_B" in name:
            weights[name] = torch.zeros_like(weights[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_another_base, r"trained on acme/other-base, and the base here is .*base"),
        (of_another_rank, r"says rank 32, and its weights at .* have rank 16"),
        (wider, r"has 80 to \d+ at .*, and .* has \d+ to \d+"),
        (deeper, r"changes model\.layers\.7\..*has no such layer"),
        (silent, r"changes nothing on"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_it_is_loaded(
    tiny: Tiny,
    tmp_path: Path,
    change: Any,
    said: str,
) -> None:
    model = LocalModel.load(str(tiny.base), precision="fp32")
    with pytest.raises(TrainingError, match=said):
        model.add("team", changed(tiny.adapter, tmp_path, change))
    assert model.adapters == ()
    assert model.generate([Request(QUESTIONS[0])], max_tokens=2)[0].tokens == 2


def test_an_adapter_that_was_altered_since_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.adapter, tmp_path / "adapter")
    (tmp_path / "adapter/template.json").write_text("{}")
    model = LocalModel.load(str(tiny.base), precision="fp32")
    with pytest.raises(TrainingError, match=r"template\.json is not what was saved"):
        model.add("team", tmp_path / "adapter")


def test_a_base_that_was_moved_still_takes_its_adapter_and_another_of_its_shape_does_not(
    tiny: Tiny,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny.base, tmp_path / "moved")
    moved = LocalModel.load(str(tmp_path / "moved"), precision="fp32")
    moved.add("team", tiny.adapter)
    assert moved.adapters == ("team",)
    scratch = {"vocabulary": 400, "hidden": 128, "layers": 2, "heads": 4, "steps": 1}
    made = make_config({"scratch": scratch, "dataset": str(tiny.dataset), "output": "unused"})
    other = LocalModel.load(str(build_base(made, tmp_path / "other")), precision="fp32")
    with pytest.raises(TrainingError, match=r"trained on .*base, and the base here is .*other"):
        other.add("team", tiny.adapter)
