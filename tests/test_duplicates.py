"""Duplicates: what is reported is one, the same one every time, and nothing is lost on the way."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import Hub, HubError
from hub.curate.clusters import PREFERENCES, Link, Preference, clusters_of, components
from hub.curate.duplicates import NEAR, find_duplicates
from hub.curate.near import band_count, band_keys, near_pairs
from hub.curate.semantic import Code, semantic_pairs
from hub.curate.shape import shape_of
from hub.curate.shingles import WIDTH, Sets, shingles, tokens
from hub.terminal import duplicates_text
from hub.types import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.curate.duplicates import DuplicatesReport
    from hub.types import Vectors

SEND = '''def send(self, request, attempts=5):
    """Send a request, again after each failure."""
    for attempt in range(attempts):
        try:
            answer = self.socket.exchange(request.encode("utf-8"))
            return Answer.parse(answer, strict=True)
        except OSError as error:
            log.warning("attempt %s failed: %s", attempt, error)
    raise TimeoutError("no answer")
'''
RENAMED = """def transmit(self, message, tries=5):
    for count in range(tries):  # a few times
        try:
            raw = self.socket.exchange(
                message.encode('utf-8')
            )
            return Answer.parse(raw, strict=True)
        except OSError as problem:
            log.warning('attempt %s failed: %s', count, problem)
    raise TimeoutError('no answer')
"""
SIBLING = (
    SEND.replace("def send", "def receive").replace("exchange", "take").replace("5", "9")
    .replace("attempt", "trial").replace("request", "demand")
)  # fmt: skip


def pattern(text: str, id_: str = "a", **fields: Any) -> Pattern:
    """A Python function in a file of its own, unless said otherwise."""
    given: dict[str, Any] = {
        "id": id_, "source": "code", "path": f"{id_}.py", "start_byte": 0, "end_byte": len(text),
        "start_line": 1, "end_line": 1, "language": "python", "kind": "function",
        "symbol": text.partition("(")[0].removeprefix("def "), "text": text,
    }  # fmt: skip
    return Pattern(**given | fields)


def patterns_of(texts: Sequence[str], **fields: Any) -> list[Pattern]:
    return [pattern(text, f"{i:05}", **fields) for i, text in enumerate(texts)]


def alike(count: int) -> Vectors:
    return np.full((count, 4), 0.5, dtype=np.float32)


def found(patterns: Sequence[Pattern], vectors: Vectors | None = None) -> DuplicatesReport:
    vectors = alike(len(patterns)) if vectors is None else vectors
    return find_duplicates(patterns, vectors, tier="best")


def members(report: DuplicatesReport) -> list[set[str]]:
    """The ids of each cluster."""
    return [
        {cluster.representative.id, *(m.pattern.id for m in cluster.members)}
        for cluster in report.clusters
    ]


def jaccard(left: str, right: str) -> float:
    """From the definition, over the tokens themselves."""
    first, second = (
        {tuple(words[i : i + WIDTH]) for i in range(max(len(words) - WIDTH + 1, 1))}
        for words in (tokens(left), tokens(right))
    )
    return len(first & second) / len(first | second)


anyhow = settings(deadline=None, max_examples=60)  # a busy machine is no failure
WORDS = st.sampled_from(["a", "b", "if", "x1", "(", ")", ":", "=", "\ud800", "é", "\n"])
TEXTS = st.lists(st.lists(WORDS, max_size=30).map(" ".join), max_size=12)


# --- shingles


@anyhow
@given(TEXTS)
def test_the_similarity_of_sets_is_that_of_the_definition(texts: list[str]) -> None:
    texts = [text for text in texts if tokens(text)]
    sets = Sets.of([shingles(tokens(text)) for text in texts])
    pairs = np.array([(i, j) for j in range(len(texts)) for i in range(j)], dtype=np.int64)
    computed = sets.jaccard(pairs.reshape(-1, 2))
    expected = [jaccard(texts[i], texts[j]) for i, j in pairs]
    np.testing.assert_allclose(computed, expected)


def test_texts_shorter_than_a_shingle_are_one_shingle() -> None:
    sets = Sets.of([shingles(tokens(text)) for text in ("a b", "a b", "b a", "")])
    assert sets.sizes.tolist() == [1, 1, 1, 0]
    pairs = np.array([(0, 1), (0, 2), (0, 3), (3, 3)])
    assert sets.jaccard(pairs).tolist() == [1, 0, 0, 0]


# --- near


@anyhow
@given(TEXTS, st.sampled_from([0.3, 0.5, NEAR, 0.9, 1.0]))
def test_no_pair_below_the_threshold_is_near(texts: list[str], threshold: float) -> None:
    texts = [text for text in texts if tokens(text)]
    pairs, similarities = near_pairs(Sets.of([shingles(tokens(t)) for t in texts]), threshold)
    for (left, right), similarity in zip(pairs, similarities, strict=True):
        assert left < right
        assert similarity == pytest.approx(jaccard(texts[left], texts[right]))
        assert similarity >= threshold


def test_nearly_every_pair_at_the_threshold_shares_a_band() -> None:
    """1,000 planted pairs of Jaccard similarity .7 exactly: 14 common members, 3 of each alone."""
    seed = np.random.default_rng(3)
    planted = []
    for _ in range(1000):
        common, *alone = np.split(seed.integers(1 << 63, size=20, dtype=np.uint64), [14, 17])
        planted += [np.concatenate([common, part]) for part in alone]
    pairs, similarities = near_pairs(Sets.of(planted), NEAR)
    assert np.all(similarities == pytest.approx(0.7))
    assert len(pairs) >= 990


def test_an_empty_set_is_near_to_nothing() -> None:
    empty = np.zeros(0, dtype=np.uint64)
    pairs, _ = near_pairs(Sets.of([empty, empty, np.arange(3, dtype=np.uint64), empty]), NEAR)
    assert pairs.tolist() == []
    assert near_pairs(Sets.of([]), NEAR)[0].shape == (0, 2)


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.29, 1.01, float("nan")])
def test_a_threshold_that_bands_cannot_serve_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="a Jaccard threshold of"):
        near_pairs(Sets.of([]), threshold)


def test_band_keys_do_not_depend_on_the_other_sets() -> None:
    seed = np.random.default_rng(5)
    sets = [seed.integers(1 << 63, size=n, dtype=np.uint64) for n in (7, 50_000, 3, 0, 9)]
    bands = band_count(NEAR)
    together = band_keys(Sets.of(sets), bands)
    for i, each in enumerate(sets):
        np.testing.assert_array_equal(together[:, i], band_keys(Sets.of([each]), bands)[:, 0])


# --- shape and semantic


def test_a_renamed_and_reformatted_copy_has_the_same_shape() -> None:
    one, other = (
        shape_of(t, language="python", symbol=t[4:].split("(")[0]) for t in (SEND, RENAMED)
    )
    assert one.code == other.code
    np.testing.assert_array_equal(one.form, other.form)


def test_a_function_that_calls_another_has_another_shape() -> None:
    one, other = (shape_of(t, language="python", symbol="send") for t in (SEND, SIBLING))
    assert one.code != other.code
    np.testing.assert_array_equal(one.form, other.form)
    assert set(one.names.tolist()) != set(other.names.tolist())


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [
        ("go", "func Add(a int, b []T) T {\n\tx, err := a.Do(b)\n\treturn x.Sum(err)\n}",
         "func Plus(n int, m []T) T { // adds\n\tv, e := n.Do(m)\n\treturn v.Sum(e)\n}"),
        ("typescript", "const f = (a, b) => { const x = a.do(b); return x ?? b; };",
         "const g = (n, m) => {\n  /* adds */\n  const v = n.do(m);\n  return v ?? m;\n}"),
        ("rust", "fn f<'a>(s: &'a str) -> char { let c = s.first(); c.or('x') }",
         "fn g<'a>(t: &'a str) -> char { let d = t.first(); d.or('x') }"),
    ],
)  # fmt: skip
def test_own_names_are_no_part_of_a_shape(language: str, left: str, right: str) -> None:
    one, other = (
        shape_of(text, language=language, symbol=symbol)
        for text, symbol in ((left, "Add" if language == "go" else "f"),
                             (right, "Plus" if language == "go" else "g"))
    )  # fmt: skip
    assert one.code == other.code


@anyhow
@given(st.text(max_size=200), st.sampled_from(["python", "rust", "typescript", "text"]))
def test_any_text_has_a_shape(text: str, language: str) -> None:
    shape = shape_of(text, language=language)
    assert shape.length >= 0


def test_a_renamed_copy_is_a_semantic_duplicate_and_a_sibling_is_not() -> None:
    report = found([pattern(SEND, "a"), pattern(RENAMED, "b"), pattern(SIBLING, "c")])
    (cluster,) = report.clusters
    assert {cluster.representative.id, *(m.pattern.id for m in cluster.members)} == {"a", "b"}
    assert [m.level for m in cluster.members] == ["semantic"]


def test_a_small_edit_is_forgiven_in_another_file_and_not_in_the_same() -> None:
    edited = RENAMED.replace("    for", "    print(tries)\n    for", 1)
    elsewhere = found([pattern(SEND, "a"), pattern(edited, "b")])
    beside = found([pattern(SEND, "a", path="x.py"), pattern(edited, "b", path="x.py")])
    assert len(elsewhere.clusters) == 1
    assert beside.clusters == ()


def test_vectors_that_disagree_are_no_semantic_duplicates() -> None:
    opposite = np.array([[1, 0], [0, 1]], dtype=np.float32)
    assert found([pattern(SEND, "a"), pattern(RENAMED, "b")], opposite).clusters == ()


def test_only_functions_are_compared_by_shape() -> None:
    sections = [pattern(SEND, "a", kind="section"), pattern(RENAMED, "b", kind="section")]
    assert found(sections).clusters == ()


def test_known_duplicates_are_not_compared_again() -> None:
    code = Code.of([pattern(SEND, "a"), pattern(RENAMED, "b")])
    pairs, _ = semantic_pairs(alike(2), code, 0.2, labels=np.array([0, 1]))
    assert pairs.tolist() == [[0, 1]]
    pairs, _ = semantic_pairs(alike(2), code, 0.2, labels=np.array([0, 0]))
    assert pairs.tolist() == []


# --- clusters


@anyhow
@given(TEXTS)
def test_every_pattern_is_kept_or_dropped_once(texts: list[str]) -> None:
    report = found(patterns_of(texts))
    kept = [p.id for p in report.kept]
    dropped = [member.pattern.id for member in report.dropped]
    assert sorted(kept + dropped) == [f"{i:05}" for i in range(len(texts))]
    assert {cluster.representative.id for cluster in report.clusters} <= set(kept)
    assert report.total == len(texts)
    assert sum(report.levels().values()) == len(dropped)


@anyhow
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_patterns_changes_nothing(
    texts: list[str], shuffle: random.Random
) -> None:
    patterns = patterns_of(texts)
    vectors = np.eye(max(len(texts), 1), dtype=np.float32)[: len(texts)] / 2 + 0.5
    order = list(range(len(texts)))
    shuffle.shuffle(order)
    assert found([patterns[i] for i in order], vectors[order]) == found(patterns, vectors)


@anyhow
@given(st.integers(0, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=60))
def test_components_partition_the_rows_and_keep_links_together(
    size: int, ends: list[tuple[int, int]]
) -> None:
    links = [Link("near", 1.0, a, b) for a, b in ends if a < size and b < size]
    groups = components(size, [(link.left, link.right) for link in links])
    assert sorted(row for group in groups for row in group) == list(range(size))
    of = {row: i for i, group in enumerate(groups) for row in group}
    assert all(of[link.left] == of[link.right] for link in links)


@anyhow
@given(st.data())
def test_every_member_is_led_to_by_a_link_that_was_found(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 12))
    row = st.integers(0, size - 1)
    ends = data.draw(st.lists(st.tuples(row, row).filter(lambda e: e[0] != e[1]), max_size=25))
    patterns = patterns_of(["x"] * size)
    links = [Link("near", i / 100, a, b) for i, (a, b) in enumerate(ends)]
    known = {frozenset((patterns[a].id, patterns[b].id)): i / 100 for i, (a, b) in enumerate(ends)}
    for cluster in clusters_of(patterns, links, PREFERENCES):
        reached = {cluster.representative.id}
        for member in cluster.members:
            assert member.neighbour.id in reached
            assert member.pattern.id not in reached
            assert frozenset((member.pattern.id, member.neighbour.id)) in known
            reached.add(member.pattern.id)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        ({"docstring": "Adds."}, {}, "documented"),
        ({"docstring": "Adds all."}, {"docstring": "Adds."}, "longest documentation"),
        ({"path": "source/add.py"}, {"path": "tests/a.py"}, "outside tests and vendored code"),
        ({"path": "a.py"}, {"path": "a/b.py"}, "shortest path"),
        ({"path": "a.py"}, {"path": "b.py"}, "first by id"),
    ],
)
def test_the_representative_is_the_better_one_for_the_first_reason_that_differs(
    better: dict[str, str], worse: dict[str, str], reason: str
) -> None:
    text = "def add(a, b): return a + b"
    (cluster,) = found([pattern(text, "b", **worse), pattern(text, "a", **better)]).clusters
    assert (cluster.representative.id, cluster.reason) == ("a", reason)


def test_what_makes_a_representative_can_be_chosen() -> None:
    last = (Preference("the last", lambda p: -int(p.id)),)
    report = find_duplicates(
        patterns_of(["a b c", "a  b c"]), alike(2), tier="fast", preferences=last
    )
    assert [c.representative.id for c in report.clusters] == ["00001"]


# --- edges


def test_nothing_and_one_pattern_have_no_duplicates() -> None:
    empty, one = found([]), found([pattern("x = 1")])
    assert (empty.clusters, empty.kept, empty.ratio) == ((), (), 0)
    assert (one.clusters, len(one.kept), one.ratio) == ((), 1, 0)


def test_white_space_alone_is_no_duplicate() -> None:
    assert found(patterns_of(["", " \n", "\t"])).clusters == ()


def test_lone_surrogates_are_compared_like_any_text() -> None:
    report = found(patterns_of(["a \ud800 b", "a  \ud800\nb", "a \ud801 b"]))
    assert members(report) == [{"00000", "00001"}]


def test_a_text_of_a_megabyte_takes_seconds() -> None:
    long = "".join(f"value_{i} = call({i}, '{i}')\n" for i in range(32_000))
    unclosed = '"""`/* ' * 150_000
    nested = "lambda x: fn(" * 80_000
    started = time.process_time()
    report = found(patterns_of([long, long + "end = 1\n", unclosed, nested]))
    assert {"00000", "00001"} in members(report)
    assert time.process_time() - started < 60


def test_ten_thousand_copies_are_one_cluster_in_linear_time() -> None:
    started = time.process_time()
    same = found(patterns_of([SEND] * 10_000))
    numbered = found(patterns_of([SEND.replace("5", str(i)) for i in range(4000)]))
    assert [len(cluster) for cluster in (*same.clusters, *numbered.clusters)] == [10_000, 4000]
    assert time.process_time() - started < 60


# --- the verb


def test_the_text_says_how_much_it_leaves_out_and_cannot_steer_a_terminal() -> None:
    copies = patterns_of(["a b c"] * 13 + ["d e f"] * 2, path="\x1b[2J.py")
    text = duplicates_text(found(copies), limit=1)
    assert text.startswith(" 1. 13 patterns; the one to keep: first by id\n  keep ")
    assert "\n  ... 2 more" in text
    assert "\n... 1 smaller clusters" in text
    assert "13 of 15 patterns say what another says (86.7%)" in text
    assert "\x1b" not in text


ANSWER = """
import numpy as np
from tests.test_duplicates import RENAMED, SEND, SIBLING, alike, found, pattern
from hub.cli import print_json
texts = [SEND, RENAMED, SIBLING, SEND + "    pass", SEND.replace("    ", "  ")]
print_json(found([pattern(t, str(i)) for i, t in enumerate(texts)]).to_json())
"""


def test_two_processes_with_other_hash_seeds_report_the_same_bytes() -> None:
    root = Path(__file__).parent.parent
    said = {
        subprocess.run(
            [sys.executable, "-c", ANSWER],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root, capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    (answer,) = said
    assert json.loads(answer)["levels"] == {"exact": 1, "near": 1, "semantic": 1}


@pytest.fixture
def copied(hub: Hub, tree: Path) -> Hub:
    """A hub of the tree with copies of one function."""
    for name, text in (("one", SEND), ("two", RENAMED), ("three", SEND.replace("    ", "  "))):
        (tree / f"src/{name}.py").write_text(text)
    hub.index([tree])
    return hub


def test_a_hub_reports_its_duplicates_and_removes_nothing(copied: Hub) -> None:
    before = copied.status().patterns
    report = copied.duplicates(threshold=0.0)
    (cluster,) = report.clusters
    assert cluster.reason == "shortest path"
    assert {cluster.representative.path, *(m.pattern.path for m in cluster.members)} == {
        "src/one.py", "src/two.py", "src/three.py",
    }  # fmt: skip
    assert sorted(m.level for m in cluster.members) == ["exact", "semantic"]
    assert report.tier == "best"
    assert report.total == before == copied.status().patterns


def test_only_the_kind_and_source_that_are_asked_for_are_compared(copied: Hub) -> None:
    assert {p.kind for p in copied.duplicates(kind="function").kept} == {"function"}
    assert copied.duplicates(source="tree").total == copied.status().patterns


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"threshold": 1.5}, "threshold = 1.5: .* from 0 to 1"),
        ({"threshold": -0.1}, "threshold = -0.1"),
        ({"threshold": float("nan")}, "threshold = nan"),
        ({"kind": "functions"}, "kind 'functions'.*function"),
        ({"source": "other"}, "source 'other' .*tree"),
    ],
)
def test_what_cannot_be_asked_is_explained(copied: Hub, asked: Any, message: str) -> None:
    with pytest.raises(HubError, match=message):
        copied.duplicates(**asked)


def test_an_empty_hub_says_what_to_do_first(hub: Hub) -> None:
    with pytest.raises(HubError, match="patternhub index"):
        hub.duplicates()


def test_a_pattern_that_was_just_removed_is_left_out(copied: Hub) -> None:
    (first, *_) = copied.duplicates().kept
    copied.workspace.store.delete([first.id])
    assert first not in copied.duplicates().kept


def test_copies_of_another_kind_or_language_are_exact_duplicates() -> None:
    base = pattern(SEND, "a")
    report = found([base, replace(base, id="b", language="go", kind="section")])
    assert [member.level for member in report.dropped] == ["exact"]
