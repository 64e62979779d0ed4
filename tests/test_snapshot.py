"""Derived columns: an increment, a rebuild and what was saved are the same bytes."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hub.store.snapshot
from hub.preparing import with_ids
from hub.store.snapshot import Labels, Rows, Snapshot, empty_rows
from hub.types import Chunk, Pattern

if TYPE_CHECKING:
    from hub import Hub

File = tuple[str, str]
FAST, BEST = 4, 3

VALUES = st.lists(st.sampled_from(["", "a", "b", "é", "日本"]), max_size=8)


def plain(labels: Labels) -> list[str]:
    return [labels.value(row) for row in range(len(labels.codes))]


def same_labels(a: Labels, b: Labels) -> bool:
    return (
        a.names == b.names and a.codes.dtype == b.codes.dtype and np.array_equal(a.codes, b.codes)
    )


@settings(deadline=None)
@given(VALUES)
def test_labels_hold_their_values(values: list[str]) -> None:
    labels = Labels.of(values)
    assert plain(labels) == values
    assert labels.counts() == {value: values.count(value) for value in sorted(set(values))}
    for value in values:
        assert labels.names[labels.code(value)] == value
    assert labels.code("absent") == -1


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_joining_labels_equals_building_from_all_values(parts: list[list[str]]) -> None:
    joined = Labels.joined([Labels.of(values) for values in parts])
    assert same_labels(joined, Labels.of([value for values in parts for value in values]))


@settings(deadline=None)
@given(VALUES, st.data())
def test_taking_labels_equals_building_from_what_is_taken(
    values: list[str], data: st.DataObject
) -> None:
    numbers = st.integers(0, max(len(values) - 1, 0))
    rows = data.draw(st.lists(numbers, max_size=8 if values else 0))
    taken = Labels.of(values).take(np.array(rows, dtype=np.int64))
    assert same_labels(taken, Labels.of([values[i] for i in rows]))


def patterns_of(file: File, texts: list[str]) -> tuple[Pattern, ...]:
    """The patterns of a file that holds these texts one after the other."""
    source, path = file
    chunks = [
        Chunk(
            path=path,
            start_byte=10 * i,
            end_byte=10 * (i + 1),
            start_line=i + 1,
            end_line=i + 1,
            language="python" if path.endswith("py") else "text",
            kind="function" if text else "module",
            symbol=text.title(),
            text=text,
        )
        for i, text in enumerate(texts)
    ]
    return with_ids(source, chunks)


def vectors_of(patterns: list[Pattern], dimension: int) -> np.ndarray:
    """Vectors that follow from the pattern's id."""
    rows = [
        np.frombuffer(hashlib.sha256(p.id.encode()).digest()[:dimension], np.uint8)
        for p in patterns
    ]
    return np.array(rows, dtype=np.float32).reshape(len(rows), dimension)


def rows_of(patterns: list[Pattern], best: int) -> Rows:
    return Rows.of(patterns, vectors_of(patterns, FAST), vectors_of(patterns, best))


def saved_bytes(snapshot: Snapshot) -> dict[str, bytes]:
    """Every file of a snapshot by name."""
    with tempfile.TemporaryDirectory() as folder:
        snapshot.save(Path(folder))
        (generation,) = Path(folder).iterdir()
        return {file.name: file.read_bytes() for file in generation.iterdir()}


FILES = st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["a.py", "b/c.py", "b.md"]))
TEXTS = st.lists(st.sampled_from(["", "alpha", "beta gamma", "alphaBeta"]), max_size=3)
STEPS = st.lists(st.dictionaries(FILES, TEXTS, max_size=3), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([0, BEST]), st.randoms())
def test_a_history_of_increments_is_the_rebuild_byte_for_byte(steps, best, random) -> None:  # type: ignore[no-untyped-def]
    """A step replaces files: adds, changes or empties them. Rows arrive in any order."""
    snapshot = Snapshot.build(0, rows_of([], best))
    now: dict[File, tuple[Pattern, ...]] = {}
    for generation, step in enumerate(steps, start=1):
        changed = {file: patterns_of(file, texts) for file, texts in step.items()}
        now |= changed
        added = [p for patterns in changed.values() for p in patterns]
        random.shuffle(added)
        snapshot = snapshot.replaced(generation, changed, rows_of(added, best))
    everything = [p for patterns in now.values() for p in patterns]
    random.shuffle(everything)
    rebuilt = Snapshot.build(len(steps), rows_of(everything, best))
    assert saved_bytes(snapshot) == saved_bytes(rebuilt)


def test_the_increments_of_a_hub_are_what_its_collections_give(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    (tree / "src/retry.py").write_text("def other():\n    return 2\n")
    (tree / "notes.toml").unlink()
    hub.index()
    workspace = hub.workspace
    generation = hub.status().generation
    published = Snapshot.load(workspace.derived, generation)
    assert published is not None
    rebuilt = Snapshot.from_store(generation, workspace.store)
    mine, theirs = saved_bytes(published), saved_bytes(rebuilt)
    for name in ("fast", "best"):  # Chroma moves the last bits of a vector
        vectors = [getattr(each.rows, name) for each in (published, rebuilt)]
        np.testing.assert_allclose(*vectors, atol=1e-6)
        del mine[f"rows.{name}.npy"], theirs[f"rows.{name}.npy"]
    assert mine == theirs


def test_a_rebuild_of_a_fast_hub_has_no_best_vectors(hub: Hub, tree: Path) -> None:
    hub.index([tree], tier="fast")
    rebuilt = Snapshot.from_store(1, hub.workspace.store)
    assert rebuilt.rows.best.shape == (len(rebuilt.rows), 0)
    assert not rebuilt.rows.has_best().any()


@pytest.fixture
def snapshot() -> Snapshot:
    patterns = [
        *patterns_of(("one", "a.py"), ["alpha", "", "größe 日本"]),
        *patterns_of(("two", "b.md"), ["beta"]),
    ]
    return Snapshot.build(7, rows_of(patterns, BEST))


def test_what_is_loaded_equals_what_was_saved(snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.save(tmp_path)
    loaded = Snapshot.load(tmp_path, 7)
    assert loaded is not None
    assert loaded.generation == 7
    assert saved_bytes(loaded) == saved_bytes(snapshot)


def test_an_empty_snapshot_is_saved_and_loaded(tmp_path: Path) -> None:
    empty = Snapshot.build(1, empty_rows(FAST))
    empty.save(tmp_path)
    loaded = Snapshot.load(tmp_path, 1)
    assert loaded is not None
    assert len(loaded.rows) == 0
    assert loaded.body.scores(np.array([1], dtype=np.uint64)).shape == (0,)


def test_a_snapshot_that_is_not_there_is_none(snapshot: Snapshot, tmp_path: Path) -> None:
    assert Snapshot.load(tmp_path / "nowhere", 7) is None
    snapshot.save(tmp_path)
    assert Snapshot.load(tmp_path, 8) is None


@pytest.mark.parametrize("share", [0, 0.5, 0.95])
def test_a_cut_off_file_makes_a_snapshot_none(
    snapshot: Snapshot, tmp_path: Path, share: float
) -> None:
    snapshot.save(tmp_path)
    for file in sorted((tmp_path / "7").iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole[: int(len(whole) * share)])
        assert Snapshot.load(tmp_path, 7) is None, file.name
        file.write_bytes(whole)
    assert Snapshot.load(tmp_path, 7) is not None


def test_a_missing_file_makes_a_snapshot_none(snapshot: Snapshot, tmp_path: Path) -> None:
    snapshot.save(tmp_path)
    for file in sorted((tmp_path / "7").iterdir()):
        whole = file.read_bytes()
        file.unlink()
        assert Snapshot.load(tmp_path, 7) is None, file.name
        file.write_bytes(whole)


@pytest.mark.parametrize("text", ["[]", "null", "3", "{}", '{"format": 1}', "\udcff", "{"])
def test_garbage_instead_of_names_makes_a_snapshot_none(
    snapshot: Snapshot, tmp_path: Path, text: str
) -> None:
    snapshot.save(tmp_path)
    (tmp_path / "7/names.json").write_bytes(text.encode(errors="surrogateescape"))
    assert Snapshot.load(tmp_path, 7) is None


def test_another_format_is_none(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(hub.store.snapshot, "FORMAT", hub.store.snapshot.FORMAT + 1)
        snapshot.save(tmp_path)
        assert Snapshot.load(tmp_path, 7) is not None
    assert Snapshot.load(tmp_path, 7) is None
    assert json.loads((tmp_path / "7/names.json").read_text())["generation"] == 7


def test_a_failed_save_leaves_nothing_and_keeps_the_last(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot.save(tmp_path)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as later:
        later.setattr(np, "save", full)
        with pytest.raises(OSError, match="no space"):
            snapshot.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["7"]
    assert Snapshot.load(tmp_path, 7) is not None


def test_pruning_keeps_the_current_generation_and_what_readers_have_open(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    snapshot.save(tmp_path)
    reader = Snapshot.load(tmp_path, 7)
    assert reader is not None
    following = snapshot.replaced(8, [("one", "a.py")], rows_of([], BEST))
    following.save(tmp_path)
    (tmp_path / ".9.123.tmp").mkdir()
    following.prune(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["8"]
    assert saved_bytes(reader) == saved_bytes(snapshot)
