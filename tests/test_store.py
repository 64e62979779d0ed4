"""The store: what goes into Chroma comes out, embedded or through a server; files beside it."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from hub import Hub, HubError
from hub.config import Config
from hub.config import Store as StoreConfig
from hub.store.chroma import PatternStore
from hub.store.manifest import RACY_NS, FileRecord, Manifest, Source
from hub.store.vectors import VectorCache
from hub.types import Pattern
from hub.words import content_text
from tests.conftest import WordEncoder, word_encoders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.store.encoders import Encoders

STRINGS = [
    "",
    " ",
    "a",
    "größe",
    "日本語 🙂",
    "a\r\nb\tc",
    "\u2028\u0001",
    "'\"\\{}$",
    "x" * 10_000,
]


def pattern(number: int, text: str = "text", **fields: object) -> Pattern:
    """A pattern with this number in its id; ``text`` fills every field that takes one."""
    values = {"path": text, "language": text, "kind": text, "symbol": text, "signature": text}
    values |= {"docstring": text, "text": text, "source": text}
    numbers = {"start_byte": number, "end_byte": 2**40, "start_line": 1, "end_line": 2, "part": 3}
    return Pattern(**{**values, **numbers, "id": f"{number:032x}", **fields})  # type: ignore[arg-type]


def store_in(folder: Path, encoders: Encoders, name: str = "patterns") -> PatternStore:
    config = Config(store=StoreConfig(name=name))
    return PatternStore.from_config(config, folder, fast=encoders.fast, best=encoders.best)


def everything(store: PatternStore) -> dict[str, Pattern]:
    return {p.id: p for page, _ in store.pages() for p in page}


def vectors(count: int, dimension: int) -> np.ndarray:
    found = np.random.default_rng(count).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.fixture
def store(tmp_path: Path, encoders: Encoders) -> PatternStore:
    found = store_in(tmp_path, encoders)
    found.create("rules")
    found.create_best("rules")
    return found


def test_patterns_come_back_as_they_went_in(store: PatternStore) -> None:
    patterns = [pattern(number, text) for number, text in enumerate(STRINGS)]
    fast = vectors(len(patterns), 32)
    store.add(patterns, fast)
    assert store.get([p.id for p in patterns]) == {p.id: p for p in patterns}
    ((page, found),) = store.pages()
    rows = [int(p.id, 16) for p in page]
    np.testing.assert_allclose(found, fast[rows], atol=1e-6)


def test_more_patterns_than_a_write_or_a_page_come_back(
    store: PatternStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.chroma.BATCH", 7)
    monkeypatch.setattr("hub.store.chroma.PAGE", 5)
    patterns = [pattern(number) for number in range(23)]
    store.add(patterns, vectors(23, 32))
    store.add_best([p.id for p in patterns], vectors(23, 48))
    assert everything(store) == {p.id: p for p in patterns}
    assert sorted(store.counts().values()) == [23, 23]
    assert sum(len(ids) for ids, _ in store.best_pages()) == 23
    store.update([replace(p, start_line=9) for p in patterns])
    assert {p.start_line for p in everything(store).values()} == {9}
    store.delete([p.id for p in patterns[:20]])
    assert sorted(store.counts().values()) == [3, 3]


def test_an_update_moves_a_pattern_and_keeps_its_text_and_vector(store: PatternStore) -> None:
    one, two = pattern(1), pattern(2)
    store.add([one, two], vectors(2, 32))
    moved = replace(one, start_byte=99, start_line=7, end_line=9, docstring="")
    store.update([moved])
    assert everything(store) == {one.id: moved, two.id: two}
    assert [len(found) for _, found in store.pages()] == [2]


def test_adding_a_pattern_again_replaces_it(store: PatternStore) -> None:
    store.add([pattern(1)], vectors(1, 32))
    store.add([pattern(1, "new")], vectors(1, 32))
    assert everything(store) == {pattern(1).id: pattern(1, "new")}


def test_deleting_ids_that_are_not_there_is_no_error(store: PatternStore) -> None:
    store.add([pattern(1)], vectors(1, 32))
    store.delete(["0" * 32, pattern(1).id, "nonsense"])
    store.delete([])
    assert everything(store) == {}


def test_getting_nothing_gives_nothing(store: PatternStore) -> None:
    store.add([pattern(1)], vectors(1, 32))
    assert store.get([]) == {}
    assert store.get(["0" * 32]) == {}


def test_nearest_is_by_cosine_and_filtered(store: PatternStore) -> None:
    patterns = [pattern(n, kind="even" if n % 2 == 0 else "odd") for n in range(10)]
    fast = vectors(10, 32)
    store.add(patterns, fast)
    expected = fast @ fast[4]
    found = store.nearest("fast", fast[4], limit=50, where=None)
    assert [int(id_, 16) for id_, _ in found] == np.argsort(-expected).tolist()
    np.testing.assert_allclose([score for _, score in found], np.sort(expected)[::-1], atol=1e-5)
    odd = store.nearest("fast", fast[4], limit=50, where={"kind": {"$eq": "odd"}})
    assert {int(id_, 16) % 2 for id_, _ in odd} == {1}
    assert len(odd) == 5


def test_both_tiers_compare_by_cosine(store: PatternStore) -> None:
    spaces = {c.name: c.configuration["hnsw"]["space"] for c in store._client.list_collections()}
    assert set(spaces.values()) == {"cosine"}
    assert len(spaces) == 2


def test_the_state_is_what_was_set_also_for_another_reader(
    store: PatternStore, tmp_path: Path
) -> None:
    store.set_state(writing=False, generation=5, best_complete=True)
    for reader in (store, store_in(tmp_path, word_encoders())):
        state = reader.state()
        assert state is not None
        assert (state.generation, state.writing, state.best_complete) == (5, False, True)
        assert (state.chunker, state.model) == ("rules", "words")


def test_hubs_of_two_names_in_one_store_stay_apart(store: PatternStore, tmp_path: Path) -> None:
    store.add([pattern(1)], vectors(1, 32))
    other = store_in(tmp_path, word_encoders(), name="others")
    assert other.state() is None
    other.create("rules")
    other.create_best("rules")
    other.add([pattern(2)], vectors(1, 32))
    assert list(everything(store)) == [pattern(1).id]
    assert list(everything(other)) == [pattern(2).id]


def test_an_empty_store_says_what_to_do(tmp_path: Path, encoders: Encoders) -> None:
    empty = store_in(tmp_path, encoders)
    assert empty.state() is None
    with pytest.raises(HubError, match="patternhub index"):
        empty.get(["0" * 32])


def test_another_models_patterns_are_copied_beside_them_and_dropped_when_asked(
    store: PatternStore, tmp_path: Path
) -> None:
    """The same fast vectors, another model behind them."""
    other = replace(word_encoders(), best=WordEncoder("other-best", 40))
    store.add([pattern(1)], vectors(1, 32))
    store.add_best([pattern(1).id], vectors(1, 48))
    store.set_state(writing=False, generation=5)
    changed = store_in(tmp_path, other)
    with pytest.raises(HubError, match=r"'words'.*'other-best'"):
        changed.state()
    changed.create("rules")
    assert changed.carry_over(store.patterns_name)
    changed.create_best("rules")
    assert everything(changed) == everything(store) == {pattern(1).id: pattern(1)}
    assert sorted(changed.counts().values()) == [0, 1]
    assert sorted(store.counts().values()) == [1, 1]
    states = [changed.own_state(), changed.previous()]
    assert [s and (s.model, s.generation, s.writing) for s in states] == [
        ("other-best", 0, True),
        ("words", 5, False),
    ]
    changed.drop_others()
    assert changed.counts().keys() == {c.name for c in changed._client.list_collections()}
    assert changed.previous() is None


def test_carrying_over_again_encodes_only_what_differs(
    store: PatternStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.chroma.PAGE", 5)
    patterns = [pattern(number, f"text {number}") for number in range(23)]
    store.add(patterns, vectors(23, 32))
    fast = WordEncoder("other-fast", 32)
    changed = store_in(tmp_path, replace(word_encoders(), fast=fast))
    changed.create("rules")
    changed.carry_over(store.patterns_name)
    assert everything(changed) == everything(store)
    changed.delete([p.id for p in patterns[:2]])
    moved = replace(patterns[9], start_line=7)
    store.update([moved])
    del fast.embedded[:]
    changed.carry_over(store.patterns_name)
    again = (*patterns[:2], moved)
    assert set(fast.embedded) == {f(p) for p in again for f in (content_text, lambda p: p.path)}
    assert everything(changed) == everything(store)


def test_a_damaged_chroma_folder_is_named(tmp_path: Path, encoders: Encoders) -> None:
    (tmp_path / "chroma").mkdir()
    (tmp_path / "chroma/chroma.sqlite3").write_bytes(b"no database " * 1000)
    with pytest.raises(HubError, match=f"the Chroma store at {tmp_path / 'chroma'} cannot be"):
        store_in(tmp_path, encoders).state()


def test_cloud_without_a_key_says_which_variable(
    tmp_path: Path, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHROMA_API_KEY", raising=False)
    config = Config(store=StoreConfig(cloud=True))
    with pytest.raises(HubError, match="CHROMA_API_KEY"):
        PatternStore.from_config(config, tmp_path, fast=encoders.fast, best=encoders.best).state()


class TestVectorCache:
    """Vectors by content."""

    def test_vectors_come_back_to_half_precision(self, tmp_path: Path) -> None:
        cache = VectorCache(tmp_path / "vectors.db", model="m")
        keys = [cache.key(f"text {n}") for n in range(1200)]  # more than one query takes
        values = vectors(1200, 48)
        cache.put(zip(keys, values, strict=True))
        cache.close()
        again = VectorCache(tmp_path / "vectors.db", model="m")
        found = again.get([*keys, again.key("unknown")])
        assert set(found) == set(keys)
        np.testing.assert_allclose(np.stack([found[k] for k in keys]), values, atol=1e-3)
        assert again.get([]) == {}
        again.close()

    def test_models_and_texts_never_share_a_key(self, tmp_path: Path) -> None:
        one, two = (VectorCache(tmp_path / "vectors.db", model=m) for m in ("m", "n"))
        texts = ["", "a", "a ", "A", "größe", "m", "\0"]
        assert len({c.key(text) for c in (one, two) for text in texts}) == 2 * len(texts)
        one.close()
        two.close()

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "vectors.db"
        path.write_bytes(b"no database " * 1000)
        with pytest.raises(HubError, match=r"vectors\.db cannot be used.*delete it"):
            VectorCache(path, model="m")

    def test_damage_inside_the_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "vectors.db"
        cache = VectorCache(path, model="m")
        keys = [cache.key(str(n)) for n in range(500)]
        cache.put(zip(keys, vectors(500, 48), strict=True))
        cache.close()
        damage(path)
        again = VectorCache(path, model="m")
        with pytest.raises(HubError, match=r"vectors\.db cannot be used.*delete it"):
            again.get(keys)
        again.close()


def damage(path: Path) -> None:
    """Overwrite all of an SQLite file but its first page."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + random.Random(0).randbytes(len(data) - 4096))


def record(path: str, **changes: object) -> FileRecord:
    stat = {"size": 10, "mtime_ns": 5, "ctime_ns": 5, "seen_ns": 6}
    values = {**stat, "digest": "d", "rules": "r", "skipped": "", "patterns": 1}
    return FileRecord(source="s", path=path, **{**values, **changes})  # type: ignore[arg-type]


class TestManifest:
    """What the last run saw."""

    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Iterator[Manifest]:
        found = Manifest(tmp_path / "manifest.db")
        yield found
        found.close()

    def test_sources_and_files_come_back(self, manifest: Manifest, tmp_path: Path) -> None:
        source = Source("s", "/größe 日本", "abc")
        records = {r.path: r for r in (record("a"), record("ü/🙂", mtime_ns=2**62))}
        manifest.put_source(source)
        manifest.put_files(records.values())
        again = Manifest(tmp_path / "manifest.db")
        assert again.sources() == [source]
        assert again.files("s") == records
        assert again.files("other") == {}
        again.close()

    def test_a_source_keeps_its_place_when_its_revision_moves(self, manifest: Manifest) -> None:
        manifest.put_source(Source("s", "/one", "1"))
        manifest.put_source(Source("s", "/one", "2"))
        assert manifest.sources() == [Source("s", "/one", "2")]

    def test_files_are_replaced_and_deleted(self, manifest: Manifest) -> None:
        manifest.put_files([record("a"), record("b")])
        manifest.put_files([record("a", digest="new")])
        manifest.delete_files([("s", "b"), ("s", "unknown")])
        assert manifest.files("s") == {"a": record("a", digest="new")}

    def test_totals_and_skips_count_every_file_once(self, manifest: Manifest) -> None:
        manifest.put_files([record("a"), record("b", size=5), record("c", skipped="binary")])
        manifest.put_skips("s", [("d", "too-large")])
        manifest.put_skips("s", [("e", "too-large")])
        assert manifest.totals() == {"s": (2, 15)}
        assert manifest.skipped() == [("s", "c", "binary"), ("s", "e", "too-large")]

    def test_forgetting_a_source_forgets_its_files(self, manifest: Manifest) -> None:
        manifest.put_source(Source("s", "/one"))
        manifest.put_files([record("a")])
        manifest.put_skips("s", [("d", "too-large")])
        manifest.delete_source("s")
        assert (manifest.sources(), manifest.files("s"), manifest.skipped()) == ([], {}, [])

    def test_records_of_other_rows_are_not_trusted(self, manifest: Manifest) -> None:
        assert manifest.described() == ""
        manifest.put_files([record("a")])
        manifest.describe("one", same_rows=True)
        assert manifest.files("s") == {"a": record("a")}
        manifest.describe("two", same_rows=False)
        assert manifest.described() == "two"
        assert manifest.files("s") == {"a": record("a", rules="")}

    def test_a_file_written_just_before_it_was_read_is_not_trusted(self) -> None:
        seen = 10 * RACY_NS
        settled = record("a", mtime_ns=seen - RACY_NS - 1, seen_ns=seen)
        racy = record("a", mtime_ns=seen - RACY_NS, seen_ns=seen)
        assert settled.unchanged(settled, "r")
        assert not racy.unchanged(racy, "r")
        assert not settled.unchanged(settled, "other")
        for change in ("size", "mtime_ns", "ctime_ns"):
            assert not settled.unchanged(replace(settled, **{change: 11}), "r")

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "broken.db"
        path.write_bytes(b"no database " * 1000)
        with pytest.raises(HubError, match=r"broken\.db cannot be used.*delete it"):
            Manifest(path)

    def test_damage_inside_the_file_is_named(self, tmp_path: Path) -> None:
        manifest = Manifest(tmp_path / "inside.db")
        manifest.put_files([record(f"a/{n}") for n in range(500)])
        manifest.close()
        damage(tmp_path / "inside.db")
        with pytest.raises(HubError, match=r"inside\.db cannot be used.*delete it"):
            Manifest(tmp_path / "inside.db").files("s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real Chroma server of its own; (URL, process)."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [Path(sys.executable).with_name("chroma"), "run", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*map(str, command), "--port", str(port), "--path", str(tmp_path / "server")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"{url}/api/v2/heartbeat", process)
        yield url, process
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the Chroma server stopped"
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(url)


def served(folder: Path, url: str) -> Hub:
    folder.mkdir(exist_ok=True)
    (folder / "hub.toml").write_text(f'[store]\nurl = "{url}"\n')
    return Hub.open(folder, encoders=word_encoders())


def test_a_hub_works_through_a_chroma_server(
    server: tuple[str, subprocess.Popen[bytes]], tree: Path, tmp_path: Path, hub: Hub
) -> None:
    """Index, search and refresh give what the embedded store gives; a dead server is named."""
    url, process = server
    remote = served(tmp_path / "remote", url)
    for each in (hub, remote):
        each.index([tree])
    assert everything(remote.workspace.store) == everything(hub.workspace.store)
    hits = [[h.pattern.id for h in each.search("retry with backoff")] for each in (hub, remote)]
    assert hits[0] == hits[1]
    assert not (remote.workspace.store_folder / "chroma").exists()

    (tree / "src/new.py").write_text("def brand_new():\n    return 1\n")
    (tree / "notes.toml").unlink()
    report = remote.index()
    assert (report.files_added, report.files_removed) == (1, 1)
    assert remote.search("brand_new")[0].pattern.symbol == "brand_new"
    again = served(tmp_path / "remote", url)
    assert again.search("brand_new")[0].tier == "best"

    process.kill()
    process.wait()
    for use in (lambda: again.search("retry"), again.index, again.duplicates):
        with pytest.raises(HubError, match=url):
            use()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1", "localhost:8000", "http://127.0.0.1:99999", "ftp://a"],
)
def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path, tree: Path, url: str) -> None:
    hub = served(tmp_path / "remote", url)
    with pytest.raises(HubError) as caught:
        hub.index([tree])
    assert url in str(caught.value)
