"""What other programs are given says and does the same as what was trained."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.training_fixtures import FAMILIES, adapter_folder, rows, tokenizer, write_rows
from training.checkpoints import digest, problems, publish
from training.errors import TrainingError
from training.export import _write_modelfile, export
from training.go_template import _turns, begin_token, go_template
from training.prepare import load_tokenizer
from training.template import Template, read_template, template_of

GO_PROGRAM = Path(__file__).parent / "ollama_render.go"


def conversations(count: int = 50) -> list[list[dict[str, str]]]:
    """Of one to three questions, half of them with a system message; answers end in a newline."""
    made = []
    for at, row in enumerate(rows(count)):
        (asked,), (answer,) = row["prompt"], row["completion"]
        follow_up = {"role": "user", "content": f'  And `{at}` · {{{{ .Role }}}} """?\n\n'}
        turns = [asked, *[answer, follow_up] * (at % 3)]
        system = {"role": "system", "content": f"\nAnswer with code, {at}.\n"}
        made.append([system, *turns] if at % 2 else turns)
    return made


def begun(family: str) -> Any:
    """A family's tokenizer that puts the begin token before any text, as most of the real ones."""
    from tokenizers.processors import TemplateProcessing

    made = tokenizer(family)
    bos = (made.bos_token, made.bos_token_id)
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos[0]} $A", pair=f"{bos[0]} $A $B", special_tokens=[bos]
    )
    return made


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(vocab_size=400, num_attention_heads=2, num_key_value_heads=2, **shape)
    folder = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer("zephyr").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real adapter of that base, in a folder such as a run leaves."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("run")
    data = write_rows(folder / "data/train.jsonl", rows(6, system=True))
    partial = folder / "partial"
    model = AutoModelForCausalLM.from_pretrained(base)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(model, lora).save_pretrained(partial)
    made = tokenizer("zephyr")
    made.save_pretrained(partial)
    template_of(made).write(partial)
    config = {
        "revision": "",
        "data": {"max_length": 512, "packing": True},
        "quantization": {"bits": 4},
        "lora": {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear"},
        "train": {
            "epochs": 1.5,
            "max_steps": 0,
            "learning_rate": 2e-4,
            "batch_size": 2,
            "accumulation": 8,
            "warmup": 0.03,
            "weight_decay": 0.0,
            "seed": 0,
        },
    }
    about = {
        "base": str(base),
        "config": config,
        "data": [{"path": str(data), "sha256": digest(data)}],
        "steps": 100,
        "metrics": {},
    }
    (partial / "training.json").write_text(json.dumps(about))
    publish(partial, folder / "adapter")
    return folder / "adapter"


def template_in(modelfile: str) -> str:
    """The TEMPLATE that Ollama's parser reads: up to three quotes with white space after them."""
    value = modelfile.split('TEMPLATE """', 1)[1]
    ends = [at for at in range(len(value)) if value[:at].endswith('"""') and value[at].isspace()]
    return value[: ends[0] - 3]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_stored_with_an_adapter_renders_as_training_did(
    family: str, tmp_path: Path
) -> None:
    trained = tokenizer(family)
    template = template_of(trained)
    trained.chat_template = template.text
    trained.save_pretrained(tmp_path)
    template.write(tmp_path)
    served, stored = load_tokenizer(str(tmp_path)), read_template(tmp_path)
    for messages in conversations():
        expected = template.render(trained, messages, answer=True)
        assert stored.render(served, messages, answer=True) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_the_translation_for_ollama_renders_as_training_did(family: str) -> None:
    made = tokenizer(family)
    template = template_of(made)
    go_template(template, made)
    turns = _turns(template, made)
    for messages in conversations():
        assert turns.render(messages) == template.render(made, messages, answer=True)


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer_of", [tokenizer, begun])
def test_ollamas_template_language_renders_as_training_did(
    tokenizer_of: Any, tmp_path: Path
) -> None:
    """The Modelfile's TEMPLATE, run by Go itself, with what Ollama puts before it."""
    if not shutil.which("go"):
        pytest.skip("needs Go: apt-get install golang-go")
    asked, expected = [], []
    for family in FAMILIES:
        made = tokenizer_of(family)
        template = template_of(made)
        _write_modelfile(tmp_path, "FROM .", template, made)
        text = template_in((tmp_path / "Modelfile").read_text())
        asked.append({"template": text, "conversations": conversations()})
        begin = begin_token(made)
        prompts = [template.render(made, m, answer=True) for m in conversations()]
        expected.append([prompt.removeprefix(begin) for prompt in prompts])
    done = subprocess.run(
        ["go", "run", str(GO_PROGRAM)], input=json.dumps(asked), text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_the_begin_token_is_left_to_ollama_where_the_tokenizer_puts_it_itself() -> None:
    plain, itself = tokenizer("llama-3"), begun("llama-3")
    assert "<|begin_of_text|>" in go_template(template_of(plain), plain)
    assert "<|begin_of_text|>" not in go_template(template_of(itself), itself)


@pytest.mark.parametrize(
    "text",
    [
        # the number of a turn, only the end of a text, the letters of a text
        "{% for m in messages %}{{ loop.index }} {{ m['content'] }}</s>{% endfor %}",
        "{% for m in messages %}{{ m['content'].lstrip() }}</s>{% endfor %}",
        "{% for m in messages %}{{ m['content'] | replace('<', '&lt;') }}</s>{% endfor %}",
    ],
)
def test_a_template_that_cannot_be_translated_is_refused(text: str) -> None:
    made = tokenizer("zephyr")
    template = template_of(made, text=text, origin="mine.jinja")
    with pytest.raises(TrainingError, match="cannot be said in Ollama's language"):
        go_template(template, made)


def test_what_is_special_in_go_and_in_a_modelfile_is_quoted() -> None:
    made = tokenizer("zephyr")
    shown = "m['role'] + ' \"\"\" {{ \\\\ \\u200b: ' + m['content'] + '</s>'"
    text = "{% for m in messages %}{{ " + shown + " }}{% endfor %}"
    template = template_of(made, text=text, origin="mine.jinja")
    written = go_template(template, made)
    assert "\u200b" not in written
    assert template_in(f'TEMPLATE """{written}"""\n') == written


def test_a_merged_model_answers_as_base_and_adapter_do(
    adapter: Path, base: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    report = export(adapter, tmp_path / "out", form="merged")
    assert problems(tmp_path / "out") == []
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    apart = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    ids = torch.arange(1, 60).reshape(1, -1)
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, apart(ids).logits, atol=1e-4)
        with apart.disable_adapter():
            assert not torch.allclose(merged(ids).logits, apart(ids).logits, atol=1e-2)
    served = load_tokenizer(str(tmp_path / "out"))
    assert merged.generation_config.eos_token_id == [served.eos_token_id]
    stored: Template = read_template(adapter)
    asked = conversations()[1]
    assert served.apply_chat_template(asked, tokenize=False) == stored.render(served, asked)
    assert "Modelfile" in report.files


def test_ollama_is_given_base_adapter_template_and_stops(
    adapter: Path, base: Path, tmp_path: Path
) -> None:
    export(adapter, tmp_path / "out", form="ollama")
    text = (tmp_path / "out/Modelfile").read_text()
    assert text.startswith(f'FROM "{base}"\nADAPTER ./adapter\nTEMPLATE """')
    assert text.endswith('PARAMETER stop "</s>"\n')
    kept = tmp_path / "out/adapter"
    assert sorted(p.name for p in kept.iterdir()) == ["adapter_config.json", "model.safetensors"]
    report = export(adapter, tmp_path / "named", form="ollama", base="llama3.2:1b")
    assert report.next == f"ollama create NAME -f {tmp_path}/named/Modelfile"
    assert (tmp_path / "named/Modelfile").read_text().startswith('FROM "llama3.2:1b"\n')


def test_what_to_do_next_can_be_pasted_whatever_the_folder_is_called(
    adapter: Path, tmp_path: Path
) -> None:
    out = tmp_path / "it's OUT here"
    for form, written in (("ollama", out / "Modelfile"), ("unsloth", out)):
        said = export(adapter, out, form=form, base="llama3.2:1b").next
        assert str(written) in shlex.split(said)
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("model", "message"),
    [("qwen2", "use --to merged"), ("", "is no model"), ("id", "Ollama cannot fetch the base")],
)
def test_a_base_that_ollama_cannot_put_the_adapter_on_is_named(
    adapter: Path, tmp_path: Path, model: str, message: str
) -> None:
    place = tmp_path / "base"
    place.mkdir()
    if model:
        (place / "config.json").write_text(json.dumps({"model_type": model}))
    given = "meta-llama/Llama-3.2-1B" if model == "id" else str(place)
    with pytest.raises(TrainingError, match=message):
        export(adapter, tmp_path / "out", form="ollama", base=given)
    assert not list(tmp_path.glob("*out*"))


def test_unsloth_is_given_the_rows_and_settings_of_the_run(adapter: Path, tmp_path: Path) -> None:
    export(adapter, tmp_path / "out", form="unsloth")
    settings = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    assert set(settings) == {"model", "data", "training", "lora"}
    assert settings["data"] == {"local_dataset": ["train.jsonl"], "format_type": "chatml"}
    wanted = {"num_epochs": 2, "warmup_steps": 3, "load_in_4bit": True, "max_seq_length": 512}
    assert settings["training"].items() >= wanted.items()
    assert (settings["lora"]["lora_r"], settings["lora"]["lora_alpha"]) == (4, 8)
    lines = (tmp_path / "out/train.jsonl").read_text().splitlines()
    assert [json.loads(line)["messages"] for line in lines] == [
        [*row["prompt"], *row["completion"]] for row in rows(6, system=True)
    ]


def test_a_short_run_warms_up_at_unsloth_as_it_did_itself(adapter: Path, tmp_path: Path) -> None:
    """transformers rounds a share of the steps up."""
    short = tmp_path / "short"
    shutil.copytree(adapter, short)
    made = json.loads((short / "training.json").read_text())
    (short / "training.json").write_text(json.dumps(made | {"steps": 12}))
    export(short, tmp_path / "out", form="unsloth")
    settings = yaml.safe_load((tmp_path / "out/config.yaml").read_text())
    assert settings["training"]["warmup_steps"] == 1


def test_a_dataset_that_was_changed_since_is_not_passed_on(tmp_path: Path) -> None:
    made = adapter_folder(tmp_path / "adapter")
    with pytest.raises(TrainingError, match=r"train\.jsonl is not what the adapter learned from"):
        export(made, tmp_path / "out", form="unsloth")


def test_a_folder_that_is_there_stays_as_it_is(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is there already"):
        export(adapter, tmp_path, form="ollama")
    assert list(tmp_path.iterdir()) == []


def test_a_base_of_another_shape_is_named(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be merged into the base"):
        export(adapter, tmp_path / "out", form="merged", base=str(tmp_path / "nowhere"))
