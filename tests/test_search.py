"""Ranking: filters restrict and never reorder, names are found, and every process agrees."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub import Hub, HubError
from hub.search.ranking import Filters
from tests.conftest import driver, word_encoders, write_tree

if TYPE_CHECKING:
    from hub.types import Pattern, SearchResult

STDLIB = Path(sysconfig.get_path("stdlib"))
QUERIES = (
    "decode a json document",
    "send an http request",
    "parse cookies from a header",
    "JSONDecoder",
    "the and of",
    "zzzz qqqq",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """The running Python's json and http packages, and the small tree in three languages."""
    folder = tmp_path_factory.mktemp("library")
    hub = Hub.open(folder, encoders=word_encoders())
    hub.index([STDLIB / "json", STDLIB / "http", write_tree(folder / "tree")])
    return hub


@pytest.fixture(scope="module")
def approximate(library: Hub) -> Hub:
    """The same store, answering by Chroma's approximate neighbours."""
    config = library.workspace.config
    folder = library.workspace.folder
    hub = Hub.open(folder, encoders=word_encoders())
    changed = config.model_copy(
        update={"search": config.search.model_copy(update={"exact_limit": 0})}
    )
    return Hub(type(hub.workspace)(folder, changed, hub.workspace.encoders))


def patterns_of(hub: Hub) -> list[Pattern]:
    return [p for page, _ in hub.workspace.store.pages() for p in page]


def ids(hits: list[SearchResult]) -> list[str]:
    return [hit.pattern.id for hit in hits]


FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "language": st.sampled_from(["python", "typescript", "markdown"]),
        "kind": st.sampled_from(["function", "method", "class", "module", "section"]),
        "source": st.sampled_from(["json", "http", "tree"]),
    },
)
PATHS = {
    "*.py": lambda path: path.endswith(".py"),
    "src/**": lambda path: path.startswith("src/"),
    "client.py": lambda path: path.rpartition("/")[2] == "client.py",
    "nothing/**": lambda path: False,
}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    filters=FILTERS,
    path=st.sampled_from([None, *PATHS]),
    query=st.sampled_from(QUERIES),
    mode=st.sampled_from(["hybrid", "dense", "lexical"]),
    tier=st.sampled_from(["fast", "best"]),
)
def test_a_filtered_search_is_the_unfiltered_ranking_restricted(
    library: Hub, filters: dict[str, str], path: str | None, query: str, mode: str, tier: str
) -> None:
    everything = library.search(query, limit=10_000, mode=mode, tier=tier)
    expected = [
        hit
        for hit in everything
        if all(getattr(hit.pattern, name) == value for name, value in filters.items())
        and (path is None or PATHS[path](hit.pattern.path))
    ]
    found = library.search(query, limit=10_000, mode=mode, tier=tier, path=path, **filters)
    assert ids(found) == ids(expected)
    assert [hit.score for hit in found] == [hit.score for hit in expected]
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("query", QUERIES)
def test_a_smaller_limit_is_the_beginning_of_a_larger_one(library: Hub, query: str) -> None:
    everything = ids(library.search(query, limit=10_000))
    assert len(everything) == len(set(everything)) > 300
    for limit in (1, 2, 7, 50):
        assert ids(library.search(query, limit=limit)) == everything[:limit]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"language": "pyhton"}, r"language 'pyhton'; did you mean 'python'\?.*markdown, python"),
        ({"kind": "functions"}, r"kind 'functions'; did you mean 'function'\?.*class, function"),
        ({"source": "jsn"}, r"source 'jsn'; did you mean 'json'\? \(there are: http, json, tree\)"),
        ({"language": "cobol"}, r"language 'cobol'.*there are: .*python.*typescript"),
        ({"path": "!"}, r"path '!' selects nothing"),
        ({"kind": 5}, r"kind '5'"),
        ({"mode": "fuzzy"}, r"mode = 'fuzzy': there are hybrid, dense, lexical"),
        ({"tier": "slow"}, r"tier = 'slow': there are fast, best"),
    ],
)
def test_an_unknown_filter_value_is_named_with_the_known_ones(
    library: Hub, filters: dict[str, str], message: str
) -> None:
    with pytest.raises(HubError, match=message):
        library.search("decode", **filters)


@pytest.mark.parametrize("query", ["", " \n\t "])
def test_an_empty_query_is_refused(library: Hub, query: str) -> None:
    with pytest.raises(HubError, match="the query is empty"):
        library.search(query)


@pytest.mark.parametrize("limit", [0, -3, "3"])
def test_a_limit_that_is_no_number_of_hits_is_refused(library: Hub, limit: Any) -> None:
    with pytest.raises(HubError, match=f"limit = {limit!r}: a number of hits"):
        library.search("decode", limit=limit)


def test_a_query_that_is_not_unicode_is_refused(library: Hub) -> None:
    with pytest.raises(HubError, match="not UTF-8"):
        library.search("caf\udce9")


def unique_names(patterns: list[Pattern]) -> list[Pattern]:
    """Functions, methods and classes whose last name part belongs to them alone."""
    last = Counter(p.symbol.rpartition(".")[2] for p in patterns)
    named = [p for p in patterns if p.kind in {"function", "method", "class"} and not p.part]
    return [p for p in named if last[p.symbol.rpartition(".")[2]] == 1]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("tier", ["fast", "best"])
def test_an_exact_identifier_finds_its_definition_first(library: Hub, mode: str, tier: str) -> None:
    wanted = unique_names(patterns_of(library))
    assert len(wanted) > 100
    for pattern in wanted[::3]:
        name = pattern.symbol.rpartition(".")[2]
        for query in (name, f"{name}()", pattern.symbol):
            hit = library.search(query, limit=1, mode=mode, tier=tier)[0]
            assert hit.pattern.id == pattern.id, query


def test_a_qualified_name_finds_its_own_definition_first(hub: Hub, tmp_path: Path) -> None:
    """Among others of the same last name, and not a later part of a long function."""
    long = "".join(f"        value = self.step_{n}(value)\n" for n in range(200))
    code = "".join(
        f"class {name}:\n    def run(self, value):\n{long if name == 'Middle' else ''}"
        f"        return value\n\n\n"
        for name in ("First", "Middle", "Last")
    )
    (tmp_path / "code").mkdir()
    (tmp_path / "code/classes.py").write_text(code)
    hub.index([tmp_path / "code"])
    for name in ("First", "Middle", "Last"):
        for query in (f"{name}.run", f"{name}::run", f"{name}#run()"):
            found = hub.search(query)[0].pattern
            assert (found.symbol, found.part <= 1) == (f"{name}.run", True)


def test_a_function_within_a_function_is_found_where_it_is_defined(
    hub: Hub, tmp_path: Path
) -> None:
    uses = "".join(f"def use_{n}(items):\n    return share_reset(items)\n\n" for n in range(9))
    files = {
        "inner.py": "def share(items):\n    def share_reset(item):\n        return item\n\n"
        "    return [share_reset(item) for item in items]\n",
        "inner.ts": "export function join(a: number) {\n  const joinAll = (b: number) => a + b;\n"
        "  return joinAll(1);\n}\n",
        "uses.py": uses,
        "uses.ts": "export function other() {\n  return joinAll(2) + joinAll(3) + joinAll(4);\n}\n",
    }
    (tmp_path / "code").mkdir()
    for name, text in files.items():
        (tmp_path / "code" / name).write_text(text)
    hub.index([tmp_path / "code"])
    for query, path in (("share_reset", "inner.py"), ("joinAll", "inner.ts")):
        hits = hub.search(query)
        assert hits[0].pattern.path == path
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_modes_and_tiers_are_what_they_are_called(library: Hub) -> None:
    lexical = library.search("cookies", limit=10_000, mode="lexical")
    assert lexical
    assert all("cooki" in f"{h.pattern.path} {h.pattern.text}".lower() for h in lexical)
    assert library.search("zzzz qqqq", mode="lexical") == []
    dense = library.search("cookies", limit=10_000, mode="dense")
    assert len(dense) > len(lexical)
    for tier in ("fast", "best"):
        assert {hit.tier for hit in library.search("cookies", tier=tier)} == {tier}
    orders = {tuple(ids(library.search("parse a header", mode=m))) for m in ("dense", "lexical")}
    assert len(orders) == 2


def test_dense_search_orders_by_cosine(library: Hub) -> None:
    snapshot = library.retriever.current().snapshot
    encoder = library.workspace.encoders.best
    query = "parse cookies from a header"
    cosine = snapshot.rows.best @ encoder.encode_queries([query])[0]
    cosine = (cosine - cosine.mean()) / cosine.std() + library.retriever.current().prior
    order = [snapshot.rows.ids[i].decode() for i in np.argsort(-cosine, kind="stable")]
    found = ids(library.search(query, limit=10_000, mode="dense"))
    assert found == [id_ for id_ in order if id_ in found]  # one part of a long function is enough


@pytest.mark.parametrize("tier", ["fast", "best"])
@pytest.mark.parametrize("filters", [{}, {"kind": "function"}, {"path": "client.py"}])
def test_approximate_neighbours_find_the_same_top_hit(
    library: Hub, approximate: Hub, tier: str, filters: dict[str, str]
) -> None:
    for query in QUERIES[:4]:
        for mode in ("hybrid", "dense"):
            exact = library.search(query, mode=mode, tier=tier, **filters)
            near = approximate.search(query, mode=mode, tier=tier, **filters)
            assert ids(near)[:1] == ids(exact)[:1], (query, mode)


def test_approximate_search_of_a_path_that_matches_nothing_is_empty(approximate: Hub) -> None:
    assert approximate.search("decode", path="nothing/**") == []


def test_a_path_that_most_of_a_large_hub_matches_is_no_error(
    approximate: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = approximate.search("decode", path="*")
    monkeypatch.setattr("hub.search.ranking.MAX_PATHS", 1)
    assert approximate.search("decode", path="*") == expected


def test_filters_say_the_same_to_chroma_as_to_the_columns(library: Hub) -> None:
    rows = library.retriever.current().snapshot.rows
    collection = library.workspace.store._open(library.workspace.store.patterns_name)
    for filters in (
        Filters(kind="method"),
        Filters(language="python", source="http"),
        Filters(path="src/**", kind="function"),
    ):
        mask = filters.mask(rows)
        assert mask is not None
        expected = {id_.decode() for id_ in rows.ids[mask]}
        assert set(collection.get(where=filters.where(rows), include=[])["ids"]) == expected


def test_ties_come_in_the_order_of_source_path_and_position(hub: Hub, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / "same" / name).mkdir(parents=True)
        (tmp_path / "same" / name / "x.py").write_text("def same():\n    return 1\n" * 2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/y.py").write_text("import os\n")
    hub.index([tmp_path / "same", tmp_path / "other"])
    hits = hub.search("same", kind="function", mode="lexical", limit=6)
    assert len({hit.score for hit in hits}) == 1
    places = [(hit.pattern.path, hit.pattern.start_line) for hit in hits]
    assert places == [(f"{name}/x.py", line) for name in "abc" for line in (1, 3)]
    for limit in range(1, 6):
        found = hub.search("same", kind="function", mode="lexical", limit=limit)
        assert ids(found) == ids(hits)[:limit]


def test_two_processes_give_the_same_ranking(library: Hub, tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text("".join(json.dumps({"query": query}) + "\n" for query in QUERIES))
    arguments = ["--hub", str(library.workspace.folder), "search", "--queries", str(queries)]
    command = [sys.executable, str(driver(tmp_path)), *arguments]
    runs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1]
    for line in runs[0].decode().splitlines():
        answer = json.loads(line)
        assert [hit["id"] for hit in answer["hits"]] == ids(library.search(answer["query"]))


def test_a_pattern_deleted_since_the_generation_gives_way_to_the_next(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    before = ids(hub.search("retry with backoff", limit=5))
    hub.workspace.store.delete([before[0], before[2]])
    hits = hub.search("retry with backoff", limit=3)
    assert ids(hits) == [before[1], before[3], before[4]]
    assert [hit.rank for hit in hits] == [1, 2, 3]
    with pytest.raises(HubError, match="just been removed"):
        hub.get(before[0])


def test_an_index_without_patterns_finds_nothing_and_says_nothing(
    hub: Hub, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "empty").mkdir()
    assert hub.index([tmp_path / "empty"]).patterns_total == 0
    assert hub.search("anything") == []
    with pytest.raises(HubError, match="there are: none"):
        hub.search("anything", language="python")
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
