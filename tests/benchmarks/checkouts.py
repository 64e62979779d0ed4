"""The benchmark's repositories, by name, URL and commit, and their files on disk."""

from __future__ import annotations

import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("repositories.toml")
TEAMS = Path(__file__).with_name("teams.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository at one commit; `role` says whether development may look at it."""

    name: str
    url: str
    commit: str
    language: str
    role: str


def listed_repositories(role: str = "all", only: str = "", path: Path = LIST) -> list[Repository]:
    """Those of `role` (dev, report or all) in the list, or the one called `only`."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["repository"]
    listed = [Repository(**entry) for entry in entries]
    if only:
        return [repository for repository in listed if repository.name == only]
    return [repository for repository in listed if role in ("all", repository.role)]


def check_out(
    repository: Repository, *, repos: Path, folder: Path, extensions: frozenset[str]
) -> None:
    """Write the commit's files with these extensions into `folder`.

    `repos` holds one checkout or bare git directory per repository name; a missing one is cloned.
    The files come from the git objects, so neither work tree nor index of `repos` is touched.
    """
    git_dir = _git_dir(repository, repos)
    environment = os.environ | {"GIT_INDEX_FILE": str((folder / ".index").absolute())}
    folder.mkdir(parents=True, exist_ok=True)
    git = ("git", f"--git-dir={git_dir}", "-c", "core.autocrlf=false")
    subprocess.run([*git, "read-tree", repository.commit], check=True, env=environment)
    names = subprocess.run(
        [*git, "ls-files", "-z"], check=True, env=environment, capture_output=True
    ).stdout.split(b"\0")
    wanted = [name for name in names if Path(os.fsdecode(name)).suffix in extensions]
    prefix = f"--prefix={folder.absolute()}/"
    subprocess.run(
        [*git, "checkout-index", prefix, "-z", "--stdin"],
        check=True,
        env=environment,
        input=b"\0".join([*wanted, b""]),
    )
    (folder / ".index").unlink()


def _git_dir(repository: Repository, repos: Path) -> Path:
    home = repos / repository.name
    if not home.exists():
        subprocess.run(["git", "clone", "--quiet", repository.url, str(home)], check=True)
    git_dir = home / ".git" if (home / ".git").exists() else home
    probe = ["git", f"--git-dir={git_dir}", "cat-file", "-e", f"{repository.commit}^{{commit}}"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        raise ValueError(
            f"{home} lacks commit {repository.commit} of {repository.name}: "
            f"fetch it there from {repository.url}"
        )
    return git_dir.absolute()
