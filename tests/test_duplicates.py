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
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hub import Hub, HubError
from hub.cli import main
from hub.curate.duplicates import NEAR, find_duplicates
from hub.curate.left_out import RECORD, left_out
from hub.curate.near import band_count, band_keys, near_pairs
from hub.curate.semantic import nearest, semantic_pairs, shared
from hub.curate.shape import OWN, code_of
from hub.curate.shingles import WIDTH, Sets, shingles, tokens
from hub.terminal.curation import duplicates_text
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
EDITED = RENAMED.replace("    raise Timeout", "    log.flush()\n    raise Timeout")


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


def found(patterns: Sequence[Pattern], **options: Any) -> DuplicatesReport:
    return find_duplicates(patterns, alike(len(patterns)), **options)


def members(report: DuplicatesReport) -> list[set[str]]:
    """The ids of each cluster."""
    return [{c.kept.id, *(m.pattern.id for m in c.members)} for c in report.clusters]


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


# --- code


def code(text: str, language: str = "python", symbol: str = "") -> tuple[str, ...]:
    return code_of(text, language=language, symbol=symbol).words


def test_a_renamed_and_reformatted_copy_has_the_same_words() -> None:
    assert code(SEND, symbol="send") == code(RENAMED, symbol="transmit")
    assert code(SEND, symbol="send") != code(SIBLING, symbol="receive")


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [
        ("go", "func Add(a int, b []T) T {\n\tx, err := a.Do(b)\n\treturn x.Sum(err)\n}",
         "func Plus(n int, m []T) T { // adds\n\tv, e := n.Do(m)\n\treturn v.Sum(e)\n}"),
        ("typescript", "const Add = (a, ...b) => { const x = a.do(...b); return x ?? b; };",
         "const Plus = (n, ...m) => {\n  /* adds */\n  const v = n.do(...m)\n  return v ?? m\n}"),
        ("rust", "fn Add<'a>(s: &'a str) -> char { let c = s.first(); c.or('x') }",
         "fn Plus<'a>(t: &'a str) -> char { let d = t.first(); d.or('x') }"),
        ("java", "int Add(List<Foo> all, int n) { for (Foo x : all) { n += x.size(); } return n; }",
         "int Plus(List<Foo> items, int m)\n{ for (Foo y : items) { m += y.size(); } return m; }"),
        ("python", "def Add(a, *, b=1):\n    return [f'{a} or {x}' for x in call(b=b)]",
         'def Plus(n, *, m=1):\n    """Adds."""\n    return [f"{n} " f"or {y}" for y in call(b=m)]'),  # noqa: E501
    ],
)  # fmt: skip
def test_own_names_are_no_part_of_the_words(language: str, left: str, right: str) -> None:
    assert code(left, language, "Add") == code(right, language, "Plus")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("def f(a): return a.x", "def f(a): return a.y"),
        ("def f(a): return g(a)", "def f(a): return h(a)"),
        ("def f(a): return g(b=a)", "def f(a): return g(c=a)"),
        ("def f(a): return f'{a.x}'", "def f(a): return f'{a.y}'"),
        ("def f(a): return 1", "def f(a): return 2"),
        ("def f(a): return 'x'", "def f(a): return b'x'"),
        ("def f(a): return '\"x'", "def f(a): return 'x'"),
        ("def f(a): return g(a, T)", "def f(a): return g(a, T())"),
    ],
)
def test_names_of_others_and_literals_are(left: str, right: str) -> None:
    assert code(left, symbol="f") != code(right, symbol="f")


def test_a_literal_of_python_is_what_it_stands_for() -> None:
    assert code("return 0xFF, 1e-3, 'a' 'b'") == code('return 255, 0.001, "ab"')
    assert code(r"return r'\s'") == code(r"return '\\s'")


def test_names_are_renamed_consistently() -> None:
    one, swapped = (
        code_of(text, language="python")
        for text in ("def f(a, b): return a - b", "def f(a, b): return b - a")
    )
    assert one.words == swapped.words
    assert shared(one, swapped, edited=True, literals=1) == 0


@anyhow
@given(st.text(max_size=200), st.sampled_from(["python", "rust", "typescript", "java", "text"]))
def test_any_text_has_words(text: str, language: str) -> None:
    found = code_of(text, language=language)
    assert len(found.words) == len(found.own) >= found.body
    assert all(word == OWN for word, own in zip(found.words, found.own, strict=True) if own)


HARD = (
    '"\\', '"""', '"""`/* ', "'\\a", "lambda x: fn(", "def f(a, b=1):", "a=", "a, ", "for a in ",
    "(", "{", "/*", "\n", "a", "1.", '"{', "rb", "# '", "=>", "::",
)  # fmt: skip


@pytest.mark.parametrize("unit", HARD)
@pytest.mark.parametrize("language", ["python", "rust", "java"])
def test_the_words_of_a_text_take_time_linear_in_its_size(unit: str, language: str) -> None:
    """Quadratic time would be ten minutes for some of these."""
    started = time.process_time()
    code_of(unit * (400_000 // len(unit)) + "\\", language=language)
    assert time.process_time() - started < 20


# --- semantic


@anyhow
@given(st.integers(0, 60), st.integers(1, 8), st.integers(0, 1000))
def test_the_nearest_are_those_of_the_exact_products(size: int, count: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(size, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    for left, right in nearest(vectors, count).tolist():
        assert left < right
        ahead = [np.sum(cosines[i] > cosines[left, right] + 0.01) for i in (left, right)]
        assert min(ahead) <= count  # the row itself is ahead as well


def test_nearest_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(1).normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = nearest(vectors, 9)
    monkeypatch.setattr("hub.curate.semantic.BLOCK", 7)
    np.testing.assert_array_equal(nearest(vectors, 9), whole)


def test_a_renamed_copy_is_a_semantic_duplicate_and_a_sibling_is_not() -> None:
    report = found([pattern(SEND, "a"), pattern(RENAMED, "b"), pattern(SIBLING, "c")])
    assert members(report) == [{"a", "b"}]
    assert report.levels() == {"exact": 0, "near": 0, "semantic": 1}


def test_a_small_edit_is_forgiven_in_another_file_and_not_in_the_same() -> None:
    elsewhere = found([pattern(SEND, "a"), pattern(EDITED, "b")])
    beside = found([pattern(SEND, "a", path="x.py"), pattern(EDITED, "b", path="x.py")])
    assert members(elsewhere) == [{"a", "b"}]
    assert beside.clusters == ()
    strict = found([pattern(SEND, "a"), pattern(EDITED, "b")], threshold=0.99)
    assert strict.clusters == ()


@pytest.mark.parametrize("fields", [{"kind": "section"}, {"part": 1}])
def test_only_whole_functions_are_compared_by_their_words(fields: dict[str, Any]) -> None:
    assert found([pattern(SEND, "a", **fields), pattern(RENAMED, "b", **fields)]).clusters == ()


def test_stubs_and_other_languages_are_no_semantic_duplicates() -> None:
    stubs = [f"def {name}(self, value):\n    raise NotImplementedError\n" for name in ("a", "b")]
    assert found(patterns_of(stubs)).clusters == ()
    assert found([pattern(SEND, "a"), pattern(RENAMED, "b", language="ruby")]).clusters == ()
    assert semantic_pairs([], alike(0))[0].shape == (0, 2)


# --- the report


@anyhow
@given(TEXTS)
def test_every_pattern_is_kept_or_dropped_once(texts: list[str]) -> None:
    report = found(patterns_of(texts))
    kept = {p.id for p in report.kept}
    assert sorted([*kept, *report.dropped]) == [f"{i:05}" for i in range(len(texts))]
    assert set(report.dropped.values()) <= kept
    assert report.total == len(texts)
    assert sum(report.levels().values()) == len(report.dropped)


@anyhow
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_patterns_changes_nothing(
    texts: list[str], shuffle: random.Random
) -> None:
    patterns = patterns_of([*texts, SEND, RENAMED, EDITED])
    shuffled = list(patterns)
    shuffle.shuffle(shuffled)
    assert found(shuffled) == found(patterns)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        ({"kind": "function"}, {"kind": "test", "docstring": "Adds."}, "no test"),
        ({"docstring": "Adds."}, {}, "best quality"),
        ({"path": "a.py"}, {"path": "a/b.py"}, "shortest path"),
        ({"path": "a.py"}, {"path": "b.py"}, "first of its kind"),
    ],
)
def test_the_representative_is_the_better_one_for_the_first_reason_that_differs(
    better: dict[str, str], worse: dict[str, str], reason: str
) -> None:
    text = "def add(a, b): return a + b"
    (cluster,) = found([pattern(text, "b", **worse), pattern(text, "a", **better)]).clusters
    assert (cluster.kept.id, cluster.reason) == ("a", reason)


def test_the_better_one_stays_whatever_its_path() -> None:
    worse = pattern(SEND + "    # TODO: FIXME\n", "a", docstring="Send a request.")
    better = pattern(SEND, "longer", docstring="Send a request.")
    (cluster,) = found([worse, better]).clusters
    assert (cluster.kept.id, cluster.reason) == ("longer", "best quality")


def test_nothing_one_pattern_and_white_space_have_no_duplicates() -> None:
    assert found([]).to_json()["kept"] == 0
    assert len(found([pattern("x = 1")]).kept) == 1
    assert found(patterns_of(["", " \n", "\t"])).clusters == ()


def test_lone_surrogates_are_compared_like_any_text() -> None:
    report = found(patterns_of(["a \ud800 b", "a  \ud800\nb", "a \ud801 b"]))
    assert members(report) == [{"00000", "00001"}]


def test_a_text_of_a_megabyte_takes_seconds() -> None:
    long = "".join(f"value_{i} = call({i}, '{i}')\n" for i in range(32_000))
    started = time.process_time()
    report = found(patterns_of([long, long + "end = 1\n", '"""`/* ' * 150_000, '"\\' * 500_000]))
    assert members(report) == [{"00000", "00001"}]
    assert time.process_time() - started < 60


def test_thousands_of_copies_are_one_cluster_in_linear_time() -> None:
    started = time.process_time()
    same = found(patterns_of([SEND] * 5_000))
    numbered = found(patterns_of([SEND.replace("5", str(i)) for i in range(2000)]))
    assert [len(cluster) for cluster in (*same.clusters, *numbered.clusters)] == [5_000, 2000]
    assert time.process_time() - started < 60


def test_copies_of_another_kind_or_language_are_exact_duplicates() -> None:
    base = pattern(SEND, "a")
    report = found([base, replace(base, id="b", language="go", kind="section")])
    assert report.levels()["exact"] == 1


ANSWER = """
from tests.test_duplicates import RENAMED, SEND, SIBLING, found, pattern
from hub.commands.common import print_json
texts = [SEND, RENAMED, SIBLING, SEND + "    pass", SEND.replace("    ", "  ")]
print_json(found([pattern(t, str(i)) for i, t in enumerate(texts)]).to_json())
"""


def test_processes_with_other_hash_seeds_and_threads_report_the_same_bytes() -> None:
    root = Path(__file__).parent.parent
    said = {
        subprocess.run(
            [sys.executable, "-c", ANSWER],
            env=os.environ
            | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": seed},
            cwd=root, capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    (answer,) = said
    assert json.loads(answer)["dropped"] == {"exact": 1, "near": 1, "semantic": 1}


# --- the verb


def test_the_text_says_how_much_it_leaves_out_and_cannot_steer_a_terminal() -> None:
    copies = patterns_of(["a b c"] * 13 + ["d e f"] * 2, path="\x1b[2J.py")
    text = duplicates_text(found(copies), limit=1)
    assert text.startswith("keep ")
    assert "\n... 2 more" in text
    assert "\n... 1 smaller clusters" in text
    assert "13 of 15 patterns say what another says, in 2 clusters" in text
    assert "\x1b" not in text


@pytest.fixture
def copied(hub: Hub, tree: Path) -> Hub:
    """A hub of the tree with copies of one documented function."""
    for name, text in (("one", SEND), ("two", RENAMED), ("three", SEND.replace("    ", "  "))):
        (tree / f"src/{name}.py").write_text(text)
    hub.index([tree])
    return hub


def test_a_hub_reports_its_duplicates_and_removes_nothing(copied: Hub) -> None:
    before = copied.status().patterns
    report = copied.duplicates()
    (cluster,) = report.clusters
    assert (cluster.kept.path, cluster.reason) == ("src/one.py", "shortest path")
    assert [(m.pattern.path, m.level) for m in cluster.members] == [
        ("src/three.py", "exact"), ("src/two.py", "semantic"),
    ]  # fmt: skip
    assert report.total == before == copied.status().patterns


def test_what_is_left_out_is_the_same_each_time(copied: Hub) -> None:
    record = copied.workspace.store_folder / RECORD
    report = copied.duplicates(apply=True)
    first = record.read_bytes()
    known = {p.id for p in report.kept} | set(report.dropped)
    assert left_out(record.parent, known) == report.dropped
    copied.duplicates(apply=True)
    assert record.read_bytes() == first


def test_a_pattern_comes_back_when_the_one_that_stands_for_it_changes(
    copied: Hub, tree: Path
) -> None:
    copied.duplicates(apply=True)
    (tree / "src/one.py").write_text("def other(): ...\n")
    copied.index([tree])
    ids = {p.id for p in copied.duplicates(kind="function").kept}
    assert left_out(copied.workspace.store_folder, ids) == {}


@pytest.mark.parametrize("damage", ["", "[1]", "{", "3"])
def test_a_damaged_record_is_named_with_the_way_out(
    copied: Hub, tmp_path: Path, damage: str
) -> None:
    (copied.workspace.store_folder / RECORD).write_text(damage)
    with pytest.raises(HubError, match=r"duplicates\.json .*without the file"):
        copied.build_dataset(tmp_path / "out")


def test_the_command_applies_and_says_how_to_take_it_back(copied: Hub) -> None:
    folder, record = copied.workspace.folder, copied.workspace.store_folder / RECORD

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--hub", str(folder), "dedup", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    (folder / "hub.toml").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.api.Hub.open", lambda *_: copied)
        assert "dedup --apply` leaves them out" in run()
        assert json.loads(run("--apply", "--json"))["applied"] == str(record)
        assert len(json.loads(record.read_text())) == 2
        assert f"until {record} is deleted" in run("--apply")


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
