"""Another embedding model: searches find the old vectors until the new are complete."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hub import Hub, HubError
from hub.config import Embedding
from hub.store.chroma import PatternStore
from hub.store.encoders import Encoders, open_encoders
from tests.conftest import WordEncoder, age, configured_encoders, word_encoders
from tests.test_trouble import (
    Command,
    assert_same,
    assert_sound,
    contents,
    finished,
    generated,
    kill_after,
    ready,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.types import Vectors

QUERIES = ("retry with backoff", "parse an iso date", "Client", "settings")
Hits = list[list[tuple[str, float, str]]]


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """``embedding.model`` names a deterministic encoder; best vectors come four at a time."""
    monkeypatch.setattr("hub.indexing.EMBED_BATCH", 4)
    monkeypatch.setattr("hub.indexing.ONE_PUBLISH", 2)
    monkeypatch.setattr("hub.store.encoders.open_encoders", configured_encoders)


@pytest.fixture
def folder(tmp_path: Path, tree: Path) -> Path:
    """A hub of the tree, complete with the model "words"."""
    age(tree)
    folder = tmp_path / "hub"
    folder.mkdir()
    Hub.open(folder).index([tree])
    return folder


def encoders_of(model: str) -> Encoders:
    return configured_encoders(Embedding(model=model), Path())


class Failing(WordEncoder):
    """Ends the run when it was asked to embed so many times."""

    def __init__(self, name: str, calls: int) -> None:
        super().__init__(name, encoders_of(name).best.dimension)
        self.calls = iter(range(calls))

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        if next(self.calls, None) is None:
            raise KeyboardInterrupt
        return super().encode_documents(texts, on_done=on_done)


def configure(folder: Path, model: str, more: str = "") -> None:
    model = Embedding().model if model == "words" else model
    (folder / "hub.toml").write_text(f'[embedding]\nmodel = "{model}"\n{more}')


def migrate_half(folder: Path, model: str = "others", *, calls: int = 3) -> WordEncoder:
    """A run with another model that ends among its best vectors; what has embedded them."""
    configure(folder, model)
    best = Failing(model, calls)
    with pytest.raises(KeyboardInterrupt):
        Hub.open(folder, encoders=replace(encoders_of(model), best=best)).index()
    assert best.embedded
    return best


def hits(hub: Hub) -> Hits:
    return [
        [(hit.pattern.id, hit.score, hit.tier) for hit in hub.search(query)] for query in QUERIES
    ]


def built(folder: Path, tree: Path, model: str = "words", more: str = "") -> Hub:
    """A hub that never knew another model."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    configure(folder, model, more)
    hub = Hub.open(folder)
    hub.index([tree])
    return hub


def assert_alike(found: Hits, expected: Hits) -> None:
    """The same hits in order; Chroma moves the last bits of a vector."""
    for mine, theirs in zip(found, expected, strict=True):
        assert [hit[::2] for hit in mine] == [hit[::2] for hit in theirs]
        assert [hit[1] for hit in mine] == pytest.approx([hit[1] for hit in theirs], abs=1e-3)


def assert_only(hub: Hub) -> None:
    """Nothing of another model is left."""
    workspace = hub.workspace
    names = {c.name for c in workspace.store._client.list_collections()}
    assert names == workspace.store.counts().keys()
    assert [*(workspace.store_folder / "derived").iterdir()] == [workspace.derived]
    assert len([*workspace.derived.iterdir()]) == 1


# --- what a search finds


@pytest.mark.parametrize("exact_limit", [300_000, 0])
def test_searches_find_the_old_until_the_new_is_complete(
    folder: Path, tree: Path, tmp_path: Path, exact_limit: int
) -> None:
    """Through a hub that was open before, one opened meanwhile, and a fresh one each time."""
    search = f"[search]\nexact_limit = {exact_limit}\n"
    configure(folder, "words", search)
    before = Hub.open(folder)
    old = hits(before)
    assert {tier for found in old for _, _, tier in found} == {"best"}
    migrate_half(folder)
    configure(folder, "others", search)
    meanwhile = Hub.open(folder)
    for hub in (before, meanwhile, Hub.open(folder)):
        assert hits(hub) == old
        assert hub.neighbours(hub.get(old[0][0][0])) != (None, None)
        assert hub.duplicates().total
    report = Hub.open(folder).index()
    assert (report.patterns_added, report.files_unchanged) == (0, 5)
    fresh = Hub.open(folder)
    expected = hits(built(tmp_path / "fresh", tree, "others", search))
    assert old != expected
    for hub in (before, meanwhile, fresh):
        assert_alike(hits(hub), expected)
        assert hub.workspace.encoders.best.name == "others"
        assert_only(hub)


def test_every_read_of_an_open_hub_moves_to_the_new_model(folder: Path, tmp_path: Path) -> None:
    shown = Hub.open(folder).search("Client", kind="class")[0].pattern
    reads: list[Callable[[Hub], object]] = [
        lambda hub: hub.get(shown.id) == shown,
        lambda hub: hub.neighbours(shown),
        lambda hub: hub.outline(shown),
        lambda hub: hub.status().model == "others",
        lambda hub: hub.duplicates().total,
    ]
    hubs = [Hub.open(folder) for _ in reads]
    for hub in hubs:
        hub.search("retry")
    configure(folder, "others")
    Hub.open(folder).index()
    for hub, read in zip(hubs, reads, strict=True):
        assert read(hub)


def test_a_switch_in_the_middle_of_a_search_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old collections are gone between the ranking and the texts of the hits."""
    reader = Hub.open(folder)
    reader.search("retry")
    configure(folder, "others")
    get = PatternStore.get

    def late(store: PatternStore, ids: Sequence[str]) -> object:
        monkeypatch.setattr(PatternStore, "get", get)
        Hub.open(folder).index()
        return get(store, ids)

    monkeypatch.setattr(PatternStore, "get", late)
    assert len(reader.search("retry with backoff")) == 10
    assert reader.workspace.encoders.best.name == "others"


def test_a_search_asks_chroma_for_the_state_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_half(folder)
    meanwhile = Hub.open(folder)
    meanwhile.search("retry")
    asked = []
    find = PatternStore._find
    monkeypatch.setattr(
        PatternStore, "_find", lambda store, name: (asked.append(name), find(store, name))[1]
    )
    meanwhile.search("retry")
    assert asked == [meanwhile.retriever.store.patterns_name]


def test_a_model_that_nobody_migrated_to_is_refused_with_both_names(folder: Path) -> None:
    before = Hub.open(folder)
    old = hits(before)
    configure(folder, "others")
    for look in (lambda hub: hub.search("retry"), Hub.status, lambda hub: hub.forget("tree")):
        with pytest.raises(HubError, match=r"model 'words'.*'others'.*patternhub index"):
            look(Hub.open(folder))
    assert hits(before) == old


def test_an_old_model_that_is_not_what_it_was_is_not_searched_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_half(folder)
    monkeypatch.setattr(
        "hub.store.encoders.open_encoders",
        lambda config, _: encoders_of("others" if config.model == "others" else "changed"),
    )
    with pytest.raises(HubError, match=r"model 'words'.*'others'.*patternhub index"):
        Hub.open(folder).search("retry")


def test_injected_encoders_are_never_replaced(folder: Path) -> None:
    reader = Hub.open(folder, encoders=word_encoders())
    reader.search("retry")
    configure(folder, "others")
    Hub.open(folder).index()
    with pytest.raises(HubError, match=r"model 'others'.*'words'"):
        reader.search("retry")


def test_status_names_both_models_while_a_migration_is_under_way(folder: Path) -> None:
    assert Hub.open(folder).status().migration is None
    migrate_half(folder)
    status = Hub.open(folder).status()
    assert (status.model, status.tier, status.writing) == ("words", "best", True)
    assert status.migration is not None
    assert status.migration.old.startswith("'words' (digest ")
    assert status.migration.new.startswith("'others' (digest ")
    with pytest.raises(HubError, match=r"'words'.*'others'.*patternhub index"):
        Hub.open(folder).forget("tree")
    Hub.open(folder).index()
    status = Hub.open(folder).status()
    assert (status.model, status.migration, status.writing) == ("others", None, False)


# --- what a run does


def test_a_stopped_migration_embeds_only_what_is_missing(
    folder: Path, tree: Path, tmp_path: Path
) -> None:
    first = migrate_half(folder)
    encoders = encoders_of("others")
    Hub.open(folder, encoders=encoders).index()
    best, fast = encoders.best, encoders.fast
    assert isinstance(best, WordEncoder)
    assert isinstance(fast, WordEncoder)
    assert not set(first.embedded) & set(best.embedded)
    whole = built(tmp_path / "fresh", tree, "others").workspace.encoders.best
    assert isinstance(whole, WordEncoder)
    assert set(first.embedded) | set(best.embedded) == set(whole.embedded)
    assert fast.embedded == []
    assert_only(Hub.open(folder))


def test_a_new_fast_tier_embeds_nothing_with_the_best_model(
    folder: Path, tree: Path, tmp_path: Path
) -> None:
    encoders = Encoders(fast=WordEncoder("new-fast", 40), best=WordEncoder("words", 48))
    hub = Hub.open(folder, encoders=encoders)
    with pytest.raises(HubError, match=r"'words' \(digest .*'words' \(digest .*patternhub index"):
        hub.search("retry")
    report = hub.index()
    assert encoders.best.embedded == []  # type: ignore[attr-defined]
    assert (report.embedded, report.reused, report.patterns_added) == (0, 0, 0)
    assert_alike(hits(hub), hits(built(tmp_path / "fresh", tree)))
    assert {fast.shape for _, fast, _ in contents(hub).values()} == {(40,)}
    assert_only(hub)


def test_a_fast_run_publishes_the_fast_tier_of_the_new_model(folder: Path) -> None:
    configure(folder, "others", 'tier = "fast"\n')
    hub = Hub.open(folder)
    hub.index()
    assert hub.search("retry")[0].tier == "fast"
    assert_only(hub)


def test_going_back_half_way_and_on_again_loses_no_change_of_a_file(
    folder: Path, tree: Path, tmp_path: Path
) -> None:
    """What a run of one model saw of the files is not taken for what the other's rows hold."""
    retry = tree / "src/retry.py"
    for goes_on, calls in (("words", 3), ("others", 1)):
        retry.write_text(f"\n\n{retry.read_text()}")  # moves every pattern, changes no id
        age(tree)
        migrate_half(folder, "others", calls=calls)
        configure(folder, goes_on)
        hub = Hub.open(folder)
        hub.index()
        assert_sound(hub, contents(built(tmp_path / "fresh", tree, goes_on)))
        assert_only(hub)


def test_a_migration_that_is_given_up_for_a_third_model_leaves_nothing(
    folder: Path, tree: Path, tmp_path: Path
) -> None:
    old = hits(Hub.open(folder))
    migrate_half(folder, "others")
    migrate_half(folder, "third")
    assert hits(Hub.open(folder)) == old
    hub = Hub.open(folder)
    hub.index()
    assert_sound(hub, contents(built(tmp_path / "fresh", tree, "third")))
    assert_only(hub)


def test_an_open_hub_indexes_with_the_model_that_the_configuration_names_now(folder: Path) -> None:
    """Else a server that was opened before would migrate everything back."""
    server = Hub.open(folder)
    server.search("retry")
    configure(folder, "others")
    Hub.open(folder).index()
    assert server.index().embedded == 0
    assert server.status().model == "others"


def test_the_sources_are_known_to_a_stopped_migration_without_the_manifest(
    folder: Path, tree: Path, tmp_path: Path
) -> None:
    migrate_half(folder)
    for path in (folder / ".patternhub").glob("manifest.db*"):
        path.unlink()
    hub = Hub.open(folder)
    hub.index()
    assert_sound(hub, contents(built(tmp_path / "fresh", tree, "others")))


# --- processes


@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_a_killed_migration_answers_from_one_model_and_is_completed_by_the_next_run(
    tmp_path: Path, kills: int
) -> None:
    command = Command(tmp_path)
    source = generated(tmp_path / "source", 60)
    start = tmp_path / "start"
    start.mkdir()
    assert command.run("--hub", start, "index", source)[0] == 0
    old = hits(Hub.open(start))
    configure(start, "others")
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    process = command.start("--hub", whole, "index")
    ready(process)
    began = time.monotonic()
    assert finished(process)[0] == 0
    duration = time.monotonic() - began
    new = hits(Hub.open(whole))
    expected = contents(built(tmp_path / "fresh", source, "others"))
    assert_sound(Hub.open(whole), expected)
    moments = random.Random(0)
    for number in range(kills):
        folder = tmp_path / f"killed-{number}"
        shutil.copytree(start, folder)
        configure(folder, "words")
        reader = Hub.open(folder)
        reader.search("retry")
        configure(folder, "others")
        process = command.start("--hub", folder, "index")
        kill_after(process, duration * (number + moments.random()) / kills, signal.SIGKILL)
        if hits(reader) != old:
            assert_alike(hits(reader), new)
        command.run("--hub", folder, "index")
        for hub in (reader, Hub.open(folder)):
            assert_sound(hub, expected)
            assert_only(hub)
        shutil.rmtree(folder)


def test_searches_answer_all_through_a_migration_by_two_runs_at_once(
    tmp_path: Path,
) -> None:
    command = Command(tmp_path)
    source = generated(tmp_path / "source", 60)
    folder = tmp_path / "hub"
    folder.mkdir()
    reader = Hub.open(folder)
    reader.index([source])
    old = hits(reader)
    configure(folder, "others")
    runs = [command.start("--hub", folder, "index") for _ in range(2)]
    found = []
    while any(run.poll() is None for run in runs):
        found.append(hits(reader))
    assert [finished(run)[0] for run in runs] == [0, 0]
    new = hits(reader)
    assert found[0] == old != new
    switched = next((i for i, each in enumerate(found) if each != old), len(found))
    for each in found[switched + 1 :]:  # the one at the switch can hold answers of both
        assert_alike(each, new)
    assert_same(contents(reader), contents(built(tmp_path / "fresh", source, "others")))
    assert_only(reader)


@pytest.mark.slow  # distils the packaged model twice
def test_the_packaged_model_cut_elsewhere_is_another_model(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.encoders.open_encoders", open_encoders)
    folder = tmp_path / "hub"
    folder.mkdir()
    reader = Hub.open(folder)
    reader.index([tree])
    old = hits(reader)
    (folder / "hub.toml").write_text("[embedding]\nmax_tokens = 16\n")
    stopped = Hub.open(folder)
    best = stopped.workspace.encoders.best
    encode, calls = best.encode_documents, iter(range(3))

    def encode_documents(*arguments: object, **options: object) -> object:
        next(calls)
        return encode(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(best, "encode_documents", encode_documents)
    with pytest.raises(StopIteration):
        stopped.index()
    for hub in (reader, stopped, Hub.open(folder)):
        assert hits(hub) == old
    assert Hub.open(folder).status().migration is not None
    Hub.open(folder).index()
    new = hits(Hub.open(folder))
    assert new != old
    assert hits(reader) == hits(stopped) == new
    assert_only(reader)
