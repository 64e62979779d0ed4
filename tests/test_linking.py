"""Tests link to what their own frames call, in each layout, and to nothing where it is not sure."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.curate.linking import in_test_file, is_test, link_tests
from hub.types import CHUNK_FIELDS, Pattern
from indexers.code import chunk_file


def patterns_of(files: dict[str, str], source: str = "s") -> list[Pattern]:
    return [
        Pattern(
            **{name: getattr(chunk, name) for name in CHUNK_FIELDS},
            id=f"{source}/{path}:{chunk.start_byte}",
            source=source,
        )
        for path, text in files.items()
        for chunk in chunk_file(path, textwrap.dedent(text).encode())
    ]


def links_of(files: dict[str, str]) -> dict[str, list[str]]:
    """Symbols of what is exercised to symbols of its tests."""
    patterns = patterns_of(files)
    name = {p.id: p.symbol for p in patterns}
    links = defaultdict(list)
    for target, tests in link_tests(patterns).items():
        links[name[target]] += [name[test] for test in tests]
    return dict(links)


PYTHON = {
    "src/shop/__init__.py": "from .cart import Cart as Cart, total\nfrom .money import *\n",
    "src/shop/cart.py": """
        from __future__ import annotations
        from .money import Price

        class Base:
            def clear(self):
                self.items = []

        class Cart(Base):
            price: Price

            def __init__(self):
                self.items = []

            def __len__(self):
                return len(self.items)

            def __enter__(self):
                return self

            def add(self, item) -> Price | None:
                return None

            @property
            def empty(self):
                return not self.items

        def total(cart):
            return 0

        def untested(cart):
            return 1
        """,
    "src/shop/money.py": """
        class Price:
            def round(self):
                return self

        def parse(text) -> "Price":
            return Price()
        """,
}


def test_names_are_resolved_through_imports_aliases_and_what_a_package_exports_again():
    links = links_of(
        PYTHON
        | {
            "tests/test_cart.py": """
                import shop
                import shop.cart as c
                from shop import parse as read
                from shop.cart import total

                def test_total():
                    assert total(None) == 0

                def test_package():
                    cart = shop.Cart()
                    cart.add(1).round()
                    cart.clear()
                    with cart as same:
                        assert len(same) == 0

                def test_alias():
                    assert c.Cart().empty
                    c.untested  # named, not called

                def test_declared_result():
                    read("1").round()

                def test_local_class():
                    class Mine(shop.Cart):
                        def clear(self):
                            pass

                    Mine().add(1)
                    Mine().clear()
                """
        }
    )
    assert links == {
        "total": ["test_total"],
        "Cart": ["test_alias", "test_package"],
        "Cart.__init__": ["test_alias", "test_package"],
        "Cart.add": ["test_local_class", "test_package"],
        "Base.clear": ["test_package"],
        "Cart.__enter__": ["test_package"],
        "Cart.__len__": ["test_package"],
        "Cart.empty": ["test_alias"],
        "parse": ["test_declared_result"],
        "Price.round": ["test_declared_result", "test_package"],
    }


def test_fixtures_of_the_class_the_file_and_a_conftest_above_have_types():
    links = links_of(
        PYTHON
        | {
            "tests/conftest.py": """
                import pytest
                from shop import Cart

                @pytest.fixture
                def cart():
                    made = Cart()
                    yield made

                @pytest.fixture()
                def filled(cart) -> Cart:
                    return fill(cart)
                """,
            "tests/unit/test_cart.py": """
                import pytest
                from shop.money import Price

                @pytest.fixture
                def price():
                    return Price()

                def test_add(cart, price):
                    cart.add(price.round())

                class TestFilled:
                    def test_clear(self, filled):
                        filled.clear()

                def test_parameter(total):
                    total(1)
                """,
        }
    )
    assert links == {
        "Cart.add": ["test_add"],
        "Price.round": ["test_add"],
        "Base.clear": ["TestFilled.test_clear"],
    }


def test_unittest_cases_know_what_set_up_put_on_self_also_in_a_base_case():
    links = links_of(
        PYTHON
        | {
            "tests/base.py": """
                from unittest import TestCase
                from shop import Cart

                class CartCase(TestCase):
                    def setUp(self):
                        self.cart = Cart()
                """,
            "tests/test_cart.py": """
                from shop.money import parse
                from .base import CartCase

                class CartTest(CartCase):
                    def setUp(self):
                        super().setUp()
                        self.price = parse("1")

                    def test_add(self):
                        self.assertIsNone(self.cart.add(self.price.round()))

                    def helper(self):
                        self.cart.clear()
                """,
        }
    )
    assert links == {"Cart.add": ["CartTest.test_add"], "Price.round": ["CartTest.test_add"]}


def test_what_could_be_two_things_or_is_not_of_the_source_links_to_nothing():
    twins = {f"{side}/tools/util.py": "def run():\n    return 1\n" for side in ("a", "b")}
    links = links_of(
        PYTHON
        | twins
        | {
            "tests/test_it.py": """
                from tools.util import run
                from elsewhere import total, parse
                from shop import cart

                def test_total():
                    run()
                    total()

                def test_hidden():
                    def untested():
                        pass
                    untested()
                    for parse in []:
                        parse()
                    "total(cart)"
                    unknown.add(1)
                    (lambda: cart.total(1))
                """
        }
    )
    assert links == {}


def test_a_test_named_for_the_function_comes_first_then_the_one_that_calls_least():
    links = links_of(
        PYTHON
        | {
            "tests/test_a.py": """
                from shop import Cart, parse, total

                def test_everything():
                    total(Cart())
                    parse("1")

                def test_some():
                    total(None)

                def test_total_of_nothing():
                    total(parse("0"))
                """
        }
    )
    assert links["total"] == ["test_total_of_nothing", "test_some", "test_everything"]


def test_parts_of_a_long_function_are_linked_alike_and_a_long_test_by_its_first():
    body = "".join(f"    value_{n} = compute({n}) + {n}\n" for n in range(200))
    patterns = patterns_of(
        {
            "pkg/long.py": f"def long(compute):\n{body}    return 1\n",
            "tests/test_long.py": f"import pkg.long as m\n\ndef test_it(f):\n    m.long(f)\n{body}",
        }
    )
    parts = [p.id for p in patterns if p.symbol == "long"]
    first = next(p.id for p in patterns if p.symbol == "test_it")
    assert len(parts) > 1
    assert link_tests(patterns) == dict.fromkeys(sorted(parts), (first,))


def test_only_files_for_tests_hold_tests_and_nothing_in_them_is_exercised():
    found = patterns_of(
        {
            "tests/test_a.py": "def test_a():\n    helper()\n\ndef helper():\n    pass\n",
            "pkg/check.py": "def test_connection():\n    pass\n",
            "pkg/a.go": "package a\n\nfunc TestIt() {\n}\n",
            "test/run.rs": "fn test_it() {\n    run();\n}\n",
        }
    )
    assert [p.symbol for p in found if is_test(p)] == ["test_a"]
    assert [p.symbol for p in found if in_test_file(p)] == ["test_a", "helper", "test_it"]
    assert link_tests(found) == {}


def test_sources_are_not_mixed():
    tests = patterns_of(
        {"tests/test_a.py": "from shop import total\n\ndef test_a():\n    total(1)\n"}
    )
    assert link_tests(patterns_of(PYTHON, "other") + tests) == {}
    assert link_tests(patterns_of(PYTHON) + tests) != {}


def test_code_in_circles_chains_and_depths_is_survived():
    deep = "(" * 3000 + "total(1)" + ")" * 3000
    chain = {f"pkg/m{n}.py": f"from .m{n + 1} import *\n" for n in range(400)}
    links = links_of(
        PYTHON
        | chain
        | {
            "pkg/m400.py": "from .m0 import *\n",
            "pkg/self.py": "class Self(Self):\n    x = Self.x\n\ndef loop():\n    return loop()\n",
            "pkg/a.py": "from .b import thing\nvalue = thing\n",
            "pkg/b.py": "from .a import value as thing\n",
            "tests/test_deep.py": f"""
                from shop import total
                from pkg import m0, a
                from pkg.self import Self, loop

                def test_deep():
                    m0.nothing()
                    a.thing().x
                    Self().missing()
                    loop().x
                    total(2)
                    {deep}
                """,
            "tests/test_broken.py": "from shop import total\n\ndef test_broken(:\n    total(1\n",
        }
    )
    assert links["total"][0] == "test_deep"
    assert links["loop"] == ["test_deep"]


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_patterns_does_not_matter(rng: random.Random):
    files = dict(PYTHON)
    files["tests/test_a.py"] = "from shop import *\n\ndef test_a():\n    total(Cart())\n"
    patterns = patterns_of(files)
    links = list(link_tests(patterns).items())
    rng.shuffle(patterns)
    assert list(link_tests(patterns).items()) == links


def links_as_text() -> str:
    test = "from shop import *\ndef test_a():\n    total(Cart())\n    parse().round()\n"
    files = PYTHON | {"tests/test_a.py": test, "tests/test_b.py": test}
    return json.dumps(link_tests(patterns_of(files)))


def test_links_are_the_same_in_another_process_and_hash_seed():
    code = "import tests.test_linking as t; print(t.links_as_text())"
    root = Path(__file__).parent.parent
    other = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(root)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert other.stdout.strip() == links_as_text()
    assert len(json.loads(links_as_text())) == 5
