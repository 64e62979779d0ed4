"""JSON lines appear whole or not at all, and where they are sent."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hub import HubError
from hub.dataset.jsonl import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS: list[dict[str, Any]] = [{"b": "größe\u2028🙂", "a": 1}, {}]


def test_a_row_is_a_line_whatever_is_in_it(tmp_path: Path) -> None:
    write_rows(tmp_path / "out.jsonl", ROWS)
    lines = (tmp_path / "out.jsonl").read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == ROWS
    assert lines[0].startswith('{"a": 1, "b": "größe')


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path, message in (("folder", "is a folder"), ("missing/out.jsonl", "cannot be written")):
        with pytest.raises(HubError, match=message):
            write_rows(tmp_path / path, ROWS)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_what_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise OSError("no space left on device")

    path = tmp_path / "out.jsonl"
    path.write_text("as it was\n")
    with pytest.raises(HubError, match=r"out\.jsonl cannot be written: no space"):
        write_rows(path, rows())
    assert path.read_text() == "as it was\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        write_rows(pipe, ROWS)
    assert pipe.is_fifo()
    assert read.result().count("\n") == len(ROWS)


def test_the_file_that_a_link_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("old\n")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "data.jsonl")
    write_rows(tmp_path / "link.jsonl", ROWS)
    assert (tmp_path / "link.jsonl").is_symlink()
    assert "old" not in (tmp_path / "data.jsonl").read_text()
