"""Variants: kept in a ledger with what was rejected, and examples of the build that has them."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hub import Hub, HubError
from hub.cli import main
from hub.curate.trees import parse
from hub.dataset.varying import VARIANTS, read_variants, vary
from hub.preparing import with_ids
from hub.reporting import silent
from indexers.code import chunk_file
from tests.conftest import word_encoders
from tests.test_dataset import rows_of, write_code

if TYPE_CHECKING:
    from pathlib import Path

    from hub.types import Pattern

CODE = '''
def send(urls, retries):
    """Send each of the addresses, and say how many failed."""
    failed = 0
    for url in urls:
        if not retries:
            return failed
        failed += post(url, retries)  # counts
    return failed


def short(a): return a
'''
STYLES = ["rename", "comments", "format"]


def patterns() -> list[Pattern]:
    found = with_ids("team", chunk_file("send.py", CODE.encode()))
    return [p for p in found if p.kind == "function"]


@pytest.fixture
def indexed(hub: Hub, tmp_path: Path) -> Hub:
    hub.index([write_code(tmp_path / "code", files=12)])
    return hub


def test_variants_and_what_was_rejected_are_in_the_ledger_once(tmp_path: Path) -> None:
    ledger = tmp_path / "examples" / "variants.jsonl"
    report = vary(patterns(), ledger, ops=[*STYLES, "bugs"], seed=0, progress=silent)
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert report.accepted == sum(not line["rejected"] for line in lines) > 3
    assert report.rejected == Counter(line["rejected"] for line in lines if line["rejected"])
    assert "bugs: no place in it for such a bug" in report.rejected
    assert json.loads(json.dumps(report.to_json()))["rejected"] == report.rejected
    again = vary(patterns(), ledger, ops=[*STYLES, "bugs"], seed=0, progress=silent)
    assert (again.accepted, again.known, len(again.rejected)) == (0, len(lines), 0)
    texts = [variant.pattern.text for variant in read_variants(ledger, patterns())]
    assert all(parse(text, "python") and "failed" not in text for text in texts)
    assert read_variants(ledger, []) == []


@pytest.mark.parametrize(
    ("ops", "line", "message"),
    [
        (["renam"], "", "no operation is called 'renam'; there are: rename, comments, format"),
        ([], "", "no operation is named"),
        (["rename"], '{"pattern": "x"}\n', r"variants.jsonl:1: no variant; delete the file"),
        (["rename"], "[1]\n", r"variants.jsonl:1: no variant"),
        (["rename"], "{\n", r"variants.jsonl:1: no variant"),
    ],
)
def test_wrong_operations_and_ledgers_are_named(
    tmp_path: Path, ops: list[str], line: str, message: str
) -> None:
    ledger = tmp_path / "variants.jsonl"
    ledger.write_text(line)
    with pytest.raises(HubError, match=message):
        vary(patterns(), ledger, ops=ops, seed=0, progress=silent)


def every_row(out: Path) -> list[dict[str, Any]]:
    return [row | {"side": side} for side in ("train", "test") for row in rows_of(out, side)]


def test_a_build_has_examples_of_variants_on_the_side_of_their_originals(
    indexed: Hub, tmp_path: Path
) -> None:
    before = indexed.build_dataset(tmp_path / "out")
    report = indexed.vary(limit=30)
    assert report.accepted > 30
    after = indexed.build_dataset(tmp_path / "out")
    assert sum(after.rows.values()) > sum(before.rows.values())
    rows = every_row(tmp_path / "out")
    varied = [row for row in rows if row["provenance"]["variant"] not in ("", "variable")]
    assert {row["task"] for row in varied} >= {"implement", "fix"}
    assert len({row["id"] for row in rows}) == len(rows)
    sides = {file: row["side"] for row in rows for file in row["provenance"]["files"]}
    for row in varied:
        assert [row["side"]] == [sides[file] for file in row["provenance"]["files"]]
        assert row["provenance"]["patterns"]
    assert indexed.validate(tmp_path / "out").ok
    indexed.build_dataset(tmp_path / "again")
    for side in ("train", "test"):
        assert rows_of(tmp_path / "again", side) == rows_of(tmp_path / "out", side)


def test_gaps_are_filled_from_their_patterns_and_the_shortfall_is_said(
    indexed: Hub, tmp_path: Path
) -> None:
    indexed.build_dataset(tmp_path / "out")
    counts = Counter((r["category"], r["task"]) for r in every_row(tmp_path / "out"))
    (category, _), have = max(
        (item for item in counts.items() if item[0][1] == "implement"), key=lambda item: item[1]
    )
    folder = indexed.workspace.folder
    targets = [(category, have + 5), ("no such", 3)]
    (folder / "hub.toml").write_text(
        "".join(
            f"[[targets]]\ncategory = '{name}'\ntask = 'implement'\nexamples = {examples}\n"
            for name, examples in targets
        )
    )
    opened = Hub.open(folder, encoders=indexed.workspace.encoders)
    (gap,) = (gap for gap in opened.gaps() if gap.category == category and gap.kind == "target")
    assert gap.missing == 5
    assert gap.command == f"patternhub augment --fill-gaps --category {category!r}"
    filled = {each.category: each for each in opened.fill_gaps() if each.kind == "target"}
    assert (filled[category].made, filled[category].shortfall) == (5, 0)
    assert (filled["no such"].made, filled["no such"].shortfall) == (0, 3)
    opened.build_dataset(tmp_path / "out")
    rest = [gap for gap in opened.gaps() if gap.category == category and gap.kind == "target"]
    assert sum(gap.missing for gap in rest) < 5


def test_the_command_line_varies_and_fills(
    indexed: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.encoders.open_encoders", lambda config, folder: word_encoders())
    indexed.build_dataset(tmp_path / "out")
    folder = str(indexed.workspace.folder)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["--hub", folder, "augment", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    report = json.loads(run("--ops", "rename, bugs", "-n", "3", "--json"))
    assert report["accepted"] >= 3
    assert (indexed.workspace.folder / VARIANTS).is_file()
    assert "were there before" in run("--ops", "rename,bugs", "-n", "3")
    assert "gaps; the next" in run("--fill-gaps")
    assert isinstance(json.loads(run("--fill-gaps", "--json")), list)
    wrong = CliRunner().invoke(main, ["--hub", folder, "augment", "--fill-gaps", "--ops", "rename"])
    assert wrong.exit_code == 2
    assert "exclude each other" in wrong.output
