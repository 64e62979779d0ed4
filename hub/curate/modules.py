"""A source as its language sees it: modules, what they define, and what an import names.

A module is a path without its ending (Python, JavaScript, TypeScript), a folder (Go) or a package
(Java). Files are put together again from their patterns, so no checkout is needed.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_right
from collections import defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from tree_sitter import Parser, Query, QueryCursor
from tree_sitter_language_pack import get_language

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tree_sitter import Language, Node
    from tree_sitter_language_pack import SupportedLanguage

    from hub.types import Pattern

FAMILIES = {"python": "python", "go": "go", "java": "java"} | dict.fromkeys(
    ("typescript", "tsx", "javascript", "jsx"), "javascript"
)
DEFINITIONS = {"function", "method", "class"}
_DECLARE_ONLY = (".pyi", ".d.ts", ".d.mts", ".d.cts")
_OPEN_TREES = 64  # a tree takes ten times the memory of its text
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)", re.MULTILINE)
_NOT_THE_ONE = re.compile(r"^\s*@[\w.]*\b(?:overload|setter|deleter)\b", re.MULTILINE)
_REQUIRE = "(call_expression function: (identifier) @f arguments: (arguments . (string) @module))"
# Imports, and assignments of a value to a target.
_NAMES = {
    "python": """
        (import_statement name: (dotted_name) @module)
        (import_statement name: (aliased_import name: (_) @module alias: (_) @as))
        (import_from_statement module_name: (_) @module name: (dotted_name) @name)
        (import_from_statement module_name: (_) @module
            name: (aliased_import name: (_) @name alias: (_) @as))
        (import_from_statement module_name: (_) @module (wildcard_import) @star)
        (assignment left: (identifier) @target) @value""",
    "javascript": f"""
        (import_statement (import_clause (identifier) @default) source: (_) @module)
        (import_statement (import_clause (namespace_import (identifier) @as)) source: (_) @module)
        (import_statement (import_clause (named_imports
            (import_specifier name: (_) @name alias: (_)? @as))) source: (_) @module)
        (export_statement (export_clause
            (export_specifier name: (_) @name alias: (_)? @as)) source: (_)? @module)
        (export_statement "*" @star source: (_) @module)
        (export_statement value: (identifier) @exported)
        ((variable_declarator name: (identifier) @as value: {_REQUIRE}) (#eq? @f "require"))
        ((variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @name)
            value: {_REQUIRE}) (#eq? @f "require"))
        (variable_declarator name: (identifier) @target value: (_)) @value
        (assignment_expression left: (identifier) @target) @value""",
    "go": """
        (import_spec name: (_)? @as path: (_) @module)
        (source_file (var_declaration (var_spec name: (_) @target) @value))""",
    "java": "(import_declaration (scoped_identifier) @module (asterisk)? @star)",
}


class Import(NamedTuple):
    """A name of a module's; the module itself where the name is empty."""

    module: str
    name: str = ""


class Assigned(NamedTuple):
    """An assignment outside of functions, by its bytes."""

    start: int
    end: int


class Project:
    """The patterns of one source in one family of languages."""

    def __init__(self, family: str, patterns: Iterable[Pattern]) -> None:
        self.family = family
        self.files: dict[str, list[Pattern]] = defaultdict(list)
        self.paths: dict[str, list[str]] = defaultdict(list)  # by module
        self.definitions: dict[tuple[str, str], list[Pattern]] = defaultdict(list)
        for pattern in sorted(patterns, key=lambda p: (p.path, p.start_byte)):
            if not pattern.path.endswith(_DECLARE_ONLY):
                self.files[pattern.path].append(pattern)
        self.module_of = {path: self._module(path) for path in self.files}
        for path, module in self.module_of.items():
            self.paths[module].append(path)
            for pattern in self.files[path]:
                if pattern.kind in DEFINITIONS and pattern.symbol:
                    self.definitions[module, pattern.symbol].append(pattern)
                    if pattern.signature.startswith("export default"):
                        self.definitions[module, "default"].append(pattern)
        self.owners = {(module, s.rpartition(".")[0]) for module, s in self.definitions}
        self._endings: dict[str, list[str]] = defaultdict(list)  # modules by their last part
        for module in list(self.paths):
            while module not in self._endings[posixpath.basename(module)]:
                self._endings[posixpath.basename(module)].append(module)
                if family == "python":  # to which a folder is a module too
                    module = posixpath.dirname(module)
        self.tree = lru_cache(_OPEN_TREES)(self._tree)
        self.names = cache(self._names)
        self._query = cache(lambda language: Query(language, _NAMES[family]))

    def _module(self, path: str) -> str:
        folder, name = posixpath.split(path)
        if self.family == "go":
            return folder
        if self.family == "java":
            declared = (_PACKAGE.search(pattern.text) for pattern in self.files[path])
            return next((found[1].replace(".", "/") for found in declared if found), folder)
        stem = name.rpartition(".")[0]
        return folder if stem in ("__init__", "index") else posixpath.join(folder, stem)

    def has_module(self, module: str) -> bool:
        return module in self._endings.get(posixpath.basename(module), ())

    def find(self, name: str, path: str) -> str | None:
        """The module that an import in the file ``path`` means by ``name``, its parts by slashes.

        None where it is not one of this source's, or could be two.
        """
        if name.startswith("."):
            found = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            names = ("" if found == "." else found, re.sub(r"\.[cm]?[jt]sx?$", "", found))
            return next((name for name in names if self.has_module(name)), None)
        if self.family == "go":
            parts = name.split("/")
            folders = ["/".join(parts[start:]) for start in range(1, len(parts))]
            root = [""] if self.package("") in parts[-2:] else []  # the last may be a version
            return next((folder for folder in folders + root if folder in self.paths), None)
        if self.family == "javascript":
            name = re.sub(r"^[@~]/|^@[\w.-]+/", "", name)
            return self._nearest(name, path) or self._nearest(f"{name}/src", path)
        return self._nearest(name, path)

    def _nearest(self, name: str, path: str) -> str | None:
        """The module that ends in ``name`` and shares most folders with the file, if only one."""

        def distance(module: str) -> tuple[int, int]:
            shared = posixpath.commonprefix([module.split("/"), path.split("/")])
            return -len(shared), module.count("/")

        found = [
            module
            for module in self._endings.get(posixpath.basename(name), ())
            if f"/{module}".endswith(f"/{name}")
            # inside a package, Python would call it by a longer name
            and posixpath.join(module.removesuffix(name), "__init__.py") not in self.files
        ]
        found.sort(key=distance)
        alone = len(found) == 1 or (found and distance(found[0]) < distance(found[1]))
        return found[0] if alone else None

    def package(self, module: str) -> str:
        """What a Go folder calls its package."""
        texts = (p.text for path in self.paths.get(module, ()) for p in self.files[path][:1])
        return min((m[1] for text in texts if (m := _PACKAGE.search(text))), key=len, default="")

    def _names(self, path: str) -> dict[str, list[Import | Assigned | None]]:
        """What a file imports, wherever it does, and assigns outside of functions.

        None is an import from elsewhere. Under "*" are the modules of which it takes every name.
        """
        names: dict[str, list[Import | Assigned | None]] = defaultdict(list)
        starts = [pattern.start_byte for pattern in self.files[path]]
        cursor = QueryCursor(self._query(self._language(path)))
        for _, captures in cursor.matches(self.tree(path)):
            nodes = {key: found[0] for key, found in captures.items()}
            texts = {key: text_of(node) for key, node in nodes.items()}
            bound: Import | Assigned | None
            if value := nodes.get("value"):
                around = self.files[path][max(bisect_right(starts, value.start_byte) - 1, 0)]
                if around.kind != "module":
                    continue
                name, bound = texts["target"], Assigned(value.start_byte, value.end_byte)
            else:
                name, bound = self._import(path, texts)
            if bound not in names[name]:
                names[name].append(bound)
        return names

    def _import(self, path: str, texts: dict[str, str]) -> tuple[str, Import | None]:
        """The name that an import binds, and to what."""
        module, name = texts.get("module", "").strip("\"'`"), texts.get("name", "")
        alias = texts.get("as") or texts.get("default") or name
        if self.family == "python":
            dots = len(module) - len(module.lstrip("."))
            up = "./" + "../" * (dots - 1) if dots else ""
            module = up + module[dots:].replace(".", "/")
        elif self.family == "java":
            parts = module.split(".")
            cut = next((i for i, part in enumerate(parts) if part[:1].isupper()), len(parts))
            module, name, alias = "/".join(parts[:cut]), ".".join(parts[cut:]), parts[-1]
        found = self.find(module, path) if module else self.module_of[path]
        if "exported" in texts:
            alias, name = "default", texts["exported"]
        elif "default" in texts:
            name = "default"
        elif "star" in texts or alias == ".":
            alias = "*"
        elif not alias and self.family == "go":
            alias = (found is not None and self.package(found)) or posixpath.basename(module)
        elif not alias:  # import a.b binds a
            alias, slash, rest = module.partition("/")
            found = found.removesuffix(slash + rest) if found else None
        return alias, None if found is None else Import(found, name)

    def choices(self, module: str, symbol: str) -> list[list[Pattern]]:
        """The definitions of this name, each with all its parts; most names have one."""
        chosen: list[list[Pattern]] = []
        for pattern in self.definitions.get((module, symbol), ()):
            if chosen and pattern.part > 1 and pattern.path == chosen[-1][0].path:
                chosen[-1].append(pattern)
            elif not _NOT_THE_ONE.search(pattern.text.partition("def ")[0]):
                chosen.append([pattern])
        return chosen

    def node(self, pattern: Pattern, types: frozenset[str]) -> Node | None:
        """The first node of one of ``types`` from where the pattern begins."""
        stack = [self.tree(pattern.path)]
        while stack:
            node = stack.pop()
            if node.start_byte >= pattern.start_byte and node.type in types:
                return node
            stack += [n for n in reversed(node.named_children) if n.end_byte > pattern.start_byte]
        return None

    def _tree(self, path: str) -> Node:
        patterns = self.files[path]
        data = bytearray(b"\n" * max(pattern.end_byte for pattern in patterns))
        for pattern in patterns:
            data[pattern.start_byte : pattern.end_byte] = pattern.text.encode()
        return Parser(self._language(path)).parse(bytes(data)).root_node

    def _language(self, path: str) -> Language:
        name = self.files[path][0].language.replace("jsx", "javascript")
        return cast("Language", get_language(cast("SupportedLanguage", name)))


def text_of(node: Node | None) -> str:
    """The node's source; "" for no node."""
    return node.text.decode("utf-8", "replace") if node and node.text else ""
