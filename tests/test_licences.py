"""Licences: known by their text, with parts left out too, and looked for as far as git reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from identify.vendor.licenses import LICENSES

from hub.curate.licences import Licence, licences_of, spdx_id, told

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = dict(LICENSES)


@pytest.mark.parametrize("spdx", TEXTS)
def test_every_known_licence_is_told_from_the_others(spdx: str) -> None:
    assert spdx_id(TEXTS[spdx]) == spdx
    words = TEXTS[spdx].split()
    lines = [" ".join(words[i : i + 9]) for i in range(0, len(words), 9)]
    assert spdx_id("Copyright (c) 2021, Jane and others\n\n" + "\n  ".join(lines)) == spdx


def test_a_licence_without_its_appendix_and_one_among_others_are_known() -> None:
    apache = TEXTS["Apache-2.0"]
    assert spdx_id(apache[: apache.index("APPENDIX")]) == "Apache-2.0"
    others = " ".join(f"clause {i} of terms nobody has seen" for i in range(400))
    assert spdx_id(f"The code is under the MIT licence:\n{TEXTS['MIT']}\n{others}") == "MIT"


@pytest.mark.parametrize("text", ["", "MIT", "All rights reserved. " * 50, "\x00" * 100])
def test_what_is_no_known_licence_has_no_id(text: str) -> None:
    assert spdx_id(text) == ""


def test_the_nearest_licence_files_up_to_the_git_root_are_those_of_a_source(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(TEXTS["GPL-3.0"])
    root = tmp_path / "repository"
    package = root / "src/package"
    package.mkdir(parents=True)
    (root / ".git").mkdir()
    assert licences_of(package) == []  # not what lies around the repository
    (root / "LICENSE-MIT").write_text(TEXTS["MIT"])
    (root / "COPYING").write_bytes(b"\xff\xfe nothing known")
    both = [Licence("COPYING", ""), Licence("LICENSE-MIT", "MIT")]
    assert licences_of(package) == licences_of(root) == both
    (package / "licence.txt").write_text(TEXTS["ISC"])
    assert licences_of(package) == [Licence("licence.txt", "ISC")]


def test_a_source_that_is_a_file_or_gone_has_the_licence_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "UNLICENSE").write_text(TEXTS["Unlicense"])
    (tmp_path / "a.py").touch()
    for name in ("a.py", "gone"):
        assert licences_of(tmp_path / name) == [Licence("UNLICENSE", "Unlicense")]


@pytest.mark.parametrize(
    ("name", "text", "spdx"),
    [
        ("pyproject.toml", '[project]\nlicense = "MIT OR Apache-2.0"\n', "MIT OR Apache-2.0"),
        ("pyproject.toml", '[project]\nlicense = {text = "BSD-3-Clause"}\n', "BSD-3-Clause"),
        ("pyproject.toml", '[project]\nlicense = {file = "README"}\n', ""),
        ("pyproject.toml", "[tool.x]\n", ""),
        ("Cargo.toml", '[package]\nlicense = "MPL-2.0"\n', "MPL-2.0"),
        ("package.json", '{"license": "ISC"}', "ISC"),
        ("package.json", '["ISC"]', ""),
        ("package.json", "{broken", ""),
    ],
)
def test_where_no_licence_file_is_known_the_manifest_says_it(
    tmp_path: Path, name: str, text: str, spdx: str
) -> None:
    (tmp_path / name).write_text(text)
    assert licences_of(tmp_path) == ([Licence(name, spdx)] if spdx else [])
    (tmp_path / "LICENSE").write_text("All rights reserved.")
    assert told(licences_of(tmp_path)) == (spdx or "unknown: LICENSE")
    (tmp_path / "LICENSE").write_text(TEXTS["0BSD"])
    assert told(licences_of(tmp_path)) == "0BSD"
