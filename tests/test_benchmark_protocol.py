"""The benchmark judges every system by the same rules, by queries that give nothing away."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.checkouts import listed_repositories
from tests.benchmarks.documented import Query, is_package_code, make_task, strip_documentation
from tests.benchmarks.functions import Function
from tests.benchmarks.ours import hub_build
from tests.benchmarks.peers import bm25
from tests.benchmarks.protocol import (
    Hit,
    ranked_functions,
    ratio_interval,
    reciprocal_rank,
    span_reciprocal_rank,
)
from tests.benchmarks.report import markdown
from tests.benchmarks.retrieval import Outcome, run_system
from tests.benchmarks.sentences import first_sentence
from tests.benchmarks.systems import Built

if TYPE_CHECKING:
    from pathlib import Path

FUNCTIONS = {
    "a.py": (
        Function(symbol="first", start_line=1, end_line=10),
        Function(symbol="second", start_line=12, end_line=14),
        Function(symbol="third", start_line=16, end_line=30),
        Function(symbol="third.inner", start_line=18, end_line=20),
    )
}
SECOND = Query("what?", "a.py", 12, 14, "second")


def test_a_hit_on_several_functions_yields_the_largest_overlap_first() -> None:
    listed = list(ranked_functions([Hit("a.py", 9, 17)], FUNCTIONS))
    assert listed == [Hit("a.py", 12, 14), Hit("a.py", 1, 10), Hit("a.py", 16, 30)]


def test_of_two_equal_overlaps_the_shorter_function_comes_first() -> None:
    listed = list(ranked_functions([Hit("a.py", 18, 19)], FUNCTIONS))
    assert listed == [Hit("a.py", 18, 20), Hit("a.py", 16, 30)]


def test_a_hit_beside_every_function_takes_one_rank_and_repeats_take_none() -> None:
    hits = [Hit("README.md", 1, 5), Hit("README.md", 1, 5), Hit("a.py", 2, 3), Hit("a.py", 1, 12)]
    assert reciprocal_rank(SECOND, hits, FUNCTIONS) == 1 / 3


@pytest.mark.parametrize(("misses", "score"), [(0, 1.0), (9, 0.1), (10, 0.0)])
def test_ten_ranks_count(misses: int, score: float) -> None:
    hits = [Hit("README.md", line, line) for line in range(misses)] + [Hit("a.py", 12, 12)]
    assert reciprocal_rank(SECOND, hits, FUNCTIONS) == score


def test_by_overlap_a_chunk_of_many_functions_finds_each_at_its_own_rank() -> None:
    hits = [Hit("b.py", 1, 99), Hit("b.py", 1, 99), Hit("a.py", 1, 30)]
    assert span_reciprocal_rank(SECOND, hits) == 1 / 2
    assert span_reciprocal_rank(SECOND, [Hit("a.py", 1, 11), Hit("a.py", 15, 30)]) == 0


def test_the_interval_of_a_constant_ratio_is_that_ratio() -> None:
    theirs = [[0.1, 0.5, 1.0, 0.25] * 5, [0.5, 0.25] * 5]
    ours = [[2 * score for score in scores] for scores in theirs]
    assert ratio_interval(ours, theirs) == pytest.approx((2.0, 2.0))


SNIPPETS = {
    "python": '''"""Module words."""


class Kettle:
    """Class words."""

    def boil(self, water):
        """Heat the water.

        At length.
        """
        return water + 1

    def stop(self):
        """Only words here."""

    def pour(self): "Words beside."; return 1
''',
    "go": """// Package kettle has words.
package kettle

// license of something else

// Boil heats the words.
// At length.
func (k *Kettle[T]) Boil(water int) int {
\t// stays: words inside
\treturn water + 1
}
""",
    "typescript": """/** Words. */
export class Kettle {
  /**
   * Heats words.
   * @param water much
   */
  @timed
  boil(water: number): number {
    return water + 1; // stays
  }
}
/** Pours words. */
export function pour(cup: string): string;
export function pour(cup: number): number;
export function pour(cup: any): any {
  return cup;
}

/** Words of an arrow. */
export const stop = (now: boolean) => !now;
""",
    "rust": """//! Module words.

impl<T> Kettle<T> {
    /// Heats words.
    ///
    /// # Examples
    #[inline]
    pub fn boil(&self) -> u8 {
        // stays
        1
    }
}
""",
    "java": """class Kettle {
  /** Heats words. */
  @Override
  int boil(int water) {
    return water + 1; /* stays */
  }
}
""",
}
EXPECTED = {
    "python": [("Kettle.boil", 5, 6), ("Kettle.stop", 8, 9), ("Kettle.pour", 11, 11)],
    "go": [("Kettle.Boil", 5, 8)],
    "typescript": [("Kettle.boil", 3, 5), ("pour", 7, 11), ("stop", 13, 13)],
    "rust": [("Kettle.boil", 4, 7)],
    "java": [("Kettle.boil", 2, 5)],
}


@pytest.mark.parametrize("language", SNIPPETS)
def test_documentation_is_gone_and_functions_are_where_the_task_says(language: str) -> None:
    stripped, before, after = strip_documentation(SNIPPETS[language].encode(), language)
    text = stripped.decode()
    assert "ords" not in text.replace("stays: words", "")
    assert text.count("stays") == SNIPPETS[language].count("stays")
    assert all("ords" in f.documentation or "water" in f.documentation for f in before.functions)
    found = [(f.symbol, f.start_line, f.end_line) for f in after.functions]
    assert found == EXPECTED[language]
    assert not any(function.documentation for function in after.functions)


def test_a_python_body_of_nothing_but_words_stays_valid_and_counts_as_empty() -> None:
    stripped, _, after = strip_documentation(SNIPPETS["python"].encode(), "python")
    ast.parse(stripped)
    assert [function.empty for function in after.functions] == [False, True, False]


def test_overloads_and_their_implementation_are_one_function() -> None:
    stripped, before, after = strip_documentation(SNIPPETS["typescript"].encode(), "typescript")
    pour = after.functions[1]
    lines = stripped.decode().splitlines()[pour.start_line - 1 : pour.end_line]
    assert lines[0].endswith("string;")
    assert lines[-1] == "}"
    assert "Pours" in before.functions[1].documentation


HEATS = "Heats Cup#tea at once"
AGAIN = "Heats tea again and again"


@pytest.mark.parametrize(
    ("documentation", "name", "sentence"),
    [
        ("Return :class:`~a.Cup` of ``tea``.\n\nMore.", "f", "Return a.Cup of tea"),
        ("Wrap a :ref:`call <x>`, e.g. tea. Then", "f", "Wrap a call, e.g. tea"),
        ("// Boil heats the water of it.\n// More", "Boil", "heats the water of it"),
        ("/**\n * Heats {@link Cup#tea} at <b>once</b>.\n * @param x\n */", "f", HEATS),
        ("/// Heats [`Tea`](x) until *very* hot", "f", "Heats Tea until very hot"),
        ("/** @name boil\n * @description\n * Heats tea again and again. */", "f", AGAIN),
        ("Too few words.", "f", ""),
        ("Boil the big kettle.", "boil_big_kettle", ""),
        ("Deprecated: use something else instead.", "f", ""),
        ("{@inheritDoc}", "f", ""),
        (":param x: not a description at all", "f", ""),
    ],
)
def test_the_first_sentence_is_cleaned(documentation: str, name: str, sentence: str) -> None:
    assert first_sentence(documentation, name) == sentence


def test_queries_come_from_package_code_only() -> None:
    assert is_package_code("src/pkg/core.py")
    for path in ("tests/core.py", "pkg/core_test.go", "a/x.test.ts", "docs/conf.py", "a/b.d.ts"):
        assert not is_package_code(path)


def _repository(folder: Path) -> Path:
    (folder / "tests").mkdir(parents=True)
    twice = 'def {}():\n    """Both have this same sentence."""\n    return 1\n'
    kettle = SNIPPETS["go"].replace("heats the words.", "heats all the water there is.")
    (folder / "kettle.go").write_text(kettle)
    (folder / "twice.py").write_text(twice.format("one") + twice.format("two"))
    (folder / "tests" / "test_twice.py").write_text(twice.format("test_one"))
    (folder / "broken.py").write_text("def broken(:\n")
    (folder / "README.md").write_text("heats all the water there is\n")
    (folder / "data.json").write_text("{}")
    return folder


def test_a_task_has_unambiguous_queries_and_leaves_tests_and_prose_alone(tmp_path: Path) -> None:
    original = _repository(tmp_path / "original")
    task = make_task(original, tmp_path / "copy")
    assert task.queries == (
        Query("heats all the water there is", "kettle.go", 5, 8, "Kettle.Boil"),
    )
    assert {query.query for query in task.symbols} == {"Boil", "one", "two"}
    assert task.left_alone == ("broken.py",)
    for name in ("tests/test_twice.py", "README.md", "broken.py"):
        assert (task.folder / name).read_bytes() == (original / name).read_bytes()
    assert not (task.folder / "data.json").exists()


def test_a_run_scores_every_arm_and_the_report_compares_with_the_hub(tmp_path: Path) -> None:
    task = make_task(_repository(tmp_path / "original"), tmp_path / "copy")

    class Answer:
        path, start_line, end_line = "kettle.go", 5, 8

        @property
        def pattern(self) -> Answer:
            return self

    class FakeHub:
        def index(self, folders: list[Path], *, tier: str) -> None:
            assert (folders, tier) == ([task.folder], "best")

        def search(self, query: str, *, limit: int, mode: str, tier: str) -> list[Answer]:
            return [Answer()]

    def run(name: str, build: object) -> Outcome:
        outcome = run_system(task, build, tmp_path / name)  # type: ignore[arg-type]
        outcome.system = name
        return outcome

    hub = hub_build(lambda _: FakeHub(), tiers=("best", "fast"))
    outcomes = [run("patternhub", hub), run("none", _no_answers)]
    assert outcomes[0].arms["hybrid/best"].reciprocal_ranks == [1.0]
    assert "| copy |  | 1 | none nothing | 0.000 | 0.000 |" in markdown(outcomes)
    assert "| copy | best | 1.000 | 1.000 | 1.000 | 1.00 |" in markdown(outcomes)


def _no_answers(folder: Path, scratch: Path) -> Built:
    return Built(1, {"nothing": lambda query, limit: []})


def test_plain_bm25_finds_the_function_its_words_are_in(tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    (tmp_path / "a.py").write_text("def pour(tea):\n    return cup\n\n\nkettle = 1\n")
    built = bm25()(tmp_path, tmp_path)
    assert built.arms["lexical"]("kettle", 5) == [Hit("a.py", 3, 5)]
    assert built.arms["lexical"]("tea", 5) == [Hit("a.py", 1, 2)]


def test_every_repository_is_pinned_and_half_of_them_only_report() -> None:
    listed = listed_repositories()
    assert all(len(repository.commit) == 40 for repository in listed)
    assert {len(listed_repositories(role)) for role in ("dev", "report")} == {len(listed) // 2}
    assert len({repository.language for repository in listed}) >= 3
