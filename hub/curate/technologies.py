"""Which packages a pattern uses: the imports of its file whose names it mentions.

Imports stand in the module chunks of a file, or inside the function that needs them; both are read
through tree-sitter. The standard library is told from packages, and what the source itself defines
is neither.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from hub.curate.queries import matches, root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tree_sitter import Node

    from hub.types import Pattern


class Import(NamedTuple):
    """A name that an import binds, and the module it comes from, as the code writes it."""

    name: str
    module: str


@dataclass(frozen=True, slots=True)
class Used:
    """What a pattern imports from elsewhere: modules as written, packages, and the standard
    library's modules; sorted."""

    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    standard: tuple[str, ...] = ()


_JAVASCRIPT = """
(import_statement (import_clause [(identifier) @name (namespace_import (identifier) @name)
  (named_imports (import_specifier !alias name: (_) @name))
  (named_imports (import_specifier alias: (_) @name))]) source: (string) @module)
(variable_declarator name: [(identifier) @name (object_pattern (_) @name)]
  value: (call_expression function: (identifier) @call arguments: (arguments (string) @module))
  (#eq? @call "require"))
"""
_QUERIES = {
    "python": """
(import_statement name: [(dotted_name) @module (aliased_import (_) @module alias: (_) @name)])
(import_from_statement module_name: (_) @module
  name: [(dotted_name) @name (aliased_import alias: (_) @name)])
""",
    "typescript": _JAVASCRIPT,
    "tsx": _JAVASCRIPT,
    "javascript": _JAVASCRIPT,
    "jsx": _JAVASCRIPT,
    "go": "(import_spec name: (_)? @name path: (_) @module)",
    "rust": "(use_declaration argument: (_) @tree)",
    "java": "(import_declaration (scoped_identifier) @module)",
}
_IMPORTING = re.compile(r"\b(?:import|require|use)\b")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_HOSTS = ("github.com", "gitlab.com", "bitbucket.org", "golang.org")  # an owner, then a repository
_GO_VERSION = re.compile(r"/v\d+$|\.v\d+$")


def imports_of(text: str, language: str) -> list[Import]:
    """The imports in a piece of a file, in order; none for a language that is not read."""
    query = _QUERIES.get(language)
    root = root_of(text, language) if query and _IMPORTING.search(text) else None
    if query is None or root is None:
        return []
    found = (_imports(match, language) for match in matches(root, language, query))
    return list(dict.fromkeys(item for items in found for item in items))


def file_imports(patterns: Sequence[Pattern]) -> list[Import]:
    """The imports at the top of the file that these patterns make up."""
    glue = "".join(p.text for p in patterns if p.kind == "module")
    return imports_of(glue, patterns[0].language) if patterns else []


def used(text: str, language: str, imports: Iterable[Import], own: frozenset[str]) -> Used:
    """What ``text`` uses of its file's ``imports`` and of its own; see :func:`own_modules`."""
    names = set(_IDENTIFIER.findall(text))
    mentioned = [item for item in imports if item.name in names] + imports_of(text, language)
    modules: set[str] = set()
    packages: set[str] = set()
    standard: set[str] = set()
    for module in {item.module for item in mentioned}:
        name, is_standard = package_of(module, language)
        if not name or _bare(name) in own:
            continue
        modules.add(module)
        (standard if is_standard else packages).add(name)
    return Used(tuple(sorted(modules)), tuple(sorted(packages)), tuple(sorted(standard)))


def package_of(module: str, language: str) -> tuple[str, bool]:
    """The package that a module is of, and whether that is the standard library; "" for a module
    of the same project."""
    if language == "python":
        top = module.partition(".")[0]
        return _known()["python"].get(top, top), top in sys.stdlib_module_names
    if language == "go":
        parts = module.split("/")
        depth = 3 if parts[0] in _HOSTS else 2
        name = _GO_VERSION.sub("", "/".join(parts[:depth]))
        return (name, False) if "." in parts[0] else (module, True)
    if language == "rust":
        top = module.partition("::")[0]
        return ("" if top in ("crate", "self", "super") else top), top in ("std", "core", "alloc")
    if language == "java":
        parts = [part for part in module.split(".") if part.islower()]
        return ".".join(parts[:3]), parts[:1] in (["java"], ["javax"])
    top, _, rest = module.removeprefix("node:").partition("/")
    if not top or top[0] in ".#~" or (top == "@" and rest):
        return "", False
    if module.startswith("node:") or top in _known()["node"]:
        return top, True
    return (f"{top}/{rest.partition('/')[0]}" if top[0] == "@" else top), False


def own_modules(source: str, paths: Iterable[str]) -> frozenset[str]:
    """What imports call the source itself: its name, and its top-level Python packages."""
    python = [PurePosixPath(path) for path in paths if path.endswith(".py")]
    packages = {path.parent for path in python if path.name == "__init__.py"}
    tops = {folder.name for folder in packages if folder.parent not in packages}
    scripts = {path.stem for path in python if path.parent.name in ("", "src")}
    return frozenset({_bare(name) for name in {source, *tops, *scripts}})


def _bare(name: str) -> str:
    return name.rpartition("/")[2].lower().replace("-", "_")


def _imports(match: dict[str, list[Node]], language: str) -> Iterator[Import]:
    if language == "rust":
        yield from _rust(_text(match["tree"][0]), "")
        return
    module = _text(match["module"][0]).strip("\"'`")
    names = [_text(node) for node in match.get("name", [])]
    if language == "python" and module.startswith("."):
        return
    if not names:
        names = [_bound(module, language)]
    for name in names:
        yield Import(name, module)


def _bound(module: str, language: str) -> str:
    """The name under which a module is known that is imported whole."""
    if language == "python":
        return module.partition(".")[0]
    if language == "go":
        return _GO_VERSION.sub("", module).rpartition("/")[2].removeprefix("go-")
    return module.rpartition(".")[2]


def _rust(tree: str, prefix: str) -> Iterator[Import]:
    """The names of a use tree, such as ``std::{fmt, io::Read as R}``."""
    head, brace, rest = tree.partition("{")
    if brace:
        for part in _split(rest.rpartition("}")[0]):
            yield from _rust(part.strip(), prefix + "".join(head.split()))
        return
    path, _, alias = tree.partition(" as ")
    path = prefix + path.strip()
    path = path.removesuffix("::self").removesuffix("::*")
    yield Import(alias.strip() or path.rpartition("::")[2], path)


def _split(text: str) -> Iterator[str]:
    """Parts between the commas that are in no braces."""
    depth = start = 0
    for at, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if char == "," and not depth:
            yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def _text(node: Node) -> str:
    return node.text.decode("utf-8", "replace") if node.text else ""


@cache
def _known() -> dict[str, Any]:
    """Node's own modules, and Python packages that are imported under another name."""
    return tomllib.loads((files("hub.curate") / "packages.toml").read_text(encoding="utf-8"))
