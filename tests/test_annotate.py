"""Annotation: what is said of a pattern follows from its file, and explains itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import lizard
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hub.curate.annotate
from hub.config import Category, Config, load_config
from hub.config import Taxonomy as Choice
from hub.curate.annotate import annotate, intent
from hub.curate.categories import CONFIDENT
from hub.curate.measures import measure
from hub.curate.quality import WEIGHTS, quality, quality_parts
from hub.curate.taxonomy import (
    UNCLASSIFIED,
    Taxonomy,
    shipped_taxonomies,
    shipped_taxonomy,
    taxonomy_of,
)
from hub.errors import HubError
from hub.preparing import with_ids
from indexers.code import chunk_file
from tests.conftest import WordEncoder

if TYPE_CHECKING:
    from hub.curate.annotate import Annotation
    from hub.types import Pattern

ROOT = Path(__file__).parents[1]


def patterns_of(path: str, text: str, source: str = "demo") -> list[Pattern]:
    return list(with_ids(source, chunk_file(path, text.encode())))


def annotated(
    patterns: list[Pattern], taxonomy: Taxonomy | None = None
) -> dict[tuple[str, str], Annotation]:
    """Annotations by kind and symbol."""
    found = annotate(patterns, taxonomy=taxonomy or shipped_taxonomy("default"))
    assert list(found) == [p.id for p in patterns]
    return {(p.kind, p.symbol): found[p.id] for p in patterns}


def one(*categories: Category) -> Taxonomy:
    return Taxonomy("test", categories)


def category(name: str, **rules: object) -> Category:
    return Category.model_validate({"name": name, "description": f"About {name}.", **rules})


# --- taxonomies


def test_every_shipped_taxonomy_is_whole() -> None:
    assert shipped_taxonomies() == ["default", "platform", "typescript-library"]
    for name in shipped_taxonomies():
        found = shipped_taxonomy(name).categories
        assert len({c.name for c in found}) == len(found) > 5
        assert all(c.description and (c.paths or c.kinds) for c in found)


def test_categories_in_hub_toml_take_the_place_of_a_shipped_taxonomy(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('[[categories]]\nname = "a"\ndescription = "b"\n')
    assert [c.name for c in taxonomy_of(load_config(tmp_path)).categories] == ["a"]
    assert taxonomy_of(Config()).name == "default"


def test_an_unknown_taxonomy_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(HubError, match="'pages'; there are: default, platform, typescript"):
        taxonomy_of(Config(taxonomy=Choice(name="pages")))


# --- categories


def test_a_decisive_path_settles_it_and_the_nearest_to_the_file_wins() -> None:
    text = "def connect(socket):\n    return socket.request()\n"
    found = annotated(patterns_of("tests/http/client.py", text))["function", "connect"]
    assert (found.category, found.by) == ("testing", "rules")
    assert found.confidence >= CONFIDENT
    assert "path tests" in found.reason
    (prose,) = annotated(patterns_of("tests/README.md", "# How to\n\nRun it.\n")).values()
    assert prose.category == "documentation"


def test_a_later_path_rule_takes_a_file_out_again() -> None:
    taxonomy = one(category("a", paths=["gen/", "!keep.py"], decisive=True), category("b"))
    text = "def f():\n    return 1\n"
    assert annotated(patterns_of("gen/x.py", text), taxonomy)["function", "f"].category == "a"
    assert annotated(patterns_of("gen/keep.py", text), taxonomy)["function", "f"].category != "a"
    deep = one(category("a", paths=["docs/**/*.py"], decisive=False), category("b"))
    assert annotated(patterns_of("docs/x/y.py", text), deep)["function", "f"].category == "a"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("src/a.py", "import os\nimport sys\n", "module setup"),
        ("src/a.go", '// Copyright\n\npackage a\n\nimport (\n\t"fmt"\n)\n', "module setup"),
        ("src/a.ts", "export * from './b';\n", "module setup"),
        ("src/a.py", "class NoSuchKeyError(Exception):\n    pass\n", "error handling"),
        ("scripts/tidy.sh", "# Copyright\n# of us all\n\ngo mod tidy\nmake lint\n", "build"),
    ],
)
def test_what_a_chunk_is_settles_it(path: str, text: str, expected: str) -> None:
    assert {found.category for found in annotated(patterns_of(path, text)).values()} == {expected}


def test_what_the_file_is_about_speaks_for_a_method_that_says_nothing() -> None:
    text = '''
class RequestQueue:
    """A queue of jobs for worker threads."""

    def push(self, job):
        """Put a job in the queue and wake a waiting thread."""
        with self.lock:
            self.jobs.append(job)

    def x(self):
        return self.y
'''
    found = annotated(patterns_of("src/z.py", text))["method", "RequestQueue.x"]
    assert found.category == "concurrency"
    assert "of its file" in found.reason


def test_what_nothing_speaks_for_is_unclassified() -> None:
    found = annotated(patterns_of("a.py", "def f(x):\n    return x\n"))["function", "f"]
    assert (found.category, found.by) == (UNCLASSIFIED, "nothing")
    assert found.confidence < CONFIDENT


def test_what_rules_leave_open_goes_to_the_nearest_description() -> None:
    taxonomy = one(
        category("sea", examples=["whales and ships in deep water"]),
        category("sky", examples=["birds and clouds in thin air"]),
    )
    patterns = patterns_of("a.py", "def f():\n    '''Birds in clouds, thin air.'''\n")
    encoder = WordEncoder("words", 48)
    vectors = encoder.encode_documents([p.text for p in patterns])
    (found,) = annotate(patterns, taxonomy=taxonomy, vectors=vectors, encoder=encoder).values()
    assert (found.category, found.by) == ("sky", "vectors")
    assert "birds and clouds" in found.reason
    settled = one(category("sea", paths=["*.py"], decisive=True), category("sky"))
    (kept,) = annotate(patterns, taxonomy=settled, vectors=vectors, encoder=encoder).values()
    assert (kept.category, kept.by) == ("sea", "rules")


# --- intent, complexity, quality


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", "def get_id(of: int, *, m=f(1, 2)) -> str:\n    x\n", "get id from of and m"),
        ("a.py", "def f(x):\n    '''Sends `x` home. Then rests.'''\n    x\n", "Sends x home"),
        ("a.go", "package a\n\nfunc (c *C) GetAll(ks ...string) {\n\tx()\n}\n", "get all from ks"),
        ("A.java", "class A {\n  int a(Map<K, V> m, int n) {\n    x();\n  }\n}", "a from m and n"),
        ("src/page.ts", "export default function (a: number) {\n  return a;\n}\n", "default"),
        ("a.ts", "export function at(s: Map<K, V>, z = 'u') {\n  x();\n}\n", "at from s and z"),
    ],
)  # fmt: skip
def test_intent_is_the_first_sentence_or_the_signature_in_words(
    path: str, text: str, expected: str
) -> None:
    assert expected in {intent(p) for p in patterns_of(path, text)}


BRANCHES = "\n".join(f"    if x == {n}:\n        return {n}\n" for n in range(60))


def test_complexity_is_lizards_and_each_part_of_a_long_function_has_that_of_the_whole() -> None:
    text = f"def f(x):\n{BRANCHES}\n"
    parts = [p for p in patterns_of("a.py", text) if p.symbol == "f"]
    assert len(parts) > 1
    found = annotate(parts, taxonomy=shipped_taxonomy("default"))
    whole = lizard.analyze_file.analyze_source_code("a.py", text).function_list[0]
    assert {a.complexity for a in found.values()} == {whole.cyclomatic_complexity} == {61}
    assert {a.nesting for a in found.values()} == {1}


LOOP = "def f(a: int, b):\n    for x in a:\n        if x:\n            b()\n"
SWALLOWS = "def f(self):\n    try:\n        g()\n    except OSError:\n        pass\n"
ELSE_IF = "  async m(a: string, b) {\n    if (a) { b(); }\n    else if (b) { a(); }\n  }\n"
PASSES_ON = "func F() error {\n\tif err != nil {\n\t\treturn err\n\t}\n\treturn nil\n}\n"
EMPTY = "  int f(int a) {\n    try { g(); } catch (E e) { }\n    return 1;\n  }\n"


@pytest.mark.parametrize(
    ("language", "text", "complexity", "nesting", "typed", "handles"),
    [
        ("python", LOOP, 3, 2, 0.5, None),
        ("python", SWALLOWS, 2, 1, None, 0),
        ("python", "async def f(a: int):\n    raise ValueError\n", 1, 0, 1, 1),
        ("typescript", ELSE_IF, 3, 1, 0.5, None),
        ("go", PASSES_ON, 2, 1, 1, 1),
        ("rust", "fn f(a: u8) -> u8 {\n    g(a).unwrap()\n}\n", 1, 0, 1, 0),
        ("java", EMPTY, 2, 1, 1, 0),
        ("bash", "f() {\n  if true; then\n    echo 1\n  fi\n}\n", None, 1, None, None),
    ],
)
def test_measures_of_a_function(
    language: str,
    text: str,
    complexity: int | None,
    nesting: int,
    typed: float | None,
    handles: float | None,
) -> None:
    found = measure(text, language, "method" if language in ("java", "typescript") else "function")
    assert (found.complexity, found.nesting, found.typed, found.handles_errors) == (
        complexity, nesting, typed, handles
    )  # fmt: skip


def test_leftovers_are_counted_and_lower_the_quality() -> None:
    clean = "def f(x: int) -> int:\n    y = x\n    return y\n"
    dirty = clean.replace("    y = x\n", "    breakpoint()  # TODO\n    print('here')\n    y = x\n")
    before, after = (annotated(patterns_of("a.py", t))["function", "f"] for t in (clean, dirty))
    assert measure(dirty, "python", "function").leftovers == 3
    assert (before.parts["leftovers"], after.parts["leftovers"]) == (1, 0)
    assert after.quality < before.quality


@given(st.dictionaries(st.sampled_from(sorted(WEIGHTS)), st.floats(0, 1), min_size=1))
def test_quality_is_the_weighted_mean_of_its_parts(parts: dict[str, float]) -> None:
    total = sum(WEIGHTS[name] for name in parts)
    expected = sum(WEIGHTS[name] * part for name, part in parts.items()) / total
    assert quality(parts) == pytest.approx(expected, abs=1e-3)
    assert min(parts.values()) - 1e-3 <= quality(parts) <= max(parts.values()) + 1e-3


def test_what_is_nearer_to_common_matters_than_to_the_teams_own_is_unclassified() -> None:
    """Of two categories one is always the nearest, whatever the code is about."""
    own = [
        category("invoices", description="Invoices, refunds, credit."),
        category("voyages", description="Ships, harbours, cargo."),
    ]
    shelf = taxonomy_of(Config(categories=own))
    assert shelf.beside == shipped_taxonomy("default").categories
    words = WordEncoder("words", 256)
    patterns = [
        patterns_of("a.py", f'def f(x):\n    """{said}"""\n    return x\n')[-1]
        for said in (
            "Refunds credit of invoices.",
            "Cargo of ships in harbours.",
            "Parse, format and serialise text and its tokens.",
            "Send requests over sockets to servers.",
        )
    ]
    vectors = words.encode_queries([p.docstring for p in patterns])
    named = []
    for taxonomy in (shelf, Taxonomy("hub.toml", shelf.categories)):
        verdicts = [
            annotate([p], taxonomy=taxonomy, vectors=v[None], encoder=words)[p.id].category
            for p, v in zip(patterns, vectors, strict=True)
        ]
        named.append(verdicts)
    assert named[0] == ["invoices", "voyages", UNCLASSIFIED, UNCLASSIFIED]
    assert UNCLASSIFIED not in named[1]  # without others to compare with, each would have one


def test_tests_raise_the_quality_duplicates_lower_it_and_unknown_counts_for_nothing() -> None:
    (p,) = patterns_of("a.py", "def f(x):\n    y = x\n    return y\n")
    measures = measure(p.text, p.language, p.kind)

    def of(tested: bool | None, duplicated: bool | None) -> float:
        return quality(quality_parts(p, measures, tested=tested, duplicated=duplicated))

    assert of(False, None) < of(None, None) < of(True, None)
    assert of(None, True) < of(None, None) < of(None, False)
    taxonomy = shipped_taxonomy("default")
    (found,) = annotate([p], taxonomy=taxonomy, tested={p.id}, duplicated=set()).values()
    assert (found.parts["tested"], found.parts["duplication"]) == (1, 1)


# --- the whole


def own_code() -> list[Pattern]:
    files = sorted((ROOT / "hub" / "curate").glob("*.py"))
    return [p for f in files for p in patterns_of(f"hub/curate/{f.name}", f.read_text(), "hub")]


def test_every_part_explains_the_quality_of_real_code() -> None:
    for found in annotate(own_code(), taxonomy=shipped_taxonomy("default")).values():
        assert 0 <= found.quality <= 1
        assert quality(found.parts) == found.quality
        assert found.category == UNCLASSIFIED or found.reason
        assert found.intent or found.by == "rules"


def test_order_and_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = own_code()
    taxonomy = shipped_taxonomy("default")
    expected = annotate(patterns, taxonomy=taxonomy)
    assert annotate(patterns[::-1], taxonomy=taxonomy) == expected
    moved = [replace(p, source="other", id=f"{p.id}2") for p in patterns]
    monkeypatch.setattr(hub.curate.annotate, "PARALLEL_CHARS", 0)
    found = annotate([*patterns, *moved], taxonomy=taxonomy)
    assert {id_: a for id_, a in found.items() if id_ in expected} == expected


def test_no_pattern_is_no_annotation() -> None:
    assert annotate([], taxonomy=shipped_taxonomy("default")) == {}


PROGRAM = """
import json, sys
from dataclasses import asdict
from tests.test_annotate import own_code
from hub.curate.annotate import annotate
from hub.curate.taxonomy import shipped_taxonomy
found = annotate(own_code(), taxonomy=shipped_taxonomy("default"))
print(json.dumps({id_: asdict(a) for id_, a in found.items()}))
"""


def test_two_processes_with_other_hash_seeds_say_the_same() -> None:
    outs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outs[0] == outs[1]
    here = annotate(own_code(), taxonomy=shipped_taxonomy("default"))
    assert json.loads(outs[0]) == json.loads(json.dumps({k: asdict(a) for k, a in here.items()}))


def test_vectors_decide_the_same_alone_and_beside_others() -> None:
    encoder = WordEncoder("words", 48)
    patterns = own_code()
    vectors = encoder.encode_documents([p.text for p in patterns])
    taxonomy = shipped_taxonomy("default")
    found = annotate(patterns, taxonomy=taxonomy, vectors=vectors, encoder=encoder)
    path = patterns[0].path
    rows = np.array([p.path == path for p in patterns])
    alone = annotate(
        [p for p in patterns if p.path == path],
        taxonomy=taxonomy,
        vectors=vectors[rows],
        encoder=encoder,
    )
    assert alone == {id_: found[id_] for id_ in alone}
