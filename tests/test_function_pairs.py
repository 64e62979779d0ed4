"""Two versions of a file: which functions changed, by more than layout, and which can teach."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexers.file_versions import differences, functions, parse_version
from indexers.function_pairs import Pair, changed_functions

BEFORE = "def total(rows):\n    n = 0\n    for row in rows:\n        n += row.price\n    return n\n"
AFTER = BEFORE.replace("row.price", "row.price or 0")
LONG = "".join(f"    n += {number}\n" for number in range(120))


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def is_python(data: bytes) -> bool:
    try:
        ast.parse(data)
    except SyntaxError:
        return False
    return True


def compare(before: str, after: str, language: str = "python") -> tuple[list[Pair], dict[str, int]]:
    left_out: Counter[str] = Counter()
    new = parse_version(after.encode(), language)
    old = parse_version(before.encode(), language, like=new)
    pairs = changed_functions(old, new, left_out)
    return pairs, {reason.removeprefix("function: "): n for reason, n in (+left_out).items()}


FILE = f"import a\n\n\n{BEFORE}\n\nclass Shop:\n    size = 1\n\n    @cached\n{indented(BEFORE)}"
SOUND = [
    "", "    n += 2", "        n += 3", "def other(rows):", "    return n", "    @cached",
    "class Room:", "    def total(self):", "# note", "    \u00e9 = n",
]  # fmt: skip


def edits(lines: list[str]) -> st.SearchStrategy[list[tuple[int, int, list[str]]]]:
    """Where, how many lines go, and which come."""
    added = st.lists(st.sampled_from(lines), max_size=3)
    return st.lists(st.tuples(st.integers(0, 25), st.integers(0, 4), added), max_size=3)


def edited(text: str, changes: list[tuple[int, int, list[str]]]) -> str:
    lines = text.split("\n")
    for at, removed, added in changes:
        lines[at : at + removed] = added
    return "\n".join(lines)


@settings(deadline=None, max_examples=150)
@given(changes=edits([*SOUND, "x = (", "'''"]))
def test_a_file_parsed_with_another_version_at_hand_is_parsed_the_same(
    changes: list[tuple[int, int, list[str]]],
) -> None:
    new = edited(FILE * 2, changes).encode()
    fresh = parse_version(new, "python")
    known = parse_version(new, "python", like=parse_version((FILE * 2).encode(), "python"))
    assert str(known.tree.root_node) == str(fresh.tree.root_node)
    assert [f.text for f in functions(known)] == [f.text for f in functions(fresh)]


@example(  # a comment is of the function above or not by the line after it
    first=[(10, 0, ["", "    n += 2", "# note"])], second=[(10, 1, ["", "    n += 2", "# note"])]
)
@settings(deadline=None, max_examples=300)
@given(first=edits(SOUND), second=edits(SOUND))
def test_looking_only_where_versions_differ_misses_no_change(
    first: list[tuple[int, int, list[str]]], second: list[tuple[int, int, list[str]]]
) -> None:
    versions = [
        parse_version(edited(FILE, changes).encode(), "python") for changes in (first, second)
    ]
    if not all(is_python(version.data) for version in versions):
        return
    hunks = differences(versions[0].data, versions[1].data)
    whole = [{f.symbol: f.text for f in functions(version)} for version in versions]
    looked_at = [
        {f.symbol: f.text for f in functions(version, ranges)}
        for version, ranges in zip(versions, hunks, strict=True)
    ]
    for symbol in whole[0].keys() & whole[1].keys():
        if whole[0][symbol] != whole[1][symbol]:
            assert [texts[symbol] for texts in looked_at] == [texts[symbol] for texts in whole]


def test_added_deleted_and_unchanged_functions_are_no_pairs() -> None:
    gone = "\ndef gone():\n    a = 1\n    return a\n"
    come = "\ndef fresh(b):\n    for c in b:\n        yield c\n"
    same = "\ndef same():\n    b = 2\n    return b\n"
    pairs, left_out = compare(BEFORE + same + gone, AFTER + same + come)
    [pair] = pairs
    assert (pair.before.text, pair.after.text) == (BEFORE.rstrip(), AFTER.rstrip())
    assert left_out == {"added": 1, "deleted": 1}


@pytest.mark.parametrize(
    ("language", "before", "after"),
    [
        ("python", BEFORE, BEFORE.replace("n = 0", "n = 0  # so far")),
        ("python", BEFORE, BEFORE.replace("rows):", 'rows):\n    """All of it."""')),
        ("python", BEFORE, BEFORE.replace("(rows)", "(\n    rows,\n)")),
        ("python", "def f(x):\n    y = 'a'\n    return y", 'def f(x):\n    y = "a"\n    return y'),
        ("go", "func F() {\n\ta := 1\n\tG(a)\n}\n", "func F() {\n\ta  :=  1\n\n\tG(a) // b\n}\n"),
        ("typescript", "function f() {\n  a = 1\n  g()\n}", "function f() {\n  a = 1;\n  g();\n}"),
        ("rust", "fn f() {\n    g(1);\n    h()\n}", "/// D.\nfn f() {\n    g( 1 );\n    h()\n}"),
    ],
)  # fmt: skip
def test_comments_and_layout_are_no_change(language: str, before: str, after: str) -> None:
    assert compare(before, after, language) == ([], {"only comments or formatting changed": 1})


def test_indentation_is_a_change_where_it_is_syntax() -> None:
    assert len(compare(BEFORE, BEFORE.replace("    return n", "        return n"))[0]) == 1


@pytest.mark.parametrize("text", ['"a\\nc"', "'a'", 'f"a\\n{b}"'])
def test_a_change_inside_a_string_is_a_change(text: str) -> None:
    before = 'def f():\n    x = "a\\nb"\n    return x\n'
    assert len(compare(before, before.replace('"a\\nb"', text))[0]) == 1


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (BEFORE, BEFORE.replace("n += row.price", "n += += )"), "does not parse"),
        (BEFORE, BEFORE.replace("return n", "print n"), "does not parse"),
        ("def f():\n    return 1\n", "def f():\n    return 2\n", "too short"),
        (BEFORE, BEFORE.replace("    n = 0\n", LONG), "too long"),
        (LONG.replace("", "def f():\n", 1)[:900], LONG.replace("", "def f():\n", 1), "too long"),
        (BEFORE, BEFORE.replace("    n = 0\n", LONG[:1000]), "change too large"),
    ],
)
def test_what_cannot_teach_is_left_out_with_its_reason(
    before: str, after: str, reason: str
) -> None:
    assert compare(before, after) == ([], {reason: 1})


def test_functions_of_one_name_pair_in_order_if_none_came_or_went() -> None:
    twice = f"if fast:\n{indented(BEFORE)}else:\n{indented(BEFORE)}"
    changed = f"if fast:\n{indented(BEFORE)}else:\n{indented(AFTER)}"
    assert [pair.before.line for pair in compare(twice, changed)[0]] == [8]
    pairs, left_out = compare(f"if a:\n{indented(BEFORE)}", f"if a:\n{indented(AFTER)}{changed}")
    assert (pairs, left_out) == ([], {"several of one name": 1})


def test_methods_are_named_with_their_class_and_keep_decorators() -> None:
    before = f"class Shop:\n    @cached\n{indented(BEFORE)}"
    [pair], _ = compare(before, before.replace("row.price", "row.cost"))
    assert pair.after.symbol == "Shop.total"
    assert pair.after.text.startswith("    @cached\n    def total")
    assert pair.after.line == 2


def test_a_changed_attribute_changes_the_function_below_it() -> None:
    before = "#[inline]\nfn f() {\n    g(1);\n    h()\n}\n"
    [pair], _ = compare(before, before.replace("[inline]", "[cold]"), "rust")
    assert pair.after.text.startswith("#[cold]")


@pytest.mark.parametrize(
    ("after", "shows"),
    [
        (AFTER, "other"),
        (BEFORE.replace("rows", "orders"), "rename"),
        (BEFORE.replace("total", "price_of"), "rename"),
        (BEFORE.replace("(rows)", "(rows, start)"), "API change"),
        (BEFORE.replace("row.price", "row.n"), "other"),
    ],
)
def test_a_change_shows_a_new_name_or_signature(after: str, shows: str) -> None:
    pairs, left_out = compare(BEFORE, after)
    assert [pair.shows for pair in pairs] == [shows]
    assert left_out == {}
