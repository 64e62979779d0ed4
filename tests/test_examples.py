"""Examples by hand and from other datasets: what is written is read, what is wrong is named."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hub.cli import main
from hub.config import Dataset
from hub.curate.rows import PIECES, PROSE
from hub.curate.validate import Validator
from hub.dataset.checking import check_dataset, example_check
from hub.dataset.handwritten import (
    TASKS,
    WrongError,
    example_of,
    new_example,
    read_handwritten,
    write_example,
)
from hub.dataset.importing import import_examples, read_imported
from hub.dataset.reviewing import REJECTED, correct, reject, rejected
from hub.errors import HubError
from hub.reporting import silent
from hub.types import Message

WRITTEN = """---
category: error handling
task: implement
---
# Prompt

Write `add`:

```python
# Completion
add(1, 2)  # 3
```

## Rules

No classes.

# Completion

```py
def add(left: int, right: int) -> int:
    return left + right
```
"""


def written(folder: Path, text: str, name: str = "a.md") -> Path:
    path = folder / "examples" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def validator() -> Validator:
    return Validator(Dataset(), (), None)


def test_a_file_is_an_example_with_its_code_out_of_the_fence(tmp_path: Path) -> None:
    written(tmp_path, WRITTEN, "errors/add.md")
    (example,) = read_handwritten(tmp_path)
    assert example.prompt[0].content.startswith("Write `add`:\n\n```python\n# Completion\nadd")
    assert example.prompt[0].content.endswith("## Rules\n\nNo classes.")
    assert example.completion == (
        Message("assistant", "def add(left: int, right: int) -> int:\n    return left + right"),
    )
    assert (example.category, example.task) == ("error handling", "implement")
    assert (example.language, example.source, example.path) == (
        "python",
        "handwritten",
        "errors/add.md",
    )
    assert (example.start_line, example.end_line) == (1, len(WRITTEN.splitlines()))
    assert example_check(validator())(example) == example


def test_prompt_and_completion_may_be_in_the_front_matter(tmp_path: Path) -> None:
    front = "category: x\ntask: answer\nlanguage: go\nprompt: |\n  Why?\n  Now.\ncompletion: So."
    written(tmp_path, f"---\r\n{front}\r\n---\r\n")
    (example,) = read_handwritten(tmp_path)
    assert (example.prompt[0].content, example.completion[0].content) == ("Why?\nNow.", "So.")
    assert example.language == "go"


WRONG = [
    ("# Prompt\nno front", 1, "no front matter"),
    ("---\ncategory: x\ntask: y\n", 1, "no front matter"),
    ("---\ncategory: x\ntask: [y\n---\n# Prompt\n", 4, "the front matter is no YAML"),
    ("---\ncategory: x\n\ttask: y\n---\n", 3, "cannot start any token"),
    ("---\n- x\n---\n", 2, "expected `key: value` lines"),
    ("---\ncategory: x\ntaks: y\n---\n", 3, "unknown key 'taks'"),
    ("---\ncategory: [x]\ntask: y\n---\n", 2, "category is ['x'], expected a text"),
    ("---\ntask: y\n---\n# Prompt\nx\n# Completion\ny\n", 1, "no category"),
    ("---\ncategory: x\ntask:\n---\n# Prompt\nx\n# Completion\ny\n", 3, "no task"),
    ("---\ncategory: x\ntask: y\n---\n# Prompt\n<!-- z -->\n# Completion\ny\n", 5, "no prompt"),
    ("---\ncategory: x\ntask: y\n---\n# Prompt\nx\n", 1, "a section `# Completion`"),
    (WRITTEN + "# Prompt\nagain\n", 24, "a second prompt"),
]


@pytest.mark.parametrize(("text", "line", "told"), WRONG)
def test_what_is_wrong_is_named_by_file_and_line(
    tmp_path: Path, text: str, line: int, told: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(HubError) as caught:
        read_handwritten(tmp_path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert told in str(caught.value)


def test_every_wrong_file_is_named_at_once(tmp_path: Path) -> None:
    written(tmp_path, "# Prompt\nx", "1.md")
    written(tmp_path, WRITTEN, "2.md")
    (tmp_path / "examples/3.md").write_bytes(b"---\ncaf\xe9: x\n---\n")
    with pytest.raises(HubError) as caught:
        read_handwritten(tmp_path)
    assert [line.split(":")[0][-4:] for line in str(caught.value).splitlines()] == ["1.md", "3.md"]


@given(st.text(), st.text())
def test_any_front_matter_is_read_or_refused(front: str, body: str) -> None:
    with contextlib.suppress(WrongError):
        example = example_of(f"---\n{front}\n---\n{body}", "a.md")
        assert example.prompt[0].content
        assert example.completion[0].content


@pytest.mark.parametrize("task", TASKS)
def test_a_template_is_to_be_filled_in_and_then_read(tmp_path: Path, task: str) -> None:
    path = new_example(tmp_path, "HTTP: clients & servers", task)
    with pytest.raises(HubError, match=f"{path.name}:.*no prompt"):
        read_handwritten(tmp_path)
    path.write_text(path.read_text().replace("<!--", "").replace("-->", ""))
    (example,) = read_handwritten(tmp_path)
    assert (example.category, example.task) == ("HTTP: clients & servers", task)
    assert {*PIECES, *PROSE} & set(TASKS) == {
        "complete", "name", "explain", "design", "standard", "answer",
    }  # fmt: skip


def test_new_examples_get_names_of_their_own_and_a_team_s_template_comes_first(
    tmp_path: Path,
) -> None:
    invoke = CliRunner().invoke
    arguments = ["--hub", str(tmp_path), "examples", "new", "--category", "Error Handling"]
    assert invoke(main, arguments).exit_code == 0
    (tmp_path / "examples/templates").mkdir()
    (tmp_path / "examples/templates/error-handling.md").write_text(WRITTEN)
    result = invoke(main, arguments)
    names = [f"error-handling-implement-{n}.md" for n in (1, 2)]
    assert sorted(p.name for p in (tmp_path / "examples").glob("*.md")) == names
    assert (tmp_path / "examples" / names[1]).read_text() == WRITTEN
    assert names[1] in result.output
    for wrong in (["--category", "../"], ["--category", "x", "--task", "sing"]):
        result = invoke(main, [*arguments[:4], *wrong])
        assert result.exit_code == 2
        assert "Error: " in result.output


GOOD: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": "What is it?", "completion": "It is a sum."}, "What is it?", "It is a sum."),
    (
        {"messages": [{"role": r, "content": f"{r} says"} for r in ("user", "assistant")]},
        "user says",
        "assistant says",
    ),
    (
        {"instruction": "Add", "input": "1 and 2", "output": "That is 3.", "source_url": "x"},
        "Add\n\n1 and 2",
        "That is 3.",
    ),
    (
        {
            "conversations": [
                {"from": "human", "value": "Hi?"},
                {"from": "gpt", "value": "Hello you"},
            ]
        },
        "Hi?",
        "Hello you",
    ),
    ({"text": "### Human: Why so?\n### Assistant: Because of it."}, "Why so?", "Because of it."),
    (
        {"text": "<s><|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nIt is.<|im_end|>"},
        "Why?",
        "It is.",
    ),
    (
        {"text": "### Instruction:\nSum up.\n\n### Input:\nA # text\n\n### Response:\nShort it is"},
        "Sum up.\n\nA # text",
        "Short it is",
    ),
    ({"prompt": "One\r\nline", "completion": "is enough \r\n"}, "One\nline", "is enough"),
]
REFUSED = {
    "text without turns": {"text": "just a text"},
    "structure": {"messages": [{"role": "user", "content": "left alone"}]},
    "placeholder": {"instruction": "Do", "output": "your code here"},
    "duplicate": {"prompt": "What is it?", "completion": "It is a sum."},
    "fim without turns": {"prefix": "a", "suffix": "b", "middle": "c"},
}


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def test_every_form_is_mapped_and_what_is_dropped_is_counted_by_rule(tmp_path: Path) -> None:
    rows = [each for each, _, _ in GOOD] + list(REFUSED.values())
    file = jsonl(tmp_path / "team data.jsonl", rows)
    report = import_examples(str(file), tmp_path, validator(), category="imports")
    assert (report.rows, report.kept, report.repaired) == (len(rows), len(GOOD), 1)
    assert report.dropped == dict.fromkeys(REFUSED, 1)
    examples = list(read_imported(tmp_path))
    assert [(e.prompt[-1].content, e.completion[-1].content) for e in examples] == [
        (asked, said) for _, asked, said in GOOD
    ]
    first = examples[0]
    assert (first.category, first.task, first.language) == ("imports", "answer", "text")
    assert first.files == ("imported/team-data/team data.jsonl/1",)
    stored = Path(report.path).read_text()
    assert json.loads(stored.splitlines()[0])["provenance"]["imported"]["sha256"]
    checked = check_dataset(
        Path(report.path), validator(), fix=False, on_finding=lambda _p, _f: None, progress=silent
    )
    assert checked.findings == {}


def test_a_dataset_keeps_its_own_provenance_and_imports_the_same_twice(tmp_path: Path) -> None:
    place = {"source": "click", "path": "src/a.py", "start_line": 3, "end_line": 9, "commit": "c0"}
    row = GOOD[0][0] | {"task": "explain", "category": "cli", "language": "python"}
    file = jsonl(tmp_path / "ours.jsonl", [row | {"provenance": place}])
    report = import_examples(str(file), tmp_path, validator())
    before = Path(report.path).read_bytes()
    (example,) = read_imported(tmp_path)
    assert (example.source, example.path, example.start_line) == ("click", "src/a.py", 3)
    assert (example.files, example.task) == (("click/src/a.py",), "explain")
    import_examples(str(file), tmp_path, validator())
    assert Path(report.path).read_bytes() == before
    assert json.loads(before)["provenance"]["commit"] == "c0"


def test_a_folder_is_read_as_datasets_reads_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "shared"
    folder.mkdir()
    made = datasets.Dataset.from_list([each for each, _, _ in GOOD[2:3]])
    made.to_parquet(folder / "train-00000-of-00001.parquet")
    made.map(lambda row: {"instruction": "Add them"}).to_parquet(folder / "test-0.parquet")
    report = import_examples(str(folder), tmp_path, validator(), name="parts")
    assert (report.rows, report.kept) == (2, 2)
    assert [e.path for e in read_imported(tmp_path)] == ["train/1", "test/1"]
    assert Path(report.path).name == "parts.jsonl"


def test_nothing_sound_is_an_error_and_leaves_what_was_imported(tmp_path: Path) -> None:
    good = jsonl(tmp_path / "a.jsonl", [GOOD[0][0]])
    import_examples(str(good), tmp_path, validator())
    jsonl(good, [{"text": "no turns"}, 3])
    with pytest.raises(HubError, match=r"no row passes \(text without turns 1, structure 1\)"):
        import_examples(str(good), tmp_path, validator())
    assert len(list(read_imported(tmp_path))) == 1
    stored = tmp_path / "examples/imported/a.jsonl"
    stored.write_text('{"prompt": []}\n')
    with pytest.raises(HubError, match=r"a\.jsonl:1: .*import it again"):
        list(read_imported(tmp_path))


def test_a_file_of_another_kind_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,completion\na,b\n")
    with pytest.raises(HubError, match=r"a\.csv is no file of JSON lines .* folder of its own"):
        import_examples(str(tmp_path / "a.csv"), tmp_path, validator())


@pytest.mark.parametrize("source", ["nobody/nothing", "no such file.jsonl"])
def test_a_hub_that_cannot_be_reached_is_a_sentence(tmp_path: Path, source: str) -> None:
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "--hub", str(tmp_path), "examples", "import", source],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {source} is no file here, and as a dataset: ")
    assert not list(tmp_path.rglob("*.jsonl"))


def test_the_command_says_what_was_kept(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [GOOD[0][0], REFUSED["placeholder"]])
    arguments = ["--hub", str(tmp_path), "examples", "import", str(file)]
    result = CliRunner().invoke(main, arguments)
    assert result.output.startswith(f"kept 1 of 2 rows in {tmp_path}/examples/imported/a.jsonl")
    assert "dropped placeholder 1" in result.output
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(result.stdout)["dropped"] == {"placeholder": 1}


def test_a_page_of_the_project_is_no_example(tmp_path: Path) -> None:
    written(tmp_path, "# Examples\n\nHow to run them.\n", "README.md")
    assert read_handwritten(tmp_path) == []


_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: text.strip() and "<!--" not in text
)


@given(prompt=_text, completion=_text)
def test_what_a_person_writes_in_a_form_comes_back_as_it_was(prompt: str, completion: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = write_example(
            Path(name), category="a b", task="answer", language="text",
            prompt=prompt, completion=f"-{completion}",
        )  # fmt: skip
        (example,) = read_handwritten(Path(name))
    assert path.name == "a-b-answer-1.md"
    assert example.prompt[-1].content == prompt.strip()
    assert example.completion[-1].content == f"-{completion}".strip()


def test_a_row_that_is_corrected_again_is_corrected_as_it_was_said_last(tmp_path: Path) -> None:
    example = dict.fromkeys(("category", "task", "language", "prompt"), "implement")
    other = write_example(tmp_path, **example, completion="another's")
    for answer in ("a = 1", "a = 2", "a = 3"):
        last = correct(tmp_path, "an-id", "", example | {"completion": answer})
    correct(tmp_path, "other-id", "typo", example | {"completion": "b"})
    assert other.is_file()
    assert last.is_file()
    kept = sorted(row.completion[-1].content for row in read_handwritten(tmp_path))
    assert kept == ["a = 3", "another's", "b"]
    assert rejected(tmp_path) == {"an-id": "corrected", "other-id": "typo"}


def test_a_rejection_needs_a_reason_and_a_broken_line_of_the_ledger_is_named(
    tmp_path: Path,
) -> None:
    with pytest.raises(HubError, match="say why"):
        reject(tmp_path, "0123", " ")
    reject(tmp_path, "0123", "wrong")
    assert rejected(tmp_path) == {"0123": "wrong"}
    (tmp_path / REJECTED).write_text('{"id": 1}\n')
    with pytest.raises(HubError, match=r"rejected\.jsonl:1"):
        rejected(tmp_path)
