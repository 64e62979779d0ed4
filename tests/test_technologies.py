"""Which packages a pattern uses, by the imports of its file."""

from __future__ import annotations

import pytest

from tests.test_annotate import annotated, patterns_of


@pytest.mark.parametrize(
    ("path", "text", "symbol", "packages", "standard"),
    [
        (
            "a.py",
            "import os\nimport yaml as y\nfrom sqlalchemy.orm import Session\nfrom . import b\n\n"
            "def f(s: Session):\n    import attr\n    return y.load(os.getcwd()), attr, b\n",
            "f",
            ("attrs", "pyyaml", "sqlalchemy"),
            ("os",),
        ),
        (
            "a.ts",
            'import { readFile as read } from "node:fs/promises";\nimport z, * as y from "zod";\n'
            'import type { A } from "@scope/pkg/deep";\nimport x from "./x";\n'
            "export function f(a: A) {\n  return z.parse(read(x));\n}\n",
            "f",
            ("@scope/pkg", "zod"),
            ("fs",),
        ),
        (
            "a.js",
            'const { join } = require("path");\nconst chalk = require("chalk");\n'
            "function f() {\n  return chalk(join('a', 'b'));\n}\n",
            "f",
            ("chalk",),
            ("path",),
        ),
        (
            "a.go",
            'package a\n\nimport (\n\t"net/http"\n\tj "gopkg.in/yaml.v3"\n'
            '\t"github.com/gin-gonic/gin/v2/binding"\n\t"fmt"\n)\n\n'
            "func F(r *http.Request) {\n\tj.Marshal(binding.JSON)\n}\n",
            "F",
            ("github.com/gin-gonic/gin", "gopkg.in/yaml"),
            ("net/http",),
        ),
        (
            "a.rs",
            "use std::{fmt, io::{self, Read as R}};\nuse serde::Serialize;\n"
            "use crate::own::Thing;\n\n"
            "fn f<T: Serialize, S: R>(t: T, s: S) -> fmt::Result {\n    Thing\n}\n",
            "f",
            ("serde",),
            ("std",),
        ),
        (
            "A.java",
            "package a;\n\nimport java.util.List;\nimport com.google.gson.Gson;\n\nclass A {\n"
            "  String f(List<String> l) {\n    return new Gson().toJson(l);\n  }\n}\n",
            "A.f",
            ("com.google.gson",),
            ("java.util",),
        ),
    ],
)
def test_technologies_are_the_imports_a_pattern_uses(
    path: str, text: str, symbol: str, packages: tuple[str, ...], standard: tuple[str, ...]
) -> None:
    (found,) = (a for (_, s), a in annotated(patterns_of(path, text)).items() if s == symbol)
    assert (found.technologies, found.standard) == (packages, standard)


def test_what_the_source_defines_itself_is_no_technology() -> None:
    patterns = [
        *patterns_of("shop/__init__.py", "VERSION = 1\n"),
        *patterns_of(
            "tests/test_a.py", "import shop\nimport demo\n\ndef test_a():\n    demo(shop)\n"
        ),
    ]
    assert annotated(patterns)["function", "test_a"].technologies == ()
