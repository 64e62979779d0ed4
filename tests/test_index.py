"""Index runs: only what changed is read, written and embedded, and nothing is ever mixed up."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from filelock import FileLock

import hub.preparing
import indexers.files
from hub import Hub, HubError
from tests.conftest import WordEncoder, age, git, word_encoders, write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from hub.store.encoders import Encoders


def contents(hub: Hub) -> dict[str, tuple]:
    """Everything in the collections by id: the pattern, and both vectors rounded."""
    store = hub.workspace.store
    best = {i: v for ids, vectors in store.best_pages() for i, v in zip(ids, vectors, strict=True)}
    return {
        p.id: (p, fast.round(2).tolist(), best[p.id].round(2).tolist())
        for patterns, vectors in store.pages()
        for p, fast in zip(patterns, vectors, strict=True)
    }


def rebuilt(tmp_path: Path, tree: Path) -> dict[str, tuple]:
    folder = tmp_path / "rebuilt"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    hub = Hub.open(folder, encoders=word_encoders())
    hub.index([tree])
    return contents(hub)


def embedded(hub: Hub) -> list[str]:
    best = hub.workspace.encoders.best
    assert isinstance(best, WordEncoder)
    return best.embedded


def test_a_hub_answers_after_its_first_index(hub: Hub, tree: Path) -> None:
    report = hub.index([tree])
    assert report.files_added == 5
    assert report.patterns_total == report.patterns_added == len(contents(hub))
    hit = hub.search("retry with backoff", kind="function", path="src/**")[0]
    assert (hit.pattern.symbol, hit.tier) == ("retry_with_backoff", "best")
    assert hit.pattern.path == "src/retry.py"
    assert (hit.pattern.start_line, hit.pattern.end_line) == (6, 13)


def test_an_unchanged_tree_is_neither_read_nor_written(hub: Hub, tree: Path) -> None:
    age(tree)
    hub.index([tree])
    generation = hub.status().generation
    before = len(embedded(hub))
    report = hub.index()
    assert (report.files_unchanged, report.files_added, report.files_changed) == (5, 0, 0)
    assert len(embedded(hub)) == before
    assert hub.status().generation == generation


def test_a_changed_function_is_embedded_alone(hub: Hub, tree: Path, tmp_path: Path) -> None:
    hub.index([tree])
    del embedded(hub)[:]
    file = tree / "src/retry.py"
    file.write_text("# moved down\n\n" + file.read_text().replace("30", "30 * 2"))
    report = hub.index()
    assert report.files_changed == 1
    assert [text.split("\n")[0] for text in embedded(hub)] == ["", "client"]  # glue, class header
    assert contents(hub) == rebuilt(tmp_path, tree)


def test_incremental_equals_rebuild_over_a_history_of_edits(
    hub: Hub, tree: Path, tmp_path: Path
) -> None:
    hub.index([tree])
    (tree / "src/new.py").write_text("def added():\n    return 1\n")
    (tree / "notes.toml").unlink()
    (tree / "src/dates.ts").rename(tree / "src/days.ts")
    hub.index()
    (tree / "src/new.py").write_text("def added():\n    return 1\n\n\ndef added():\n    return 1\n")
    hub.index()
    assert contents(hub) == rebuilt(tmp_path, tree)


def test_a_moved_file_embeds_nothing(hub: Hub, tree: Path, tmp_path: Path) -> None:
    hub.index([tree])
    del embedded(hub)[:]
    (tree / "lib").mkdir()
    (tree / "src/retry.py").rename(tree / "lib/retry.py")
    report = hub.index()
    assert report.embedded == 0
    assert embedded(hub) == ["lib retry py"]  # nothing but the new path
    assert contents(hub) == rebuilt(tmp_path, tree)


def test_switching_branches_and_back_embeds_nothing_twice(hub: Hub, tree: Path) -> None:
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    hub.index([tree])
    first = contents(hub)
    git(tree, "switch", "-qc", "other")
    (tree / "src/retry.py").write_text("def other():\n    return 2\n")
    git(tree, "commit", "-qam", "two")
    hub.index()
    assert contents(hub) != first
    del embedded(hub)[:]
    git(tree, "switch", "-q", "main")
    assert hub.index().embedded == 0
    assert contents(hub) == first


def test_everything_derived_can_be_deleted(hub: Hub, tree: Path, tmp_path: Path) -> None:
    hub.index([tree])
    expected = [hit.pattern for hit in hub.search("retry", limit=20)]
    store = hub.workspace.store_folder
    shutil.rmtree(store / "derived")
    (store / "manifest.db").unlink()
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    assert [hit.pattern for hit in again.search("retry", limit=20)] == expected
    report = again.index([tree])
    assert (report.patterns_added, report.patterns_removed, report.embedded) == (0, 0, 0)
    assert contents(again) == rebuilt(tmp_path, tree)


def test_fast_tier_stops_early_and_is_upgraded_later(hub: Hub, tree: Path) -> None:
    hub.index([tree], tier="fast")
    assert embedded(hub) == []
    assert hub.search("retry")[0].tier == "fast"
    with pytest.raises(HubError, match="best tier is not complete"):
        hub.search("retry", tier="best")
    report = hub.index()
    assert report.files_unchanged + report.files_changed == 5
    assert report.embedded == report.patterns_total
    assert hub.search("retry")[0].tier == "best"


def test_a_stopped_upgrade_goes_on_where_it_was(hub: Hub, tree: Path) -> None:
    hub.index([tree], tier="fast")
    best = hub.workspace.encoders.best
    encode = best.encode_documents
    best.encode_documents = lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        hub.index()
    assert hub.search("retry")[0].tier == "fast"
    best.encode_documents = encode  # type: ignore[method-assign]
    hub.index()
    assert hub.search("retry")[0].tier == "best"


def test_duplicates_are_embedded_once(hub: Hub, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text("def same():\n    return 1\n")
    report = hub.index([tmp_path / "a", tmp_path / "b"])
    assert (report.patterns_total, report.embedded, report.reused) == (2, 1, 1)


def test_sources_with_one_name_stay_apart(hub: Hub, tmp_path: Path) -> None:
    first, second = write_tree(tmp_path / "one/src"), write_tree(tmp_path / "two/src")
    hub.index([first, second])
    assert [s.name for s in hub.status().sources] == ["src", "two/src"]
    assert {h.source for h in (hit.pattern for hit in hub.search("retry"))} == {"src", "two/src"}


def test_a_single_file_is_a_source(hub: Hub, tree: Path) -> None:
    report = hub.index([tree / "src/retry.py"])
    assert report.files_added == 1
    assert {hit.pattern.path for hit in hub.search("retry")} == {"retry.py"}


def test_the_hub_does_not_index_itself(tree: Path, encoders: Encoders) -> None:
    hub = Hub.open(tree, encoders=encoders)
    hub.index([tree])
    assert all(".patternhub" not in path for _, path, _ in hub.status().skipped_files)
    assert hub.index([tree]).files_added == 0
    assert (tree / ".patternhub/.gitignore").read_text() == "*\n"


def test_a_source_that_is_gone_is_named_and_the_others_are_indexed(
    hub: Hub, tree: Path, tmp_path: Path
) -> None:
    other = write_tree(tmp_path / "other")
    hub.index([tree, other])
    shutil.rmtree(other)
    report = hub.index()
    assert list(report.failed) == [other.as_posix()]
    assert report.sources == ["tree"]
    assert report.patterns_total == hub.status().patterns  # nothing was thrown away


def test_one_location_needs_no_list(hub: Hub, tree: Path) -> None:
    """A string is a sequence too, of letters: it must not be taken for paths."""
    assert hub.index(str(tree)).sources == hub.index(tree).sources == [tree.name]


@pytest.mark.parametrize("location", ["", "  "])
def test_an_empty_location_is_refused(hub: Hub, location: str) -> None:
    """It comes from a variable that was never set, and would index the folder it stands in."""
    with pytest.raises(HubError, match="'' is no source"):
        hub.index([location])


def test_rows_that_somebody_removed_are_written_again(hub: Hub, tree: Path, tmp_path: Path) -> None:
    """The record of a file is trusted only while its rows are there."""
    age(tree)
    hub.index([tree])
    before = contents(hub)
    some = [p.id for p, _, _ in before.values() if p.path == "src/retry.py"][:2]
    hub.workspace.store.delete(some)
    shutil.rmtree(hub.workspace.derived)
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    again.index([tree])
    assert contents(again) == before
    shutil.rmtree(hub.workspace.store_folder / "chroma")
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    again.index([tree])
    assert contents(again) == before


def test_a_renamed_store_is_filled_and_neither_answers_for_the_other(hub: Hub, tree: Path) -> None:
    age(tree)
    hub.index([tree])
    folder = hub.workspace.folder
    (folder / "hub.toml").write_text('[store]\nname = "other"\n')
    other = Hub.open(folder, encoders=word_encoders())
    shutil.rmtree(tree / "src")
    other.index([tree])
    assert other.search("retry_with_backoff", kind="section")
    (folder / "hub.toml").unlink()
    first = Hub.open(folder, encoders=word_encoders())
    assert first.search("retry_with_backoff")[0].pattern.path == "src/retry.py"
    assert "src/retry.py" not in {p.path for p, _, _ in contents(other).values()}


def test_the_sources_are_known_without_the_manifest(hub: Hub, tree: Path, tmp_path: Path) -> None:
    twin = write_tree(tmp_path / "deeper/tree")
    hub.index([tree, twin])
    before = contents(hub)
    for path in hub.workspace.store_folder.glob("manifest.db*"):
        path.unlink()
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    again.index()
    assert contents(again) == before
    for path in hub.workspace.store_folder.glob("manifest.db*"):
        path.unlink()
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    again.index([twin])  # keeps the name it had
    assert contents(again) == before


def test_a_file_that_could_not_be_read_is_tried_again(
    hub: Hub, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(tree)
    real = indexers.files.read_source

    def failing(root: Path, entry: indexers.files.FileEntry) -> object:
        if entry.path == "src/retry.py":
            return indexers.files.Skip(entry.path, "unreadable")
        return real(root, entry)

    monkeypatch.setattr(indexers.files, "read_source", failing)
    assert hub.index([tree]).skipped == {"unreadable": 1}
    assert hub.status().sources[0].stale == 1
    monkeypatch.undo()
    assert hub.index([tree]).files_changed == 1
    assert hub.search("retry_with_backoff")[0].pattern.path == "src/retry.py"


def test_a_model_that_comes_back_leaves_no_vector_without_a_pattern(hub: Hub, tree: Path) -> None:
    folder = hub.workspace.folder
    hub.index([tree])
    Hub.open(folder, encoders=word_encoders("other")).index([tree], tier="fast")
    (tree / "src/retry.py").unlink()
    Hub.open(folder, encoders=word_encoders("other")).index([tree], tier="fast")
    back = Hub.open(folder, encoders=word_encoders())
    back.index([tree])
    best = {i for ids, _ in back.workspace.store.best_pages() for i in ids}
    assert best == set(contents(back))


def test_nothing_to_index_says_what_to_do(hub: Hub) -> None:
    with pytest.raises(HubError, match=r"name a folder, file or git URL.*hub\.toml"):
        hub.index()


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any run uses worker processes, with small batches."""
    monkeypatch.setattr(hub.preparing, "PARALLEL_BYTES", 0)
    monkeypatch.setattr(hub.preparing, "BATCH_BYTES", 100)
    monkeypatch.setattr("os.cpu_count", lambda: 3)


def running_workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "loky.backend.popen" in " ".join(child.cmdline())]


def test_worker_processes_change_nothing_and_end_with_the_run(
    hub: Hub, tree: Path, tmp_path: Path, workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.index([tree])
    assert not running_workers()
    monkeypatch.undo()
    assert contents(hub) == rebuilt(tmp_path, tree)


def test_no_worker_outlives_a_run_that_is_broken_off(
    hub: Hub, tree: Path, workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hub.writing.PatternWriter.put", stop)
    with pytest.raises(KeyboardInterrupt):
        hub.index([tree])
    assert not running_workers()


def test_forgetting_a_source_removes_its_patterns_only(
    hub: Hub, tree: Path, tmp_path: Path
) -> None:
    other = write_tree(tmp_path / "other")
    hub.index([tree])
    expected = contents(hub)
    hub.index([other])
    report = hub.forget("other")
    assert report.patterns_removed == len(expected)
    assert contents(hub) == expected
    assert [s.name for s in hub.status().sources] == ["tree"]
    with pytest.raises(HubError, match="no source is called 'other'; there are: tree"):
        hub.forget("other")


def test_a_git_url_is_indexed_and_updated(hub: Hub, tree: Path) -> None:
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    url = tree.as_uri()
    hub.index([url])
    assert hub.status().sources[0].name == "tree"
    (tree / "src/extra.py").write_text("def extra():\n    return 1\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "two")
    assert hub.index().files_added == 1
    assert hub.search("extra")[0].pattern.symbol == "extra"


def test_patterns_of_another_model_are_refused_and_migrated(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    other = Hub.open(hub.workspace.folder, encoders=word_encoders("others"))
    with pytest.raises(HubError, match=r"model 'words'.*'others'.*patternhub index"):
        other.search("retry")
    report = other.index()
    assert report.patterns_added == 0
    assert report.embedded == report.patterns_total
    assert other.search("retry with backoff")[0].tier == "best"
    vectors = np.concatenate([v for _, v in other.workspace.store.best_pages()])
    assert vectors.shape == (report.patterns_total, 48)


def test_another_schema_is_refused(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    hub.workspace.store.set_state(schema=99)
    with pytest.raises(HubError, match="schema 99"):
        hub.search("retry")
    with pytest.raises(HubError, match="schema 99"):
        hub.index()


def test_a_new_chunker_setting_cuts_again_and_embeds_only_what_is_new(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    (hub.workspace.folder / "hub.toml").write_text("[chunks]\nmax_chars = 1500\n")
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    report = again.index()
    assert (report.files_changed, report.patterns_kept) == (5, report.patterns_total)
    assert report.embedded == 0


def test_skips_are_counted_with_their_reason(hub: Hub, tree: Path) -> None:
    (tree / "blob.py").write_bytes(b"\0" * 100)
    (tree / "latin.py").write_bytes("# caf\xe9".encode("latin-1"))
    (tree / "huge.py").write_bytes(b"x = 1\n" * 300_000)
    (tree / "empty.py").write_bytes(b"")
    report = hub.index([tree])
    expected = {"binary": 1, "not-utf8": 1, "too-large": 1, "empty": 1}
    assert report.skipped == expected
    assert hub.status().skipped == expected
    assert hub.index().skipped == expected
    assert ("tree", "latin.py", "not-utf8") in hub.status().skipped_files


def test_a_second_writer_waits_and_says_so(
    hub: Hub, tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.index([tree])
    (tree / "src/new.py").write_text("def added():\n    return 1\n")
    other = FileLock(hub.workspace.store_folder / "lock")
    with ThreadPoolExecutor() as pool:
        with other:
            waiting = pool.submit(hub.index)
            while "waiting for it to finish" not in caplog.text:
                assert not waiting.done()
        assert waiting.result().files_added == 1


def test_the_outline_of_a_class_is_derived_from_its_methods(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    header = next(hit.pattern for hit in hub.search("client", kind="class", limit=50))
    assert "def " not in header.text
    assert [method.signature for method in hub.outline(header)] == [
        "def send(self, request):",
        "def close(self):",
    ]
    assert hub.outline(hub.search("retry_with_backoff")[0].pattern) == []
