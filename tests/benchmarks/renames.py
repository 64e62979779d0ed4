"""Do real projects pass their own tests when every function's variables have other names?

    python -m tests.benchmarks.renames [--role dev|report|all] [--only NAME] [--repos FOLDER]

Downloads each project's source distribution, or clones it (from FOLDER/NAME if that is there), into
a scratch folder; installs it in an environment of its own; runs its tests; renames in every
function of the package; runs them again. TypeScript needs node and npm. With --mutants N, N bugs
are injected one by one into the first project chosen, and counted as caught where a test that
passed before fails.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hub.curate.bugs import KINDS, Bug, inject
from hub.curate.rename import rename
from hub.curate.trees import GRAMMARS, Unsuited
from indexers.code import chunk_file, detect_language

if TYPE_CHECKING:
    from hub.types import Chunk

SEED = "benchmark"
TEST_SECONDS = 900
CLOCK = re.compile(r"\d\d:\d\d:\d\d")  # some tests are named by when they run


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project, what of it is rewritten, and how its tests are run."""

    name: str
    role: str
    sdist: str = ""  # a requirement of the package index
    url: str = ""  # or a git repository, and its commit
    commit: str = ""
    package: str
    needs: str = ""
    tests: str = "-q -p no:cacheprovider --junitxml=report.xml"


PROJECTS = (
    Project(name="click", role="dev", sdist="click==8.1.8", package="src/click"),
    Project(
        name="remeda",
        role="dev",
        url="https://github.com/remeda/remeda",
        commit="3b72f9fb6e5174243954467186301d352b742699",
        package="packages/remeda/src",
        needs="npm ci --workspace packages/remeda --ignore-scripts",
        tests="npx vitest run --root packages/remeda --project runtime --reporter=json"
        " --outputFile=../../report.json",
    ),
    Project(
        name="typedoc",
        role="report",
        url="https://github.com/TypeStrong/typedoc",
        commit="6d8c856bbb46b089371952981f113c3e318818fd",
        package="src/lib",
        needs="npm install --ignore-scripts",
        tests="npx mocha --config .config/mocha.fast.json --reporter json"
        " --reporter-option output=report.json",
    ),
    Project(
        name="marshmallow",
        role="report",
        sdist="marshmallow==3.26.1",
        package="src/marshmallow",
        needs="simplejson pytz",
    ),
    Project(
        name="attrs",
        role="report",
        sdist="attrs==25.3.0",
        package="src/attr",
        needs="hypothesis cloudpickle",
    ),
    Project(
        name="jinja2", role="report", sdist="jinja2==3.1.6", package="src/jinja2", needs="trio"
    ),
    Project(
        name="more-itertools",
        role="report",
        sdist="more-itertools==10.7.0",
        package="more_itertools",
    ),
)


@dataclass(slots=True)
class Row:
    """What was done to one project, and which of its tests passed before and after."""

    project: str
    functions: int = 0
    renamed: int = 0
    names: int = 0
    seconds: float = 0.0
    left: Counter[str] = field(default_factory=Counter)
    before: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()

    def __str__(self) -> str:
        left = ", ".join(f"{count} {reason}" for reason, count in self.left.items())
        same = bool(self.before) and self.before == self.after
        lost, new = sorted(self.before - self.after), sorted(self.after - self.before)
        return (
            f"| {self.project} | {self.functions} ({left}) | {self.names} in {self.renamed} "
            f"| {self.functions / self.seconds:.0f} | {len(self.before)} | {len(self.after)} "
            f"| {'the same' if same else f'lost {lost[:5]}, new {new[:5]}'} |"
        )


def main() -> None:
    """Print one row per project, and the mutants if they are asked for."""
    parser = argparse.ArgumentParser(description="Renames and bugs against projects' own tests.")
    parser.add_argument("--role", choices=("dev", "report", "all"), default="all")
    parser.add_argument("--only", default="")
    parser.add_argument("--repos", type=Path, default=Path("benchmarks"))
    parser.add_argument("--mutants", type=int, default=0)
    options = parser.parse_args()
    chosen = [p for p in PROJECTS if options.role in (p.role, "all")]
    chosen = [p for p in chosen if options.only in (p.name, "")]
    if options.mutants:
        with tempfile.TemporaryDirectory() as scratch:
            folder = prepare(chosen[0], Path(scratch), options.repos)
            print_mutants(chosen[0], folder, options.mutants)
        return
    print("| project | functions | new names | functions/s | tests passed | after | which |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for project in chosen:
        with tempfile.TemporaryDirectory() as scratch:
            folder = prepare(project, Path(scratch), options.repos)
            row = Row(project.name, before=run_tests(project, folder))
            rewrite(folder / project.package, row)
            row.after = run_tests(project, folder)
            print(row, flush=True)


def prepare(project: Project, scratch: Path, repos: Path) -> Path:
    """The project's files, with what its tests need installed next to them."""
    if project.url:
        folder = scratch / project.name
        mirror = repos / project.name
        run("git", "clone", "--quiet", str(mirror) if mirror.exists() else project.url, str(folder))
        run("git", "checkout", "--quiet", project.commit, cwd=folder)
        run(*project.needs.split(), cwd=folder)
        return folder
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:")
    run(*pip, "--dest", str(scratch), project.sdist)
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as archive:
        archive.extractall(scratch, filter="data")
    folder = next(path for path in scratch.iterdir() if path.is_dir())
    run(sys.executable, "-m", "venv", str(folder / ".venv"))
    install = (
        str(folder / ".venv/bin/pip"),
        "install",
        "--quiet",
        "pytest==8.4.2",
        *project.needs.split(),
    )
    run(*install, "--editable", ".", cwd=folder)
    return folder


def run(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.DEVNULL)


def run_tests(project: Project, folder: Path) -> frozenset[str]:
    """The names of the tests that pass."""
    python = (str(folder / ".venv/bin/python"), "-m", "pytest") if project.sdist else ()
    command = (*python, *project.tests.split())
    subprocess.run(command, cwd=folder, capture_output=True, timeout=TEST_SECONDS, check=False)
    if project.sdist:
        cases = ET.parse(folder / "report.xml").iter("testcase")
        passed = [f"{c.get('classname')}.{c.get('name')}" for c in cases if not len(c)]
    elif "passes" in (report := json.loads((folder / "report.json").read_text())):  # mocha
        passed = [case["fullTitle"] for case in report["passes"]]
    else:
        suites = [(suite["name"], suite["assertionResults"]) for suite in report["testResults"]]
        named = [(f"{name}: {c['fullName']}", c["status"]) for name, cs in suites for c in cs]
        passed = [name for name, status in named if status == "passed"]
    return frozenset(CLOCK.sub("", name) for name in passed)


def functions(file: Path) -> list[Chunk]:
    """All chunks of a file, functions whole."""
    language = detect_language(file.name)
    return chunk_file(file.name, file.read_bytes(), language=language, max_chars=10**9)


def sources(package: Path) -> list[Path]:
    """The package's own source files, without its tests."""
    files = [f for f in sorted(package.rglob("*")) if detect_language(f.name) in GRAMMARS]
    return [f for f in files if f.is_file() and ".test" not in f.name and "tests" not in f.parts]


def rewrite(package: Path, row: Row) -> None:
    """Rename in every function of every file, in place."""
    for file in sources(package):
        texts = []
        for chunk in functions(file):
            text = chunk.text
            if chunk.kind in ("function", "method"):
                row.functions += 1
                begin = time.process_time()
                try:
                    renamed = rename(text, chunk.language, SEED)
                    text = renamed.text
                    row.renamed += 1
                    row.names += len(renamed.mapping)
                except Unsuited as reason:
                    row.left[str(reason)] += 1
                row.seconds += time.process_time() - begin
            texts.append(text)
        file.write_bytes("".join(texts).encode())


def print_mutants(project: Project, folder: Path, count: int) -> None:
    """Inject ``count`` bugs one by one; which kinds the project's tests notice."""
    passed = run_tests(project, folder)
    found = []
    for file in sources(folder / project.package):
        for chunk in functions(file):
            if chunk.kind in ("function", "method"):
                found += [(file, chunk, bug) for bug in bugs_of(chunk)]
    sample = random.Random(SEED).sample(found, count)
    made, caught = Counter(bug.kind for _, _, bug in sample), Counter[str]()
    for file, chunk, bug in sample:
        original = file.read_bytes()
        broken = original[: chunk.start_byte] + bug.text.encode() + original[chunk.end_byte :]
        file.write_bytes(broken)
        try:
            noticed = not passed <= run_tests(project, folder)
        except (subprocess.TimeoutExpired, ET.ParseError, FileNotFoundError):
            noticed = True
        file.write_bytes(original)
        caught[bug.kind] += noticed
        if not noticed:
            print(f"survived: {file.name}: {bug.explanation}", file=sys.stderr)
    print(f"\n| bug in {project.name} | injected | caught by its tests |\n| --- | --- | --- |")
    for kind in KINDS:
        print(f"| {kind} | {made[kind]} | {caught[kind]} |")
    print(f"| all | {count} | {caught.total()} ({caught.total() / count:.0%}) |")


def bugs_of(chunk: Chunk) -> list[Bug]:
    try:
        return inject(chunk.text, chunk.language, SEED)
    except Unsuited:
        return []


if __name__ == "__main__":
    main()
