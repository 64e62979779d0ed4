"""Building a dataset: clean, balanced, split without leaks, whole or not at all, and repeatable."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hub.dataset.build as building
from hub import Hub, HubError
from hub.curate.leaks import leaking
from hub.curate.left_out import leave_out
from hub.curate.shingles import WIDTH, tokens
from hub.dataset.balance import balance, shortfalls, task_limit
from hub.dataset.build import BuildReport, distinct
from hub.dataset.checks import Screen
from hub.dataset.formats import FORMATS, Options, as_row, identity
from hub.dataset.publish import publish
from hub.dataset.split import LEAK, SIDES, Shares, split
from hub.terminal.curation import build_summary
from hub.types import Example, Generation, Infill, Message
from tests.conftest import driver, git

if TYPE_CHECKING:
    from collections.abc import Callable


def example(number: int = 0, **changes: Any) -> Example:
    """An example of its own file; what it answers resembles no other."""
    words = Random(f"words {number}").sample(range(10**6), 60)
    made = Example(
        task="implement",
        prompt=(Message("user", f"write {number}"),),
        completion=(Message("assistant", " ".join(f"w{word}" for word in words)),),
        language="text",
        source="team",
        path=f"file{number}.py",
        start_line=1,
        end_line=9,
        files=(f"team/file{number}.py",),
        patterns=(f"p{number}",),
    )
    return replace(made, **changes)


def rows_of(folder: Path, name: str = "train") -> list[dict[str, Any]]:
    text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def write_code(folder: Path, files: int = 30) -> Path:
    """Documented functions that say different things."""
    verbs = ["load", "merge", "filter", "rotate", "archive", "publish", "resolve", "measure"]
    things = ["invoice", "session", "ticket", "region", "cluster", "voucher", "shipment", "quota"]
    folder.mkdir(exist_ok=True)
    for number in range(files):
        draw = Random(f"file {number}")
        parts = ["import json\nimport os\nimport time\nfrom pathlib import Path\n"]
        for nth in range(4):
            verb, thing = draw.choice(verbs), draw.choice(things)
            name = f"{verb}_{thing}_{number}_{nth}"
            lines = "\n".join(
                f"    {thing}_{i} = {verb}_{draw.choice(things)}({thing}, {draw.randrange(999)})"
                for i in range(draw.randrange(3, 9))
            )
            parts.append(
                f"def {name}({thing}, limit):\n"
                f'    """{verb.title()} the {thing} {number} of group {nth} up to a limit."""\n'
                f"{lines}\n    return json.dumps({thing}_0)\n"
            )
        (folder / f"m{number}.py").write_text("\n\n".join(parts))
    return folder


@pytest.fixture
def indexed(hub: Hub, tmp_path: Path) -> Hub:
    hub.index([write_code(tmp_path / "code")])
    return hub


def exhaustive_leaks(left: list[str], right: list[str]) -> int:
    """Pairs of texts whose sets of 5-token shingles are as similar as LEAK; every pair is tried."""

    def sets(texts: list[str]) -> list[set[tuple[str, ...]]]:
        found = []
        for text in texts:
            words = tokens(text)
            found.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)})
        return [s for s in found if s]

    assert WIDTH == 5
    return sum(len(a & b) >= LEAK * len(a | b) for a in sets(left) for b in sets(right))


def test_a_build_is_split_without_a_leak_and_counts_what_it_dropped(
    indexed: Hub, tmp_path: Path
) -> None:
    report = indexed.build_dataset(tmp_path / "out")
    train, test = rows_of(tmp_path / "out"), rows_of(tmp_path / "out", "test")
    assert report.rows == {"train": len(train), "validation": 0, "test": len(test)}
    assert len(train) + len(test) > 100
    files = [{f for row in side for f in row["provenance"]["files"]} for side in (train, test)]
    assert not files[0] & files[1]
    answers = [[row["completion"][0]["content"] for row in side] for side in (train, test)]
    assert exhaustive_leaks(*answers) == 0
    made, *others = report.stages
    left = made.kept
    for stage in others:
        left -= sum(stage.dropped.values())
        assert stage.kept == left
    assert left == len(train) + len(test)
    assert max(Counter(row["task"] for row in [*train, *test]).values()) < 0.36 * left


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=12), max_size=12),
    st.lists(st.lists(st.sampled_from("abcd"), max_size=12), max_size=6),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_every_leak_is_found(
    left: list[list[str]], right: list[list[str]], threshold: float
) -> None:
    """As many as when every pair is compared."""

    def shingled(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[i : i + WIDTH]) for i in range(len(words) - WIDTH + 1)}

    expected = [
        row
        for row, words in enumerate(left)
        if any(
            a and len(a & b) >= threshold * len(a | b)
            for a, b in ((shingled(words), shingled(other)) for other in right)
        )
    ]
    texts = ([" ".join(words) for words in side] for side in (left, right))
    assert leaking(*texts, threshold=threshold) == expected


def test_the_card_and_the_report_say_what_is_there(indexed: Hub, tmp_path: Path) -> None:
    indexed.build_dataset(tmp_path / "out", formats=["messages", "alpaca"])
    card = (tmp_path / "out" / "README.md").read_text()
    head = card.split("---")[1]
    configs = json.loads(next(line for line in head.splitlines() if "configs" in line)[9:])
    assert [c["config_name"] for c in configs] == ["messages", "alpaca"]
    for config in configs:
        for part in config["data_files"]:
            assert (tmp_path / "out" / part["path"]).is_file()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    assert "Map of patterns and examples" in page
    assert page.count("<circle") == len(next(iter(indexed.workspace.store.pages()))[0])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest["files"]) >= {"train.jsonl", "alpaca/train.jsonl", "report.html"}


def test_the_map_shows_every_pattern_and_fills_those_that_examples_are_made_of(
    indexed: Hub, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    indexed.build_dataset(out)
    drawn = re.findall(r'<circle [^>]*fill="([^"]+)"[^>]*data-pattern="(\w+)"', indexed.map(out))
    rows = [row for path in out.glob("*.jsonl") for row in rows_of(out, path.stem)]
    shown = {id_ for row in rows for id_ in row["provenance"]["patterns"]}
    assert shown
    assert {id_ for _, id_ in drawn} == {p.id for p in indexed.annotate().patterns}
    assert {id_ for fill, id_ in drawn if fill != "none"} == shown


def test_a_build_is_the_same_in_every_process(indexed: Hub, tmp_path: Path) -> None:
    script = driver(tmp_path)
    outs = []
    for seed in ("1", "2"):
        out = tmp_path / seed / "data"
        out.parent.mkdir()
        subprocess.run(
            [sys.executable, script, "--hub", indexed.workspace.folder, "dataset", "build", out],
            check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        outs.append({p.name: p.read_bytes() for p in out.iterdir()})
    assert outs[0] == outs[1]
    assert set(outs[0]) == {"train.jsonl", "test.jsonl", "README.md", "report.html",
                            "compliance.json", "manifest.json"}  # fmt: skip


def test_a_rebuild_says_what_changed_and_redoes_only_that(indexed: Hub, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = indexed.build_dataset(out)
    assert (first.added, first.changed, first.removed) == (sum(first.rows.values()), 0, 0)
    again = indexed.build_dataset(out)
    assert again.unchanged
    assert again.rows == first.rows

    (tmp_path / "code" / "m3.py").unlink()
    (tmp_path / "code" / "new.py").write_text(
        'def halve(number):\n    """Half of a number that is even, as the ledger wants it."""\n'
        "    left = number // 2\n    return left\n"
    )
    indexed.index()
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Screen, "forbidden", lambda _, e: seen.append(e.path) or e)
        third = indexed.build_dataset(out)
    assert set(seen) == {"new.py"}
    assert third.removed > 0
    assert third.added > 0
    assert not any("m3.py" in row["provenance"]["path"] for row in rows_of(out))

    shutil.rmtree(indexed.workspace.store_folder / "remembered")
    indexed.build_dataset(tmp_path / "anew" / "out")
    for name in ("train.jsonl", "test.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "anew" / "out" / name).read_bytes()


@pytest.mark.parametrize("change", ["row", "rule", "setting", "commit"])
def test_a_dataset_is_up_to_date_only_where_nothing_differs(
    change: str, hub: Hub, tmp_path: Path
) -> None:
    code, out = write_code(tmp_path / "code", files=8), tmp_path / "out"
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-qm", "Add the functions of groups")
    hub.index([code])
    hub.build_dataset(out)
    assert hub.build_dataset(out).unchanged
    if change == "row":
        with (out / "train.jsonl").open("a") as file:
            file.write("{}\n")
    elif change == "commit":
        text = (code / "m1.py").read_text()
        (code / "m1.py").write_text(text.replace("    return", "    print(limit)\n    return", 1))
        git(code, "commit", "-qam", "Print the limit of the group before it is used")
    else:
        text = "[dataset]\nseed = 7\n"
        if change == "rule":
            text = '[[conventions]]\nname = "n"\nkind = "forbid"\nregex = "json.dumps"\n'
        (hub.workspace.folder / "hub.toml").write_text(text)
        hub = Hub.open(hub.workspace.folder, encoders=hub.workspace.encoders)
    report = hub.build_dataset(out)
    assert not report.unchanged
    assert "{}\n" not in (out / "train.jsonl").read_text().splitlines(keepends=True)
    if change == "rule":
        assert report.stages[1].dropped["n"] > 0
    if change == "commit":
        assert any(
            r["provenance"]["commit"] for side in ("train", "test") for r in rows_of(out, side)
        )


def test_a_build_says_what_of_the_index_is_stale_and_a_rebuild_all_it_knows(
    indexed: Hub, tmp_path: Path
) -> None:
    code, out = tmp_path / "code", tmp_path / "out"
    first = indexed.build_dataset(out)
    assert first.stale == {}
    (code / "new.py").write_text("def new():\n    return 1\n")
    (code / "m1.py").unlink()
    again = indexed.build_dataset(out)
    assert again.unchanged
    assert again.stale == {"code": "2 files are new, changed or gone since it was indexed"}
    assert again.of_dataset() == first.of_dataset()
    shutil.rmtree(code)
    assert str(code) in indexed.build_dataset(out).stale["code"]
    assert "patternhub index" in build_summary(again)


def test_a_dataset_without_its_card_is_built_again_and_not_published(
    indexed: Hub, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    indexed.build_dataset(out)
    (out / "README.md").unlink()
    with pytest.raises(HubError, match=r"README\.md, the card, is missing"):
        publish(out, "team/data", dry_run=True)
    assert not indexed.build_dataset(out).unchanged
    assert publish(out, "team/data", dry_run=True).files["README.md"]


def test_a_side_that_the_hash_leaves_far_below_its_share_is_said() -> None:
    rows = [example(n, path=f"file{n % 2}.py", files=(f"team/file{n % 2}.py",)) for n in range(100)]
    found = split(rows, Shares(test=0.1, validation=0.2, min_test=0))
    missing = {"validation": 20} if not found.sides["validation"] else {}
    assert found.side_shortfall == missing
    many = split([example(n) for n in range(400)], Shares(test=0.1, validation=0.2))
    assert many.side_shortfall == {}


def test_a_full_disk_leaves_the_dataset_that_was_there(
    indexed: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    indexed.build_dataset(out)
    (tmp_path / "code" / "m1.py").unlink()
    indexed.index()
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "_write_json", full)
    with pytest.raises(HubError, match=r"No space left on device.*what was there stays"):
        indexed.build_dataset(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


def test_what_is_no_dataset_is_never_replaced(indexed: Hub, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(HubError, match="holds something else than a dataset"):
        indexed.build_dataset(tmp_path / "mine")
    with pytest.raises(HubError, match="is a file"):
        indexed.build_dataset(tmp_path / "mine" / "thesis.txt")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_secrets_and_forbidden_terms_reach_no_row(hub: Hub, tmp_path: Path) -> None:
    code = write_code(tmp_path / "code", files=3)
    key = "AKIA" + "IOSFODNN7QWERTYU"
    (code / "keys.py").write_text(
        f'def connect(host):\n    """Connect to the host with our key, as the runbook says."""\n'
        f'    key = "{key}"\n    mail = "jane.roe@corp.io"\n    return host, key, mail\n'
    )
    (code / "tainted.py").write_text(
        'def tainted(host):\n    """Do what the ticket asks for, and nothing more than that."""\n'
        f"    # Generated with {'Copi' + 'lot'}\n    return host\n"
    )
    hub.index([code])
    report = hub.build_dataset(tmp_path / "out")
    written = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.*"))
    assert key not in written
    assert "jane.roe" not in written
    assert "def tainted" not in written
    dropped = next(stage.dropped for stage in report.stages if stage.name == "checked")
    assert any(reason.startswith("forbidden: ") for reason in dropped)


def test_commits_tests_and_what_people_wrote_become_examples(hub: Hub, tmp_path: Path) -> None:
    code = write_code(tmp_path / "code")
    target = code / "m0.py"
    (code / "tests").mkdir()
    name = re.findall(r"def (\w+)", target.read_text())[0]
    (code / "tests" / "test_m0.py").write_text(
        f"from m0 import {name}\n\n\ndef test_the_result_is_text():\n"
        f"    assert isinstance({name}([3], 5), str)\n"
    )
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-qm", "Add the code")
    target.write_text(target.read_text().replace("    return json", "    if not limit:\n"
                      "        raise ValueError(limit)\n    return json", 1))  # fmt: skip
    git(code, "commit", "-qam", "Reject a limit of zero\n\nCo-authored-by: A <a@example.com>")
    hub.index([code])
    examples = hub.workspace.folder / "examples"
    examples.mkdir()
    (examples / "own.md").write_text(
        "---\ncategory: limits\ntask: answer\n---\n# Prompt\n\nWhat is a limit of zero?\n\n"
        "# Completion\n\nIt is refused, with the value in the message.\n"
    )
    hub.build_dataset(tmp_path / "out")
    rows = [row for side in ("train", "test") for row in rows_of(tmp_path / "out", side)]
    (refactor,) = (row for row in rows if row["task"] == "refactor")
    assert "Reject a limit of zero" in refactor["prompt"][0]["content"]
    assert "raise ValueError(limit)" not in refactor["prompt"][0]["content"]
    assert "raise ValueError(limit)" in refactor["completion"][0]["content"]
    assert len(refactor["provenance"]["commit"]) == 40
    assert not any("co-authored" in json.dumps(row).lower() for row in rows)
    assert "limits" in {row["category"] for row in rows}
    sides = [row["provenance"]["files"] for row in rows if row["task"] == "tests"]
    assert sides in ([], [["code/tests/test_m0.py", "code/m0.py"]])  # one, if both are on one side


def test_gaps_are_named_and_a_model_fills_them(indexed: Hub, tmp_path: Path) -> None:
    class Model:
        name = "model"

        def stream(self, prompts: Any, decoding: Any) -> Any:
            text = "Write what takes the records of a week and gives back their sum as text."
            yield 0, Generation(text=text)

    folder = indexed.workspace.folder
    (folder / "hub.toml").write_text(
        "[[targets]]\ncategory = 'parsing'\ntask = 'implement'\nexamples = 5000\n"
    )
    opened = Hub.open(folder, encoders=indexed.workspace.encoders)
    code = tmp_path / "code" / "bare.py"
    code.write_text(
        "def total_of_week(records):\n    found = [parse(r) for r in records]\n"
        "    return str(sum(found))\n"
    )
    opened.index()
    opened.build_dataset(tmp_path / "out")
    (gap,) = (gap for gap in opened.gaps() if gap.kind == "target")
    assert (gap.category, gap.task) == ("parsing", "implement")
    assert gap.missing > 4000
    assert gap.command.startswith("patternhub ")
    report = opened.augment(limit=3, jobs=["instruction"], generator=Model())
    assert report.accepted == 1  # the one function without documentation
    opened.build_dataset(tmp_path / "out")
    rows = [row for side in ("train", "test") for row in rows_of(tmp_path / "out", side)]
    (row,) = (r for r in rows if r["task"] == "implement" and "bare.py" in r["provenance"]["path"])
    assert "records of a week" in row["prompt"][0]["content"]
    assert row["completion"][0]["content"].startswith("def total_of_week")


def test_a_dataset_without_a_row_is_not_written(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.txt").write_text("nothing to learn here\n")
    hub.index([tmp_path / "code"])
    with pytest.raises(HubError, match="no example is left; nothing was written"):
        hub.build_dataset(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('tasks = ["implment"]', "no task is called 'implment'; there are: implement"),
        ('formats = ["sharegpt"]', "no format is called 'sharegpt'; there are: prompt-comp"),
        ('formats = ["text"]', "the format 'text' needs a tokenizer"),
        ('tokenizer = "/nowhere"', "'/nowhere' is not on this machine"),
        ('fim_family = "gpt"', "'gpt': there are codellama"),
        ("test_share = 2.0", "test_share = 2.0"),
        ("test_share = 0.6\nvalidation_share = 0.4", "leave nothing to train on"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_made(
    indexed: Hub, tmp_path: Path, settings: str, message: str
) -> None:
    folder = indexed.workspace.folder
    (folder / "hub.toml").write_text(f"[dataset]\n{settings}\n")
    with pytest.raises(HubError, match=re.escape(message)):
        Hub.open(folder, encoders=indexed.workspace.encoders).build_dataset(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"text"}))
def test_datasets_reads_each_format(indexed: Hub, tmp_path: Path, name: str) -> None:
    datasets = pytest.importorskip("datasets")
    indexed.build_dataset(tmp_path / "out", formats=[name])
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(found) == {"train", "test"}
    assert found["train"].num_rows == len(rows_of(tmp_path / "out"))
    assert {"id", "task", "provenance"} <= set(found["train"].column_names)


def test_each_format_holds_the_same_turns() -> None:
    asked = example(completion=(Message("assistant", "b"),), infill=Infill("def f", "\n", "()"),
                    prompt=(Message("system", "s"), Message("user", "do\n\na")))  # fmt: skip
    options = Options(template=lambda turns: "|".join(turn["content"] for turn in turns))
    rows = {name: as_row(asked, name, options) or {} for name in FORMATS}
    assert [t["role"] for t in rows["messages"]["messages"]] == ["system", "user", "assistant"]
    assert rows["prompt-completion"]["prompt"] == rows["messages"]["messages"][:2]
    alpaca = rows["alpaca"]
    parts = [alpaca[key] for key in ("instruction", "input", "output", "system")]
    assert parts == ["do", "a", "b", "s"]
    assert rows["text"]["text"] == "s|do\n\na|b"
    assert rows["fim"]["completion"] == "()"
    assert as_row(example(), "fim", options) is None
    assert len({row["id"] for row in rows.values()}) == 1


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.floats(0.05, 1))
def test_no_task_has_more_than_its_share(counts: list[int], share: float) -> None:
    limit = task_limit(counts, share)
    left = [min(count, limit) for count in counts]
    if share * len(counts) > 1:
        assert max(left) <= max(share * sum(left), min(counts))
    assert limit >= min(1, *counts) or share * len(counts) > 1


def test_caps_keep_the_best_and_floors_name_what_is_short() -> None:
    many = [example(n, category="api", quality=n / 10) for n in range(10)]
    few = [example(n, category="cli") for n in range(10, 13)]
    kept, dropped = balance([*many, *few], caps={"*": 4}, task_share=1)
    assert [e.quality for e in kept if e.category == "api"] == [0.6, 0.7, 0.8, 0.9]
    assert dropped == {"over its category's cap": 6}
    assert shortfalls(kept, {"*": 4, "ui": 2}) == {"cli": 1, "ui": 2}


def test_of_examples_that_say_the_same_the_best_stays_in_its_task() -> None:
    same = [example(1, path=f"copy{n}", quality=n / 10, files=(f"t/{n}",)) for n in range(3)]
    other_task = replace(same[0], task="explain")
    kept = distinct([*same, other_task, example(2)], report := BuildReport(out=""))
    assert kept == [same[2], other_task, example(2)]
    assert report.stages[0].dropped == {"says what a better example says": 2}


@given(st.data())
def test_nothing_is_on_two_sides(data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, 30), min_size=1, max_size=2, unique=True)
    examples = [
        example(
            n,
            files=tuple(f"f{file}" for file in data.draw(numbers)),
            commit=data.draw(st.sampled_from(["", "c1", "c2", "c3"])),
            category=data.draw(st.sampled_from("ab")),
        )
        for n in range(data.draw(st.integers(0, 40)))
    ]
    clusters = {f"p{n}": n // 3 for n in range(20)}
    shares = Shares(test=0.3, validation=0.2, min_test=data.draw(st.integers(0, 5)))
    found = split(examples, shares, seed=data.draw(st.integers(0, 3)), clusters=clusters)
    of: list[Callable[[Example], set[Any]]] = [
        lambda e: set(e.files),
        lambda e: {e.commit} - {""},
        lambda e: {clusters[p] for p in e.patterns if p in clusters},
    ]
    for what in of:
        seen = [set().union(*map(what, found.sides[side])) for side in SIDES]
        assert len(set().union(*seen)) == sum(map(len, seen))
    placed = sum(map(len, found.sides.values()))
    assert placed + sum(found.dropped.values()) == len(examples)


def test_a_file_stays_on_its_side_when_data_is_added() -> None:
    few, more = ([example(n) for n in range(count)] for count in (200, 400))
    shares = Shares(min_test=0)
    before, after = (split(examples, shares).sides["test"] for examples in (few, more))
    assert {identity(e) for e in before} <= {identity(e) for e in after}


def test_the_test_side_grows_until_a_category_has_enough_or_says_what_is_missing() -> None:
    large = [example(n, category="large") for n in range(400)]
    small = [example(n, category="small") for n in range(400, 490)]
    found = split([*large, *small], Shares(min_test=20))
    tested = Counter(e.category for e in found.sides["test"])
    assert tested["small"] == 20
    assert tested["large"] > 20
    assert found.shortfall == {}
    lacking = split([*large, *small], Shares(min_test=50))
    tested = Counter(e.category for e in lacking.sides["test"])
    assert 20 < tested["small"] <= 30  # a third of a category is the most that is held out
    assert lacking.shortfall["small"] == 50 - tested["small"]
    assert tested.total() <= 1.5 * 0.1 * 490  # and half as much again of all rows


def test_what_resembles_a_held_out_dataset_is_dropped_and_counted(
    indexed: Hub, tmp_path: Path
) -> None:
    before = indexed.build_dataset(tmp_path / "before")
    answers = [row["completion"][0]["content"] for row in rows_of(tmp_path / "before")][:20]
    rows = [{"instruction": "?", "output": f"{text}\n"} for text in answers]
    (indexed.workspace.folder / "bench.jsonl").write_text("\n".join(map(json.dumps, rows)))
    indexed.workspace.config.dataset.held_out.append("bench.jsonl")
    report = indexed.build_dataset(tmp_path / "out")
    made = [*rows_of(tmp_path / "out"), *rows_of(tmp_path / "out", "test")]
    assert exhaustive_leaks([row["completion"][0]["content"] for row in made], answers) == 0
    (stage,) = (s for s in report.stages if s.name == "decontaminated")
    assert stage.dropped["its answer resembles one of a held-out dataset"] > 0
    assert "decontaminated" not in [s.name for s in before.stages]


def test_a_held_out_line_that_is_no_row_is_named(indexed: Hub, tmp_path: Path) -> None:
    (indexed.workspace.folder / "bench.jsonl").write_text('{"text": "a"}\n{"question": 1}\n')
    indexed.workspace.config.dataset.held_out.append("bench.jsonl")
    with pytest.raises(HubError, match=r"bench\.jsonl:2: no row of a known form"):
        indexed.build_dataset(tmp_path / "out")


def test_what_dedup_leaves_out_is_in_no_dataset_until_its_file_is_deleted(
    indexed: Hub, tmp_path: Path
) -> None:
    def made(name: str) -> set[str]:
        indexed.build_dataset(tmp_path / name)
        rows = [*rows_of(tmp_path / name), *rows_of(tmp_path / name, "test")]
        return {row["provenance"]["patterns"][0] for row in rows}

    first, second, *_ = sorted(made("before"))
    record = leave_out(indexed.workspace.store_folder, {first: second})
    assert first not in made("out")
    record.unlink()
    assert first in made("out")


def test_neither_a_dataset_nor_what_people_wrote_for_one_is_indexed(
    hub: Hub, tmp_path: Path
) -> None:
    """A hub in its own project stays as it is, however often it is built and indexed."""
    project = write_code(hub.workspace.folder, files=8)
    (project / "examples").mkdir()
    (project / "examples" / "README.md").write_text(
        "# Examples\n\nHow to run all of them, in turn.\n"
    )
    (project / "examples" / "mine.md").write_text(
        "---\ncategory: io\ntask: answer\n---\n# Prompt\nHow is a file closed?\n"
        "# Completion\nBy the block that opened it, when the block ends.\n"
    )
    hub.index([project])
    first = hub.build_dataset(project / "out")
    before = hub.status().patterns
    hub.index()
    assert hub.status().patterns == before
    assert hub.build_dataset(project / "out").rows == first.rows
    paths = {
        r["provenance"]["path"]
        for side in ("train", "test")
        for r in rows_of(project / "out", side)
    }
    assert "mine.md" in paths
    assert not any(path.startswith(("out/", "examples/mine")) for path in paths)


def test_of_two_files_one_is_held_out() -> None:
    for seed in range(20):
        found = split([example(n) for n in range(2)], Shares(), seed=seed)
        assert [len(found.sides[side]) for side in SIDES] == [1, 0, 1]


def test_of_few_tasks_none_is_cut_to_the_smallest() -> None:
    tasks = {"implement": 40, "explain": 30, "answer": 5}
    rows = [replace(example(n), task=task) for task, size in tasks.items() for n in range(size)]
    kept, dropped = balance(rows, caps={}, task_share=0.3)
    assert len(kept) == 75
    assert not dropped
