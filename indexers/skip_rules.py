"""Which files are not a team's own code: by name, by folder and by content.

Each rule returns a short stable reason, which ends up in the report's counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

# fmt: off
# Other people's code and tool caches. Not dist or build: teams keep sources under these names,
# and where they are output they are ignored by git or recognised as generated or minified.
VENDORED_FOLDERS = frozenset({
    "node_modules", "bower_components", "jspm_packages", "vendor", "third_party", "third-party",
    "thirdparty", "site-packages", ".venv", "virtualenv", "_vendor", ".tox", ".nox", ".eggs",
    "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".gradle",
    ".terraform", ".next", ".nuxt", ".svelte-kit", ".yarn", ".bundle", "Pods", "Carthage",
    ".hg", ".svn", ".jj",
})
_LOCK_FILES = frozenset({
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock",
    "bun.lockb", "deno.lock", "poetry.lock", "pdm.lock", "uv.lock", "pipfile.lock", "pixi.lock",
    "conda-lock.yml", "cargo.lock", "gemfile.lock", "composer.lock", "go.sum", "go.work.sum",
    "mix.lock", "pubspec.lock", "podfile.lock", "cartfile.resolved", "package.resolved",
    "packages.lock.json", "gradle.lockfile", "flake.lock", ".terraform.lock.hcl",
    "module.bazel.lock",
})
_GENERATED_SUFFIXES = (
    "_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi", ".pb.go", ".pb.gw.go", ".pb.cc",
    ".pb.h", ".pb.swift", "_pb.js", "_pb.ts", "_pb.d.ts", "_grpc_pb.js", ".g.dart",
    ".freezed.dart", ".designer.cs", ".g.cs", ".snap", ".ambr",
)
_MINIFIED_NAME = re.compile(r"[.-]min\.(?:js|mjs|cjs|css)$")
_DATA_SUFFIXES = frozenset({
    ".csv", ".tsv", ".psv", ".jsonl", ".ndjson", ".geojson", ".svg", ".po", ".pot", ".xlf",
    ".xliff", ".map",
})
# fmt: on
_DATA_IF_LARGE = frozenset({".json", ".json5", ".xml"})
_LARGE = 100_000
_API_DESCRIPTION = re.compile(r"openapi|swagger|asyncapi")

_HEAD_LINES = 40
_HEAD_BYTES = 4096
_COMMENT = re.compile(rb"""\s*(?:\#|//|/\*|\*|--|;|%|<!--|"{3}|'{3}|\{-|\(\*|@?rem\b)""", re.I)
_GENERATED_TAG = re.compile(rb"(?<![\w@.\"'`-])@generated\b")
_GENERATED_WORD = re.compile(rb"generated", re.IGNORECASE)
_DO_NOT_EDIT = re.compile(rb"do(?: not|n't) (?:edit|modify|change)", re.IGNORECASE)
_NEARBY_LINES = 3
_MINIFIABLE = frozenset({".js", ".mjs", ".cjs", ".css"})
_MINIFIED_LINE_AVERAGE = 250
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def vendored_folders(include: Iterable[str]) -> frozenset[str]:
    """The folder names to leave out, less those that an include pattern names."""
    named = {segment for pattern in include for segment in pattern.split("/")}
    return VENDORED_FOLDERS - named


def reason_by_name(path: str) -> str | None:
    """Why a path is not source code, from its name alone."""
    name = path[path.rfind("/") + 1 :].lower()
    if name in _LOCK_FILES or name.endswith(_GENERATED_SUFFIXES):
        return "generated"
    if name.startswith("zz_generated.") and name.endswith(".go"):
        return "generated"
    if _MINIFIED_NAME.search(name):
        return "minified"
    return "data" if _suffix(name) in _DATA_SUFFIXES else None


def reason_by_size(path: str, size: int) -> str | None:
    """Large JSON and XML is data, unless its name says that it describes an API."""
    if size <= _LARGE or _suffix(path).lower() not in _DATA_IF_LARGE:
        return None
    return None if _API_DESCRIPTION.search(path.lower()) else "data"


def reason_not_text(content: bytes) -> str | None:
    """Why content cannot be indexed at all: no include pattern changes that."""
    if content.startswith(_UTF16_MARKS):
        return "not-utf8"
    if b"\0" in content:
        return "binary"
    if content.startswith(_LFS_POINTER):
        return "lfs-pointer"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "not-utf8"
    return None


def reason_by_content(path: str, content: bytes) -> str | None:
    """Why text is not worth indexing although its name looks like source code."""
    if PurePosixPath(path).suffix.lower() in _MINIFIABLE and _is_minified(content):
        return "minified"
    return "generated" if _is_marked_generated(content) else None


def _suffix(name: str) -> str:
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def _is_minified(content: bytes) -> bool:
    lines = [line for line in content.splitlines() if line.strip()]
    return len(content) > _MINIFIED_LINE_AVERAGE * max(1, len(lines))


def _is_marked_generated(content: bytes) -> bool:
    """A generator's mark in the comments at the top: ``@generated``, or "generated, do not edit".

    Only comments count, and the two halves of the second mark must stand close together, so that
    code which merely handles such marks is kept.
    """
    head = content[:_HEAD_BYTES].splitlines()[:_HEAD_LINES]
    comments = [(number, line) for number, line in enumerate(head) if _COMMENT.match(line)]
    if any(_GENERATED_TAG.search(line) for _, line in comments):
        return True
    warned = [number for number, line in comments if _DO_NOT_EDIT.search(line)]
    named = [number for number, line in comments if _GENERATED_WORD.search(line)]
    return any(abs(one - other) <= _NEARBY_LINES for one in warned for other in named)
