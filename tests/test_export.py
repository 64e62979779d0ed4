"""Export: every line is a whole example with where it came from, and every pattern is counted."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import hub.dataset.export
from hub import Hub, HubError
from hub.cli import main
from hub.dataset.export import KINDS
from tests.conftest import word_encoders

if TYPE_CHECKING:
    from pathlib import Path

    from hub.types import Pattern


@pytest.fixture
def indexed(hub: Hub, tree: Path) -> Hub:
    (tree / "src/words.py").write_text(
        'def größe(wort):\n    """Länge:\u2028eines Wortes 🙂.\n\n    More."""\n'
        '    return "\\n\\u2028"\n\n\ndef bare():\n    return 1\n\n\n'
        'def long():\n    """Counts."""\n' + "    total = 1 + 2 + 3\n" * 300
    )
    hub.index([tree])
    return hub


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = path.read_bytes().decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text[:-1].split("\n")]


def patterns_of(hub: Hub) -> dict[str, Pattern]:
    return {p.id: p for page, _ in hub.workspace.store.pages() for p in page}


def test_every_line_is_an_example_with_where_it_came_from(indexed: Hub, tmp_path: Path) -> None:
    indexed.export(tmp_path / "out.jsonl")
    patterns = patterns_of(indexed)
    examples = lines_of(tmp_path / "out.jsonl")
    names = {example["provenance"]["symbol"] for example in examples}
    assert names >= {"retry_with_backoff", "parseIsoDate", "größe"}
    assert not names & {"bare", "long", "Client"}
    for example in examples:
        assert set(example) == {"prompt", "completion", "provenance"}
        (prompt,), (completion,) = example["prompt"], example["completion"]
        assert (prompt["role"], completion["role"]) == ("user", "assistant")
        origin = example["provenance"]
        pattern = patterns[origin["id"]]
        assert all(getattr(pattern, key) == value for key, value in origin.items())
        assert pattern.kind in KINDS
        assert completion["content"] == pattern.text.strip("\n")
        assert pattern.signature in prompt["content"]


def test_the_intent_is_the_first_paragraph(indexed: Hub, tmp_path: Path) -> None:
    indexed.export(tmp_path / "out.jsonl")
    (example,) = [
        e for e in lines_of(tmp_path / "out.jsonl") if e["provenance"]["symbol"] == "größe"
    ]
    assert example["prompt"][0]["content"] == (
        "Write the python function `def größe(wort):`.\n\nLänge: eines Wortes 🙂."
    )


def test_written_and_left_out_are_all_patterns(indexed: Hub, tmp_path: Path) -> None:
    report = indexed.export(tmp_path / "out.jsonl")
    assert report.written == len(lines_of(tmp_path / "out.jsonl"))
    assert report.written + sum(report.left_out.values()) == len(patterns_of(indexed))
    assert {"undocumented", "part of a longer function"} <= set(report.left_out)
    assert json.loads(json.dumps(report.to_json()))["left_out"] == dict(report.left_out)


MAIL = "jane" + "@" + "acme-corp.io"
PRIVATE = f'''
def notify(client):
    """Tell {MAIL} that it is done."""
    client.login("jane", password="{"hunter" + "22!"}")


def borrowed(rows):
    """Counts rows.

    Co-authored-by: A Tool <tool@example.com>
    """
    return len(rows)


def asked(claude):
    """Asks once."""
    return claude.ask()
'''


def test_no_export_holds_private_data_or_a_forbidden_term_and_all_is_counted(
    hub: Hub, tree: Path, tmp_path: Path
) -> None:
    (tree / "src/private.py").write_text(PRIVATE)
    hub.index([tree])
    report = hub.export(tmp_path / "out.jsonl")
    written = (tmp_path / "out.jsonl").read_text()
    assert MAIL not in written
    assert "hunter22!" not in written
    assert "Co-authored" not in written
    rows = {e["provenance"]["symbol"]: e for e in lines_of(tmp_path / "out.jsonl")}
    assert "asked" not in rows  # the prompt is prose, and it names the parameter
    assert "Tell <EMAIL> that" in rows["notify"]["prompt"][0]["content"]
    assert 'password="<SECRET:secret-keyword>"' in rows["notify"]["completion"][0]["content"]
    assert report.redacted == {"email": 2, "secret-keyword": 1}
    assert [row.rule for row in report.forbidden] == [
        "co-authorship trailer",
        "assistant or its maker",
    ]
    assert report.left_out["forbidden: co-authorship trailer"] == 1
    assert report.written + sum(report.left_out.values()) == len(patterns_of(hub))


def test_a_secret_that_one_file_names_is_found_bare_in_others(
    hub: Hub, tree: Path, tmp_path: Path
) -> None:
    word = "tr0ub" + "ador77"
    (tree / "src/settings.py").write_text(f'password = "{word}"\n')
    (tree / "src/usage.py").write_text(f'def log_in():\n    """Log in with {word}."""\n    go()\n')
    hub.index([tree])
    hub.export(tmp_path / "out.jsonl")
    written = (tmp_path / "out.jsonl").read_text()
    assert "def log_in" in written
    assert word not in written


def test_strict_fails_on_a_forbidden_term_and_says_where(hub: Hub, tree: Path) -> None:
    folder = hub.workspace.folder
    (tree / "src/private.py").write_text(PRIVATE)
    for strict, found in (((), 0), (("--strict",), 1)):
        hub.index([tree])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hub.commands.curation.open_hub", lambda _: hub)
            arguments = ["--hub", str(folder), "export", str(folder / "out.jsonl"), *strict]
            result = CliRunner().invoke(main, arguments)
        assert result.exit_code == found, result.output
        assert "left out      1  forbidden: co-authorship trailer" in result.output
        assert "replaced      2  email" in result.output
        assert "private.py:7-12: Co-authored-by:" in result.output


def test_exports_are_in_order_and_byte_identical(indexed: Hub, tree: Path, tmp_path: Path) -> None:
    """Twice from one index, from an index with a history, and from one built anew."""
    (tree / "src/retry.py").rename(tree / "src/a.py")
    indexed.index()
    (tree / "src/a.py").rename(tree / "src/retry.py")
    indexed.index()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    rebuilt = Hub.open(fresh, encoders=word_encoders())
    rebuilt.index([tree])
    for name, one in (("one", indexed), ("two", indexed), ("three", rebuilt)):
        one.export(tmp_path / name)
    written = {(tmp_path / name).read_bytes() for name in ("one", "two", "three")}
    assert len(written) == 1
    places = [e["provenance"] for e in lines_of(tmp_path / "one")]
    keys = [(p["source"], p["path"], p["start_line"]) for p in places]
    assert keys == sorted(keys)


def test_a_path_that_cannot_be_written_is_named(indexed: Hub, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path, message in (("folder", "is a folder"), ("missing/out.jsonl", "cannot be written")):
        with pytest.raises(HubError, match=message):
            indexed.export(tmp_path / path)
    assert list((tmp_path / "folder").iterdir()) == []
    assert not list(tmp_path.glob(".*.tmp"))


def test_an_export_that_fails_leaves_the_file_that_was_there(
    indexed: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("as it was\n")
    real = hub.dataset.export.examples

    def some(*arguments: Any) -> Any:
        yield next(iter(real(*arguments)))
        raise OSError("no space left on device")

    monkeypatch.setattr(hub.dataset.export, "examples", some)
    with pytest.raises(HubError, match=r"out\.jsonl cannot be written: no space"):
        indexed.export(path)
    assert path.read_text() == "as it was\n"
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_pipe_is_written_to_and_not_replaced(indexed: Hub, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        written = indexed.export(pipe).written
    assert pipe.is_fifo()
    assert read.result().count("\n") == written > 0


def test_an_export_replaces_the_file_a_link_points_to(indexed: Hub, tmp_path: Path) -> None:
    target = tmp_path / "data.jsonl"
    target.write_text("old\n")
    (tmp_path / "link.jsonl").symlink_to(target)
    indexed.export(tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert lines_of(target)


def test_a_hub_of_another_model_is_refused_by_name(indexed: Hub, tmp_path: Path) -> None:
    other = Hub.open(indexed.workspace.folder, encoders=word_encoders("others"))
    with pytest.raises(HubError, match=r"model 'words'.*'others'"):
        other.export(tmp_path / "out.jsonl")


def test_a_hub_that_is_empty_says_so(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="patternhub index"):
        hub.export(tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_nothing_to_export_is_an_empty_file(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only/a.txt").write_text("no function here\n")
    hub.index([tmp_path / "only"])
    report = hub.export(tmp_path / "out.jsonl")
    assert (report.written, (tmp_path / "out.jsonl").read_bytes()) == (0, b"")


def test_datasets_reads_the_export(
    indexed: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import load_dataset

    indexed.export(tmp_path / "out.jsonl")
    rows = load_dataset(
        "json",
        data_files=str(tmp_path / "out.jsonl"),
        cache_dir=str(tmp_path / "cache"),
        split="train",
    )
    assert list(rows) == lines_of(tmp_path / "out.jsonl")
    shutil.rmtree(tmp_path / "cache")
