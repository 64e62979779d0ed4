"""Licences: known by their text, with parts left out too, and looked for as far as git reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from identify.vendor.licenses import LICENSES

from hub.curate.licences import Licence, licences_of, spdx_id

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
    assert licences_of("s", package) == [
        Licence("s", "", "")
    ]  # not what lies around the repository
    (root / "LICENSE-MIT").write_text(TEXTS["MIT"])
    (root / "COPYING").write_bytes(b"\xff\xfe nothing known")
    both = [Licence("s", "COPYING", ""), Licence("s", "LICENSE-MIT", "MIT")]
    assert licences_of("s", package) == licences_of("s", root) == both
    (package / "licence.txt").write_text(TEXTS["ISC"])
    assert licences_of("s", package) == [Licence("s", "licence.txt", "ISC")]


def test_a_source_that_is_a_file_or_gone_has_the_licence_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "UNLICENSE").write_text(TEXTS["Unlicense"])
    (tmp_path / "a.py").touch()
    for name in ("a.py", "gone"):
        assert licences_of("s", tmp_path / name) == [Licence("s", "UNLICENSE", "Unlicense")]
