"""What the chunker promises: a partition of every file, functions whole, names that say where."""

from __future__ import annotations

import ast
import random
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import HubError
from indexers import code
from indexers.code import chunk_file
from indexers.languages import GRAMMARS, LANGUAGES, detect_language

if TYPE_CHECKING:
    from hub.types import Chunk

Facts = list[tuple[str, str, int]]


class Golden(NamedTuple):
    """A file, and the (kind, symbol, first line) of each of its chunks."""

    path: str
    text: str
    facts: Facts


GOLDENS = {
    "python": Golden(
        "a.py",
        '''import os
# Lead.
class A(B):  # noqa
    # first comment
    """Class doc."""
    a = 1
    @property
    def f(self):
        """Doc of f."""
        def inner(): pass
        return inner
    # above x
    x: int = 3

    def g(self): pass
    class In:
        y = 1

# above h
@dec
async def h(): pass  # trailing
try:
    import k
except ImportError:
    def k(): pass
if __name__ == "__main__":
    h()
''',
        [
            ("module", "", 1),
            ("class", "A", 2),
            ("method", "A.f", 7),
            ("class", "A", 12),
            ("method", "A.g", 15),
            ("class", "A.In", 16),
            ("function", "h", 19),
            ("module", "", 22),
            ("function", "k", 25),
            ("module", "", 26),
        ],
    ),
    "typescript": Golden(
        "a.ts",
        """/** Copyright X */
import a from "b";
/** doc of foo */
export function foo<T>(a: T): T;
export function foo(a) { return a; }
@Comp({})
export abstract class A<T> extends B {
  @Input() x: number = 1;
  private handler = async (e: Event) => { return 1; };
  /** get v */
  @Dec()
  get v(): number { return 1; }
  abstract m(): void;
  constructor(private a: string) { super(); }
}
export const f = (x: number): number => x + 1;
const g = function* () {};
export const Z = core.make("Z", (inst) => {
  inst.a;
});
const api = {
  /** doc of post */
  post: async () => {
    return 1;
  },
};
module.exports = { a: () => 1 };
Foo.prototype.bar = function () {};
namespace N {
  export function q() {}
}
interface I { a(): void }
type T1 = { a: 1 };
enum E { A, B }
export default () => { 1 };
""",
        [
            ("module", "", 1),
            ("function", "foo", 3),
            ("class", "A", 6),
            ("method", "A.handler", 9),
            ("method", "A.v", 10),
            ("class", "A", 13),
            ("method", "A.constructor", 14),
            ("function", "f", 16),
            ("function", "g", 17),
            ("function", "Z", 18),
            ("module", "", 21),
            ("method", "api.post", 22),
            ("module", "", 27),
            ("function", "Foo.bar", 28),
            ("module", "", 29),
            ("function", "N.q", 30),
            ("class", "I", 32),
            ("class", "T1", 33),
            ("class", "E", 34),
            ("function", "default", 35),
        ],
    ),
    "tsx": Golden(
        "a.tsx",
        """import React from "react";
// A button.
export const Button = ({ x }: Props) => <b>{x}</b>;
const Memo = memo(() => {
  return <Button />;
});
""",
        [("module", "", 1), ("function", "Button", 2), ("function", "Memo", 4)],
    ),
    "javascript": Golden(
        "a.test.mjs",
        """import { it } from "vitest";
describe("stack", () => {
  beforeEach(() => {});
  describe("push", () => {
    // adds
    it.each([1])("grows by %s", () => {});
    test("returns", async function () {});
  });
  function helper() {}
});
exports.x = function () {};
class A { static y = () => 1; *gen() {} }
""",
        [
            ("module", "", 1),
            ("test", "stack > push > grows by %s", 5),
            ("test", "stack > push > returns", 7),
            ("function", "stack > helper", 9),
            ("function", "x", 11),
            ("class", "A", 12),
            ("method", "A.y", 12),
            ("method", "A.gen", 12),
        ],
    ),
    "jsx": Golden("a.jsx", "export function App() { return <b/>; }\n", [("function", "App", 1)]),
    "go": Golden(
        "a.go",
        """// Copyright 2020 X.

// Package main is it.
package main

// F does it.
func F(a int) int { return a }

func (r *Recv[T]) M() {}

// A is a.
type A struct{ x int }

type (
	// B is b.
	B interface{ Z() }
	D int
)

const (
	X = 1
)
""",
        [
            ("module", "", 1),
            ("function", "F", 6),
            ("method", "Recv.M", 9),
            ("class", "A", 11),
            ("module", "", 14),
            ("class", "B", 15),
            ("class", "D", 17),
            ("module", "", 20),
        ],
    ),
    "rust": Golden(
        "a.rs",
        """//! crate doc
use a::b;

/// Doc.
#[derive(Debug)]
pub struct S<T> {
    a: T,
}

impl<T> S<T> {
    /// d
    #[inline]
    pub async fn f(&self) -> i32 {
        1
    }
}
impl<T> fmt::Display for S<T> {
    fn fmt(&self) {}
}
trait Q {
    fn a(&self);
    fn b(&self) {}
}
enum E { A }
#[cfg(test)]
mod tests {
    #[test]
    fn t() {}
}
macro_rules! m {
    () => {};
}
""",
        [
            ("module", "", 1),
            ("class", "S", 4),
            ("method", "S.f", 11),
            ("class", "S", 17),
            ("method", "S.fmt", 18),
            ("class", "Q", 20),
            ("method", "Q.b", 22),
            ("class", "E", 24),
            ("module", "", 25),
            ("function", "tests.t", 27),
            ("function", "m", 30),
        ],
    ),
    "java": Golden(
        "A.java",
        """/* Licensed under Apache */
package a.b;
/** Doc. */
@Ann(1)
public class A<T> extends B {
    int x = 1;
    /**
     * Does f.
     */
    @Override
    public void f() throws E {
    }
    abstract void g();
    A(int x) { this.x = x; }
    enum E {
        A, B;
        void z() { }
    }
    record R(int a) {
        R { check(a); }
    }
}
""",
        [
            ("module", "", 1),
            ("class", "A", 3),
            ("method", "A.f", 7),
            ("class", "A", 13),
            ("method", "A.A", 14),
            ("class", "A.E", 15),
            ("method", "A.E.z", 17),
            ("class", "A.R", 19),
            ("method", "A.R.R", 20),
        ],
    ),
    "c": Golden(
        "a.h",
        """/* Copyright me */
#ifndef A_H
#define A_H
typedef struct foo { int a; } foo_t;
/* A bar. */
struct bar { int a; };
enum E { A };
int proto(void);
/* Adds.
 * Really. */
static int *
f(int a)
{
    return 0;
}
#ifdef X
int g(void) { return 1; }
#else
int g(void) { return 2; }
#endif
#endif /* A_H */
""",
        [
            ("module", "", 1),
            ("class", "foo_t", 4),
            ("class", "bar", 5),
            ("class", "E", 7),
            ("module", "", 8),
            ("function", "f", 9),
            ("module", "", 16),
            ("function", "g", 17),
            ("function", "g", 19),
        ],
    ),
    "cpp": Golden(
        "a.hpp",
        """#include <vector>
namespace a {
/// Doc A.
template <typename T>
class A : public B {
 public:
  A() = default;
  ~A() { close(); }
  /// Eq.
  bool operator==(const A& o) const { return true; }
  operator bool() const { return true; }
 private:
  void decl();
  struct In { int x; };
};
template <>
void A<int>::decl() {}
class API Y : public Z {
  int f() { return 1; }
};
extern "C" {
int c() { return 1; }
}
}  // namespace a
""",
        [
            ("module", "", 1),
            ("class", "a.A", 3),
            ("method", "a.A.~A", 8),
            ("method", "a.A.operator==", 9),
            ("method", "a.A.operator bool", 11),
            ("class", "a.A", 13),
            ("class", "a.A.In", 14),
            ("method", "a.A.decl", 16),
            ("class", "a.Y", 18),
            ("method", "a.Y.f", 19),
            ("module", "", 21),
            ("function", "a.c", 22),
        ],
    ),
    "csharp": Golden(
        "a.cs",
        """using System;
namespace A.B
{
    /// <summary>Doc.</summary>
    [Attr]
    public class C<T> : D
    {
        public int P { get; set; }
        #region R
        public int Q
        {
            get { return 1; }
        }
        [Fact]
        public void M() { }
        #endregion
        ~C() { }
        public static C operator +(C a, C b) { return a; }
        int E() => 1;
        interface I { void Z(); }
    }
    record R(int A);
}
""",
        [
            ("module", "", 1),
            ("class", "C", 4),
            ("method", "C.Q", 10),
            ("method", "C.M", 14),
            ("method", "C.~C", 17),
            ("method", "C.operator +", 18),
            ("method", "C.E", 19),
            ("class", "C.I", 20),
            ("class", "R", 22),
        ],
    ),
    "ruby": Golden(
        "Rakefile",
        """require 'x'
# Doc M.
module M
  # Doc A.
  class A < B
    attr_reader :x
    # doc f
    def f(a)
      1
    end
    def self.g; end

    private

    class << self
      def i = 1
    end
  end
end
private def z
  1
end
""",
        [
            ("module", "", 1),
            ("class", "M", 2),
            ("class", "M.A", 4),
            ("method", "M.A.f", 7),
            ("method", "M.A.g", 11),
            ("class", "M.A", 15),
            ("method", "M.A.i", 16),
            ("function", "z", 20),
        ],
    ),
    "php": Golden(
        "a.php",
        """<?php
namespace A\\B;
/**
 * Doc.
 */
#[Attr]
abstract class C extends D
{
    private $a = 1;
    /** doc f */
    #[Test]
    public function f(int $a): int
    {
        return 1;
    }
}
trait T {
    function t() { return 1; }
}
if (!function_exists('top')) {
    function top() { return 1; }
}
""",
        [
            ("module", "", 1),
            ("class", "C", 3),
            ("method", "C.f", 10),
            ("class", "T", 17),
            ("method", "T.t", 18),
            ("module", "", 20),
            ("function", "top", 21),
        ],
    ),
    "kotlin": Golden(
        "a.kt",
        """package a.b

import x.Y

/** Doc. */
@Ann
data class A(val x: Int) : B() {
    val y = 1

    constructor(a: String) : this(1) {
        bar()
    }

    override fun f(a: Int): Int {
        return 1
    }

    companion object {
        fun c() = 1
    }
}

interface Q {
    fun z()
}

// above ext
fun String.ext(): Int = 1
""",
        [
            ("module", "", 1),
            ("class", "A", 5),
            ("method", "A.constructor", 10),
            ("method", "A.f", 14),
            ("class", "A.Companion", 18),
            ("method", "A.Companion.c", 19),
            ("class", "Q", 23),
            ("function", "String.ext", 27),
        ],
    ),
    "swift": Golden(
        "a.swift",
        """import Foundation

/// Doc.
@objc public class A<T>: B, C {
    var x = 1
    var y: Int {
        return 1
    }
    init(a: Int) { }
    /// doc f
    override func f(_ a: Int) -> Int { return 1 }
}
extension A: P {
    func e() {}
}
protocol P {
    func z()
}
let k = 1
func top() {}
""",
        [
            ("module", "", 1),
            ("class", "A", 3),
            ("method", "A.y", 6),
            ("method", "A.init", 9),
            ("method", "A.f", 10),
            ("class", "A", 13),
            ("method", "A.e", 14),
            ("class", "P", 16),
            ("module", "", 19),
            ("function", "top", 20),
        ],
    ),
    "bash": Golden(
        "a.sh",
        """#!/bin/bash
# doc foo
foo() {
  echo 1
}
function bar {
  echo
}
foo "$@"
""",
        [("module", "", 1), ("function", "foo", 2), ("function", "bar", 6), ("module", "", 9)],
    ),
    "restructuredtext": Golden(
        "a.rst",
        """.. _top:

=====
Title
=====

Words::

    Not a title
    -----------

One
===

.. code-block:: text

   Nor this
   ========

Deep `code`
-----------

Two
===

----

=====  =====
a      table
=====  =====

para
not --- a title
""",
        [
            ("section", "", 1),
            ("section", "Title", 3),
            ("section", "Title > One", 12),
            ("section", "Title > One > Deep `code`", 20),
            ("section", "Title > Two", 23),
        ],
    ),
    "markdown": Golden(
        "a.md",
        """---
title: x
# not a heading
---
Intro.

# One

```sh
# not a heading
```

Setext
------

<!--
# not a heading
-->
### Deep `code` #

> # quoted

- item
---

# Two
""",
        [
            ("section", "", 1),
            ("section", "One", 7),
            ("section", "One > Setext", 13),
            ("section", "One > Setext > Deep `code`", 19),
            ("section", "Two", 26),
        ],
    ),
    "text": Golden("a.txt", "a\n\nb\n", [("text", "", 1)]),
}


def facts(chunks: list[Chunk]) -> Facts:
    return [(chunk.kind, chunk.symbol, chunk.start_line) for chunk in chunks]


def chunk_text(path: str, text: str, *, max_chars: int = 2000) -> list[Chunk]:
    return chunk_file(path, text.encode(), max_chars=max_chars)


def named(chunks: list[Chunk], symbol: str) -> list[Chunk]:
    return [chunk for chunk in chunks if chunk.symbol == symbol]


def assert_partition(path: str, data: bytes, chunks: list[Chunk]) -> None:
    """In order, gapless, none empty, texts and lines those of the bytes."""
    offset = 0
    for chunk in chunks:
        piece = data[chunk.start_byte : chunk.end_byte]
        assert chunk.start_byte == offset < chunk.end_byte, path
        assert chunk.text == piece.decode(), path
        first = offset + len(piece) - len(piece.lstrip())
        if piece.strip():
            assert chunk.start_line == data.count(b"\n", 0, first) + 1, path
            last = offset + len(piece.rstrip()) - 1
            assert chunk.end_line == data.count(b"\n", 0, last) + 1, path
        offset = chunk.end_byte
    assert offset == len(data), path


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_yields_its_golden_chunks(language: str) -> None:
    golden = GOLDENS[language]
    chunks = chunk_text(golden.path, golden.text)
    assert detect_language(golden.path, golden.text.encode()) == language
    assert facts(chunks) == golden.facts
    assert {chunk.language for chunk in chunks} == {language}
    assert_partition(golden.path, golden.text.encode(), chunks)


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), max_chars=st.sampled_from([1, 7, 40, 2000]))
def test_damaged_code_is_still_partitioned(language: str, seed: int, max_chars: int) -> None:
    """Random deletions leave syntax errors anywhere; no byte is lost and nothing raises."""
    rng, text = random.Random(seed), GOLDENS[language].text
    for _ in range(rng.randint(1, 6)):
        start = rng.randrange(len(text) + 1)
        text = text[:start] + text[start + rng.randint(1, 30) :]
    text = text.replace("\n", rng.choice(["\n", "\r\n", "\n\n\n", "\f\n", " é\u2028\n"]))
    data = (rng.choice(["", "\ufeff"]) + text + rng.choice(["", "\n", "\t"])).encode()
    chunks = chunk_file("x", data, language=language, max_chars=max_chars)
    assert_partition("x", data, chunks)


@pytest.mark.parametrize(
    "language", ["python", "typescript", "cpp", "markdown", "restructuredtext", "text"]
)
@settings(max_examples=60, deadline=None)
@given(text=st.text(min_size=1, max_size=300), max_chars=st.integers(1, 60))
def test_any_text_is_partitioned(language: str, text: str, max_chars: int) -> None:
    data = text.encode()
    chunks = chunk_file("x", data, language=language, max_chars=max_chars)
    assert_partition("x", data, chunks)


@pytest.fixture(scope="module")
def stdlib() -> list[tuple[str, bytes]]:
    """A seeded sample of the running Python's standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(p for p in root.rglob("*.py") if "site-packages" not in p.parts)
    sample = random.Random(0).sample(paths, min(200, len(paths)))
    return [(str(path), data) for path in sample if is_utf8(data := path.read_bytes())]


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_standard_library_is_partitioned_within_the_budget(
    stdlib: list[tuple[str, bytes]],
) -> None:
    for path, data in stdlib:
        chunks = chunk_file(path, data)
        assert_partition(path, data, chunks)
        assert all(len(chunk.text.strip()) <= 2020 for chunk in chunks), path


def test_functions_up_to_1200_characters_lie_in_one_chunk(stdlib: list[tuple[str, bytes]]) -> None:
    """ast is the independent truth of what a function is; nested ones and decorators count."""
    total = whole = 0
    for path, data in stdlib:
        chunks = chunk_file(path, data)
        for start, end in short_functions(data):
            total += 1
            whole += any(c.start_byte <= start and end <= c.end_byte for c in chunks)
    assert total > 1000
    assert whole >= 0.98 * total


def short_functions(data: bytes) -> list[tuple[int, int]]:
    """Byte ranges of the functions that ast finds, where its lines are ours."""
    if any(byte in data for byte in (b"\f", b"\v", b"\r", b"\x1c")):
        return []
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return []
    starts = [0]
    for line in data.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    ranges = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            first = min(node.lineno, *(d.lineno for d in node.decorator_list), node.lineno)
            end = starts[node.end_lineno - 1] + (node.end_col_offset or 0)
            if len(data[starts[first - 1] : end].decode()) <= 1200:
                ranges.append((starts[first - 1] + node.col_offset, end))
    return ranges


@pytest.mark.parametrize(
    ("path", "code", "symbols"),
    [
        (
            "a.py",
            "with lock:\n    def a():\n        return 1\n\nfor name in names:\n    class B:\n"
            "        def c(self):\n            return 2\n\nwhile True:\n    def d():\n"
            "        pass\n\nmatch kind:\n    case 1:\n        def e():\n            pass\n",
            ["a", "B", "B.c", "d", "e"],
        ),
        (
            "a.ts",
            "if (old) {\n  function a() {\n    return 1;\n  }\n} else {\n  function b() {\n"
            "    return 2;\n  }\n}\ntry {\n  function c() {\n    return 3;\n  }\n} finally {}\n",
            ["a", "b", "c"],
        ),
        (
            "a.sh",
            "case $1 in\n  x)\n    a() {\n      echo 1\n    }\n    ;;\nesac\n"
            "for f in *; do\n  b() {\n    echo 2\n  }\ndone\n",
            ["a", "b"],
        ),
        (
            "a.php",
            "<?php\ntry {\n    function a() {\n        return 1;\n    }\n} finally {\n}\n",
            ["a"],
        ),
    ],
)
def test_definitions_inside_statements_are_chunks_of_their_own(
    path: str, code: str, symbols: list[str]
) -> None:
    chunks = chunk_file(path, code.encode())
    assert "".join(c.text for c in chunks) == code
    assert [c.symbol for c in chunks if c.kind in ("function", "method", "class")] == symbols


def test_python_docstrings_are_unquoted_and_unindented() -> None:
    chunks = chunk_text("a.py", GOLDENS["python"].text)
    assert named(chunks, "A")[0].docstring == "Class doc."
    assert named(chunks, "A")[1].docstring == ""
    assert named(chunks, "A.f")[0].docstring == "Doc of f."
    (f,) = chunk_text("a.py", 'def f():\n    r"""One.\n\n        Two.\n    """\n')
    assert f.docstring == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("language", "symbol", "docstring"),
    [
        ("typescript", "foo", "doc of foo"),
        ("typescript", "api.post", "doc of post"),
        ("go", "F", "F does it."),
        ("go", "B", "B is b."),
        ("rust", "S", "Doc."),
        ("java", "A.f", "Does f."),
        ("c", "f", "Adds.\nReally."),
        ("c", "foo_t", ""),
        ("cpp", "a.A", "Doc A."),
        ("csharp", "C", "<summary>Doc.</summary>"),
        ("ruby", "M.A.f", "doc f"),
        ("php", "C", "Doc."),
        ("kotlin", "A", "Doc."),
        ("swift", "A.f", "doc f"),
        ("bash", "foo", "doc foo"),
    ],
)
def test_doc_comments_lose_their_markers(language: str, symbol: str, docstring: str) -> None:
    golden = GOLDENS[language]
    assert named(chunk_text(golden.path, golden.text), symbol)[0].docstring == docstring


@pytest.mark.parametrize(
    ("language", "symbol", "signature"),
    [
        ("python", "A", "class A(B):"),
        ("python", "h", "async def h():"),
        ("typescript", "A.v", "get v(): number"),
        ("typescript", "A", "export abstract class A<T> extends B"),
        ("typescript", "f", "export const f = (x: number): number =>"),
        ("go", "Recv.M", "func (r *Recv[T]) M()"),
        ("rust", "S.f", "pub async fn f(&self) -> i32"),
        ("java", "A.f", "public void f() throws E"),
        ("c", "f", "static int * f(int a)"),
        ("csharp", "C.M", "public void M()"),
        ("swift", "A", "public class A<T>: B, C"),
    ],
)
def test_signatures_run_from_the_definition_to_its_body(
    language: str, symbol: str, signature: str
) -> None:
    golden = GOLDENS[language]
    assert named(chunk_text(golden.path, golden.text), symbol)[0].signature == signature


def test_a_licence_is_not_the_docstring_of_the_first_function() -> None:
    licence, f = chunk_text("a.c", "/* Copyright X */\n\n\n/* Adds. */\nint f(void) { }\n")
    assert (licence.kind, f.docstring) == ("module", "Adds.")


def test_a_comment_across_a_blank_line_belongs_only_if_it_is_a_doc_comment() -> None:
    assert facts(chunk_text("a.js", "// x\n\nfunction f() {}\n"))[1] == ("function", "f", 3)
    assert facts(chunk_text("a.js", "/** x */\n\nfunction f() {}\n")) == [("function", "f", 1)]


def test_a_class_is_its_header_and_fields_with_numbered_parts() -> None:
    golden = GOLDENS["python"]
    parts = [c for c in named(chunk_text(golden.path, golden.text), "A") if c.kind == "class"]
    assert [part.part for part in parts] == [1, 2]
    assert "a = 1" in parts[0].text
    assert "def" not in parts[0].text
    (small,) = chunk_text("a.py", "class A:\n    x = 1\n    y = 2\n")
    assert (small.kind, small.part) == ("class", 0)


def test_an_oversized_function_is_cut_between_statements_and_keeps_its_name() -> None:
    nested = "    @dec\n    def inner():\n" + "        call()\n" * 70
    text = 'def f(a):\n    """Doc."""\n' + "    x = 1\n" * 150 + nested + "    y = 2\n" * 150
    chunks = chunk_text("a.py", text)
    assert [chunk.part for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert {(c.kind, c.symbol, c.signature) for c in chunks} == {("function", "f", "def f(a):")}
    assert [chunk.docstring for chunk in chunks] == ["Doc."] + [""] * (len(chunks) - 1)
    assert any(nested in chunk.text for chunk in chunks)
    assert all(len(chunk.text.strip()) <= 2000 for chunk in chunks)
    assert all(chunk.text.startswith("    ") for chunk in chunks[1:])


def test_the_budget_counts_characters_not_bytes() -> None:
    text = "def f():\n    return '" + "\u6f22" * 1500 + "'\n"
    assert len(chunk_text("a.py", text)) == 1


def test_a_data_literal_is_packed_up_to_the_budget() -> None:
    text = "TABLE = [\n" + "    (1, 2, 3),\n" * 2000 + "]\n"
    chunks = chunk_text("a.py", text)
    assert {chunk.kind for chunk in chunks} == {"module"}
    assert len(chunks) <= len(text) / 2000 * 1.1 + 1


@pytest.mark.parametrize("language", sorted(GRAMMARS))
@pytest.mark.parametrize("shape", ["[", "{\n", "(", "class A {\n", "f(() => {\n"])
def test_deep_nesting_is_split_by_lines(language: str, shape: str) -> None:
    closing = {"[": "]", "{": "}", "(": ")"}
    end = "".join(closing.get(char, "") for char in reversed(shape))
    data = (shape * 5000 + "x" + end * 5000).encode()
    assert_partition(language, data, chunk_file("x", data, language=language))


def test_nested_quotes_do_not_crash_markdown() -> None:
    data = b"> " * 5000 + b"x\n" + b"- " * 5000 + b"x"
    assert_partition("a.md", data, chunk_file("a.md", data))


@pytest.mark.parametrize("language", LANGUAGES)
def test_line_endings_and_a_bom_change_no_names(language: str) -> None:
    golden = GOLDENS[language]
    for text in (golden.text.replace("\n", "\r\n"), "\ufeff" + golden.text, golden.text.rstrip()):
        data = text.encode()
        chunks = chunk_file("x", data, language=language)
        assert facts(chunks) == golden.facts
        assert_partition("x", data, chunks)


def test_code_around_a_syntax_error_is_still_found() -> None:
    text = "def a():\n    pass\n\nx = = 1)\n\ndef b():\n    pass\n"
    symbols = [chunk.symbol for chunk in chunk_text("a.py", text)]
    assert symbols[0] == "a"
    assert symbols[-1] == "b"


def test_oversized_sections_are_cut_at_blank_lines_outside_fences() -> None:
    fence = "```\n" + "code\n\n" * 100 + "```\n"
    text = "# T\n\n" + "word " * 300 + "\n\n" + fence + "\n" + "word " * 300 + "\n"
    chunks = chunk_text("a.md", text)
    assert {chunk.symbol for chunk in chunks} == {"T"}
    assert any(fence in chunk.text for chunk in chunks)


def test_a_huge_single_line_is_cut_between_characters() -> None:
    data = "\u00e9".encode() * 2_500_000
    chunks = chunk_file("a.txt", data)
    assert len(chunks) == 1250
    assert "".join(chunk.text for chunk in chunks).encode() == data


def test_only_the_empty_file_has_no_chunks() -> None:
    assert chunk_file("a.py", b"") == []
    assert len(chunk_file("a.py", b" \n\n")) == 1
    assert len(chunk_file("a.txt", b"\n" * 9000)) == 1


def test_bad_input_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnicodeDecodeError):
        chunk_file("a.py", b"\xff")
    with pytest.raises(HubError, match="cobol"):
        chunk_file("a.py", b"x", language="cobol")
    with pytest.raises(ValueError, match="max_chars"):
        chunk_file("a.py", b"x", max_chars=0)

    def missing(name: str) -> None:
        raise LookupError(name)

    monkeypatch.setattr(code, "get_language", missing)
    with pytest.raises(HubError, match="python"):
        chunk_file("a.py", b"x")


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("a.pyi", b"", "python"),
        ("a.cjs", b"", "javascript"),
        ("a.h", b"struct x;", "c"),
        ("a.h", b"#pragma once\nnamespace x {", "cpp"),
        ("A.PY", b"", "python"),
        ("x/Gemfile", b"", "ruby"),
        ("a.kts", b"", "kotlin"),
        ("a.mdx", b"", "markdown"),
        ("run", b"#!/usr/bin/env -S python3 -u\n", "python"),
        ("run", b"#!/bin/sh\n", "bash"),
        ("run", b"", "text"),
        ("a.csv", b"", "text"),
    ],
)
def test_the_language_is_known_by_name_then_by_shebang(
    path: str, head: bytes, language: str
) -> None:
    assert detect_language(path, head) == language
