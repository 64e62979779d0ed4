"""The wheel: what a user installs imports and answers from a clean folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hub", "indexers", "training", "space_app")
pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what the repository holds, so that the build leaves nothing in it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", target)
    run("-m", "pip", "wheel", "--quiet", *options, source, cwd=target)
    (found,) = target.glob("pattern_hub-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--target", target)
    run("-m", "pip", "install", "--quiet", *options, wheel, cwd=target)
    return target


def test_the_wheel_holds_our_packages_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} <= set(PACKAGES)
    missing = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".toml"}  # hub/curate/forbidden.toml among them
    }.difference(names)
    assert not missing
    assert any(name.endswith("LICENSE") for name in names)


def test_the_installed_package_imports_from_where_it_was_installed(
    installed: Path, tmp_path: Path
) -> None:
    program = "import hub, indexers.code; print(hub.__file__); hub.Hub"
    printed = run("-c", program, cwd=tmp_path, PYTHONPATH=str(installed))
    assert Path(printed.strip()).is_relative_to(installed)


def test_the_installed_command_shows_its_help_and_version(installed: Path, tmp_path: Path) -> None:
    script = installed / "bin/patternhub"
    env = {"PYTHONPATH": str(installed)}
    assert "index" in run(script, "--help", cwd=tmp_path, **env)
    version = run(script, "--version", cwd=tmp_path, **env)
    assert version.strip() == f"patternhub, version {wheel_version(installed)}"


def wheel_version(installed: Path) -> str:
    (info,) = installed.glob("pattern_hub-*.dist-info")
    return info.name.removesuffix(".dist-info").partition("-")[2]
