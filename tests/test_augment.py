"""Variants of functions that parse: one bug at a time, other layouts, other comments."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter

import pytest

from hub.curate.bugs import KINDS, Bug, inject
from hub.curate.layout import recomment, reformat
from hub.curate.rename import rename
from hub.curate.trees import Unsuited, parse
from tests.test_rename import compiled, real_functions

OPS = {
    "rename": lambda *args: [rename(*args)],
    "comments": lambda *args: [recomment(*args)],
    "format": lambda *args: [reformat(*args)],
    "bugs": inject,
}


def variants(op: str, text: str, language: str = "python", seed: str = "seed") -> list[str]:
    try:
        return [variant.text for variant in OPS[op](text, language, seed)]
    except Unsuited:
        return []


def test_reformatted_real_functions_have_the_same_syntax_tree() -> None:
    changed = 0
    for text in real_functions():
        for variant in variants("format", text):
            block = "if 1:\n" if text[:1] == " " else ""
            assert ast.dump(ast.parse(block + variant)) == ast.dump(ast.parse(block + text))
            changed += variant != text
    assert changed > 400


def test_real_functions_with_a_bug_still_compile_and_differ_in_the_line_that_is_named() -> None:
    kinds: Counter[str] = Counter()
    for text in real_functions():
        try:
            bugs = inject(text, "python", "seed")
        except Unsuited:
            continue
        for bug in bugs:
            compiled(bug.text)
            lines = bug.text.split("\n")
            assert repaired(bug) == text
            assert "\n".join(lines[bug.line - 1 :]).startswith(bug.broken_line)
        kinds.update(bug.kind for bug in bugs)
    assert set(kinds) == set(KINDS)


def repaired(bug: Bug) -> str:
    """The text with the right line back in its place."""
    lines = bug.text.split("\n")
    end = bug.line - 1 + (bug.broken_line.count("\n") + 1 if bug.broken_line else 0)
    return "\n".join([*lines[: bug.line - 1], bug.fixed_line, *lines[end:]])


BUGS = {  # kind and language, a function's body, the line with the bug in it
    ("operator", "python"): ("    return a + b", "    return a - b"),
    ("operator", "typescript"): ("  return a && b;", "  return a || b;"),
    ("boundary", "python"): ("    return a < b", "    return a <= b"),
    ("boundary", "typescript"): ("  return a >= b;", "  return a > b;"),
    ("none_check", "python"): ("    return a if a is not None else b", "    return a"),
    ("none_check", "typescript"): ("  return a?.b ;", "  return a.b ;"),
    ("exception", "python"): ("    raise KeyError(a)", "    raise IndexError(a)"),
    ("exception", "typescript"): ("  throw new RangeError(a);", "  throw new TypeError(a);"),
    ("resource", "python"): ("    b()\n    a.close()", ""),
    ("resource", "typescript"): ("  b();\n  a.close();", ""),
    ("await", "python"): ("    return await a(b)", "    return a(b)"),
    ("await", "typescript"): ("  const c = await a(b);", "  const c = a(b);"),
    ("off_by_one", "python"): ("    return a[1:]", "    return a[2:]"),
    ("off_by_one", "typescript"): ("  return a.slice(1);", "  return a.slice(2);"),
    ("argument", "python"): ("    return c(a, b)", "    return c(b, a)"),
    ("argument", "typescript"): ("  return c(a, b);", "  return c(b, a);"),
}


@pytest.mark.parametrize(("kind", "language"), BUGS)
def test_each_kind_of_bug_is_injected_and_said(kind: str, language: str) -> None:
    body, broken = BUGS[kind, language]
    python = language == "python"
    text = f"async def f(a, b):\n{body}\n" if python else f"async function f(a, b) {{\n{body}\n}}\n"
    (bug,) = inject(text, language, "seed", [kind])
    assert (bug.kind, bug.broken_line) == (kind, broken)
    assert bug.fixed_line == body.split("\n")[-1]
    assert bug.explanation.startswith(KINDS[kind].capitalize())
    assert repaired(bug) == text


def test_an_opened_file_loses_its_with_and_keeps_its_block() -> None:
    text = "def f(p):\n    with open(p) as file:\n        a = file.read()\n        return a\n"
    (bug,) = inject(text, "python", "seed", ["resource"])
    lines = ["def f(p):", "    file = open(p)", "    a = file.read()", "    return a", ""]
    assert bug.text.split("\n") == lines


def test_nothing_but_code_is_broken() -> None:
    text = '''@cache(1 + 2)
def f(a: "x < 1", b: Literal[1]) -> tuple[0]:
    """a + b < c[0]"""
    # a + b < c[0]
    if sys.version_info < (3, 8):
        pass
    log.debug("a < b" + a, a, b)
    print(a, b)
    raise CustomError(a + b, a[0])
'''
    with pytest.raises(Unsuited, match="no place"):
        inject(text, "python", "seed")


def test_comments_are_dropped_or_moved_and_those_for_tools_stay() -> None:
    text = '''def f(a):
    """Documentation."""
    # above
    b = a  # beside
    c = """
    # text
    """
    return b + c  # noqa: X1
'''
    seen = {recomment(text, "python", str(seed)).text for seed in range(20)}
    dropped = text.replace("    # above\n", "").replace("  # beside", "")
    moved = text.replace("    # above\n    b = a  # beside", "    # above\n    # beside\n    b = a")
    assert seen == {dropped, moved, dropped.replace('    """Documentation."""\n', "")}


def test_a_line_comment_moves_to_the_end_of_its_line() -> None:
    text = "function f(a) {\n  // twice\n  return a * 2;\n}\n"
    seen = {recomment(text, "typescript", str(seed)).text for seed in range(20)}
    assert "function f(a) {\n  return a * 2;  // twice\n}\n" in seen


def test_typescript_keeps_its_tokens_in_another_layout() -> None:
    text = "const f = (a: X) => {\n  const b = g('x', {\n    a,\n  });\n  return `\n  ${b}`;\n};\n"
    seen = {reformat(text, "typescript", str(seed)).text for seed in range(20)}
    assert len(seen) > 3
    plain = ["".join(variant.replace('"', "'").split()) for variant in (*seen, text)]
    assert len({variant.replace(",}", "}") for variant in plain}) == 1
    assert any("{ a }" in variant for variant in seen)  # no comma before the bracket
    assert all("`\n  ${b}`" in variant for variant in seen)


METHOD = (
    "  async get(url: string) {\n    const reply = await fetch(url);\n    return reply.json();\n  }"
)
PIECES = {
    "the last method of a class": (f"{METHOD}\n}}\n\n", "typescript"),
    "a property of an object": (
        "  run: (a) => {\n    const b = a + 1;\n    return b;\n  },\n",
        "tsx",
    ),
    "the last property of an object": (
        "  run(a) {\n    let b = a;\n    return b;\n  },\n});\n",
        "jsx",
    ),
    "a function before an else": (
        "    def f(a):\n        b = a + 1\n        return b\nelse:\n",
        "python",
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_what_parses_only_in_its_place_comes_back_as_it_was_but_for_the_change(name: str) -> None:
    text, language = PIECES[name]
    assert parse(text, language).text == text
    for op in ("rename", "bugs"):
        for variant in variants(op, text, language):
            assert variant != text
            assert variant[-4:] == text[-4:]
            assert parse(variant, language).text == variant


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("def f(:\n", "python", "does not parse"),
        ("fn f() {}", "rust", "no syntax trees for rust"),
        ("def f(a):\n    return '\ud800'\n", "python", "Unicode"),
        ("", "python", "nothing|no place"),
        ("def f(a): return a\n", "python", "nothing|no place"),
    ],
)
def test_what_has_no_variant_says_why(text: str, language: str, reason: str) -> None:
    for make in OPS.values():
        with pytest.raises(Unsuited, match=reason):
            make(text, language, "seed")


def test_the_same_seed_gives_the_same_variants_in_every_process() -> None:
    code = (
        "import textwrap\n"
        "from tests.test_augment import OPS, variants\n"
        "from tests.test_rename import RUN, SCRIPTS\n"
        "for op in OPS:\n"
        "    for text in RUN.values(): print(variants(op, textwrap.dedent(text)))\n"
        "    for text, _ in SCRIPTS.values(): print(variants(op, text, 'typescript'))\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(runs) == 1
    assert len(runs.pop()) > 5000
