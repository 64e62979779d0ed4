"""A function under other names does what it did, and every name is found where it is used."""

from __future__ import annotations

import asyncio
import dis
import email
import json
import textwrap
import types
import warnings
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.curate.anonymize import anonymize
from hub.curate.names import names_of
from hub.curate.rename import mask_variable, rename
from hub.curate.trees import Unsuited, parse
from hub.types import Example, Message
from indexers.code import chunk_file

LOCAL_OPS = {f"{verb}_{kind}" for verb in ("LOAD", "STORE", "DELETE") for kind in ("FAST", "DEREF")}
CELL_OPS = {"MAKE_CELL", "LOAD_CLOSURE", "COPY_FREE_VARS", "LOAD_CLASSDEREF"}  # in name order


@cache
def real_functions() -> list[str]:
    """Functions and methods of three packages of the standard library, as an index has them."""
    found = []
    for package in (asyncio, email, json):
        for file in sorted(Path(package.__file__).parent.glob("*.py")):
            chunks = chunk_file(file.name, file.read_bytes(), max_chars=10**9)
            found += [c.text for c in chunks if c.kind in ("function", "method")]
    return [text for text in found[::3] if not parse(text, "python").tail]


def compiled(text: str) -> types.CodeType:
    """The code of a function that may be indented, or followed by the next clause."""
    block = f"if 1:\n{text}" if text[:1] == " " else text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(block, "f", "exec", dont_inherit=True)


def behaviour(code: types.CodeType, mapping: dict[str, str]) -> list[object]:
    """What a code object does, its variables called by their new names."""
    steps, cells = [], []
    for step in dis.get_instructions(code):
        value = step.argval
        if step.opname in LOCAL_OPS | CELL_OPS:
            value = mapping.get(value, value)
        if isinstance(value, types.CodeType):
            value = behaviour(value, mapping)
        (cells if step.opname in CELL_OPS else steps).append((step.opname, value))
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [code.co_name, arguments, code.co_names, steps, sorted(cells, key=repr)]


def test_renamed_real_functions_compile_to_the_same_steps_on_other_variables() -> None:
    renamed = 0
    for text in real_functions():
        try:
            result = rename(text, "python", "seed")
        except Unsuited:
            continue
        before, after = compiled(text), compiled(result.text)
        assert behaviour(before, result.mapping) == behaviour(after, result.mapping), text
        renamed += 1
    assert renamed > 150


RUN = {  # functions, called with 3: what they return must not change
    "closure and nonlocal": """
        def f(n):
            total = 0
            def add(step):
                nonlocal total
                total += step
                return total
            return [add(i) for i in range(n)], total
    """,
    "global with the name of a local of the outer function": """
        def f(n):
            seen = n
            def g():
                global seen
                seen = 7
                return seen
            return g(), seen
    """,
    "comprehension variables with the name of a local": """
        def f(n):
            x = n
            xs = [x for x in range(x)]
            pairs = {x: y for x in xs for y in range(x)}
            return x, xs, pairs, list(x + 1 for x in xs)
    """,
    "walrus in a comprehension binds outside of it": """
        def f(n):
            found = [last for i in range(n) if (last := i * 2)]
            return found, last
    """,
    "keyword arguments and parameters keep their names": """
        def f(n):
            key = amount = n
            def g(key, *rest, other=1, **more):
                return key, rest, other, more
            return g(key=key, other=amount, amount=amount), dict(amount=amount, key=key)
    """,
    "class body does not see itself from methods": """
        def f(n):
            value = n
            class A:
                value = value if False else 5
                def get(self):
                    return value
            return A().get(), A.value
    """,
    "f-strings, self-documenting ones keep the name": """
        def f(n):
            width, value = n + 4, n
            return f"{value:>{width}} {width=} {'{'} {value!r}"
    """,
    "patterns capture and attributes do not": """
        def f(n):
            from types import SimpleNamespace as Space
            point = {"x": n, "rest": [1, 2, 3]}
            match point:
                case {"x": x, "rest": [first, *rest], **others}:
                    return x, first, rest, others, Space(x=x).x
                case Space(x=px) as whole:
                    return px, whole
                case _:
                    return None
    """,
    "with, except, for, import, del, star": """
        def f(n):
            import io, os.path
            with io.StringIO("a") as stream, io.StringIO("b") as other:
                text = stream.read() + other.read()
            try:
                raise ValueError(text)
            except ValueError as problem:
                text = str(problem)
            for number, (a, *b) in enumerate([(1, 2, 3)] * n):
                text += str(number) + str(a) + str(b)
            del a
            return text, os.path.basename("x/y")
    """,
    "lambda defaults are read outside": """
        def f(n):
            k = n
            g = lambda k=k, *, j=k: (k, j)
            return g(), g(k=1), g(j=2)
    """,
    "annotations spelt as text": """
        def f(n):
            class Local: ...
            value: "Local" = n
            free = value
            def g(x: "value") -> "Local":
                return x
            return g(free), sorted(g.__annotations__.items())
    """,
    "super and __class__": """
        def f(n):
            class A(dict):
                def __init__(self, *args, **kwargs):
                    size = len(args)
                    super().__init__(*args, **kwargs)
                    self["size"] = size, __class__.__name__
            return A({}, a=n)
    """,
}


@pytest.mark.parametrize("name", RUN)
@given(seed=st.text(max_size=4))
@settings(max_examples=5, deadline=None)
def test_a_renamed_function_returns_the_same(name: str, seed: str) -> None:
    text = textwrap.dedent(RUN[name]).strip()
    result = rename(text, "python", seed)
    assert result.mapping
    assert len(set(result.mapping.values())) == len(result.mapping)
    before: dict[str, object] = {}
    after: dict[str, object] = {}
    exec(text, before)
    exec(result.text, after)
    assert str(before["f"](3)) == str(after["f"](3)), result.text  # type: ignore[operator]


SCRIPTS = {  # text, and the same with neutral names
    "shorthand and destructuring": (
        "const f = ({ a, b: c = a, ...d }, [e]) => ({ a, c, d, key: e });",
        "const function1 = ({ a: parameter1, b: parameter2 = parameter1, ...parameter3 },"
        " [parameter4]) => ({ a: parameter1, c: parameter2, d: parameter3, key: parameter4 });",
    ),
    "blocks, hoisting and loops": (
        "function f(n) { for (var i = 0; i < n; i++) { let j = i; { let j = 1; use(j); } }"
        " for (const k of n) k.j(i); }",
        "function function1(parameter1) { for (var variable1 = 0; variable1 < parameter1;"
        " variable1++) { let variable2 = variable1; { let variable2 = 1; use(variable2); } }"
        " for (const loop1 of parameter1) loop1.j(variable1); }",
    ),
    "properties, labels, arguments and this stay": (
        "function f(a) { a: while (1) break a; this.a = arguments[0]; return { a: a.a, [a]: 1 }; }",
        "function function1(parameter1) { a: while (1) break a; this.a = arguments[0];"
        " return { a: parameter1.a, [parameter1]: 1 }; }",
    ),
    "types are no values, but for typeof and predicates": (
        "function f<T>(a: (b: T) => T, c: unknown): c is T"
        " { const d: typeof a = a; return d(c as T) === c; }",
        "function function1<T>(parameter1: (parameter2: T) => T, parameter3: unknown):"
        " parameter3 is T { const variable1: typeof parameter1 = parameter1;"
        " return variable1(parameter3 as T) === parameter3; }",
    ),
    "a parameter that is a field, and catch": (
        "constructor(private a: A, b: B) { try { this.x(b); } catch (e) { throw e; } }",
        "constructor(private a: A, parameter1: B)"
        " { try { this.x(parameter1); } catch (error1) { throw error1; } }",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_typescript_names_change_where_they_are_values_of_the_function(name: str) -> None:
    text, expected = SCRIPTS[name]
    assert anonymous(text, "typescript") == expected


def anonymous(code: str, language: str) -> str:
    """The code as an answer that was anonymised."""
    made = Example(
        task="implement", prompt=(Message("user", "Write it."),),
        completion=(Message("assistant", code),), language=language, source="team", path="a",
        start_line=1, end_line=9, files=("team/a",),
    )  # fmt: skip
    found = anonymize(made)
    assert isinstance(found, Example), found
    return found.completion[0].content


def test_names_that_are_looked_up_as_text_are_left_alone() -> None:
    for body in ("return locals()", "return eval('n')", "exec('n = 1')", "return '{n}' % vars()"):
        with pytest.raises(Unsuited, match="as text"):
            rename(f"def f():\n    n = 1\n    {body}\n", "python", "seed")
    assert rename("def f(x):\n    n = 1\n    return vars(x), n\n", "python", "seed").mapping


def test_names_from_outside_are_told_from_those_of_the_function() -> None:
    text = "def f(a):\n    b = a + c\n    return [d(e) for e in b.g], print\n"
    names = names_of(parse(text, "python"))
    assert names.free == {"c", "d", "print"}
    assert {b.name: len(b.uses) for b in names.bindings if b.is_local} == {"a": 2, "b": 2, "e": 2}


def test_anonymous_names_reach_documentation_and_calls_by_keyword() -> None:
    text = '''def scale(price, *, factor=2):
    """Scale a price.

    :param factor: what ``price`` is multiplied by
    """
    # price_total is what `factor` makes of it
    price_total = price * factor
    def inner(factor): return factor
    return inner(factor=price_total)
'''
    assert (
        anonymous(text, "python")
        == '''def function_1(parameter_1, *, factor=2):
    """Scale a price.

    :param factor: what ``parameter_1`` is multiplied by
    """
    # variable_1 is what `factor` makes of it
    variable_1 = parameter_1 * factor
    def function_2(factor): return factor
    return function_2(factor=variable_1)
'''
    )


def test_new_names_are_told_in_comments_where_they_are_marked_as_names() -> None:
    text = "def f():\n    # item_count, and a plain item of `item`\n    item_count = item = 1\n"
    result = rename(text, "python", "seed")
    count, item = result.mapping["item_count"], result.mapping["item"]
    assert f"# {count}, and a plain item of `{item}`" in result.text


def test_names_to_keep_stay_and_the_signature_with_them() -> None:
    text = "const f = (amount: number) => { const total = amount * 2; return total; };"
    assert "total" not in rename(text, "typescript", "seed").text
    kept = rename(text, "typescript", "seed", keep=["amount"])
    assert kept.mapping.keys() == {"total"}


def test_a_masked_variable_can_be_read_nowhere() -> None:
    text = "def f(a):\n    row_count = a.b\n    x_y = a.x_y\n    return row_count, x_y\n"
    for seed in range(10):
        hidden = mask_variable(text, "python", Random(seed), "<name>")
        assert hidden == ("row_count", text.replace("row_count", "<name>"))
    assert mask_variable("def f(a):\n    x_y = a.x_y\n", "python", Random(0), "<name>") is None
    assert mask_variable("fn f() {}", "rust", Random(0), "<name>") is None
