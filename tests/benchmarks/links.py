"""The links benchmark: do tests link to the functions that they call?

    python -m tests.benchmarks.links [--role dev|report|all] [--only NAME] [--work FOLDER]

Each project's source distribution is installed into an environment of its own and its tests run
under a tracer (own_frame.py), which writes down what each test calls from its own frame. The links
of the patterns of the same files are held against that. Needs a package index.

    python -m tests.benchmarks.links --speed

Links 100,000 patterns, of which 30,000 are tests: the dev projects under many names.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from hub.curate.linking import in_test_file, is_test, link_tests
from hub.types import CHUNK_FIELDS, Pattern
from indexers.code import chunk_file
from indexers.files import list_files, read_source

HEAD = (
    "| project | tests | calls from their frames | links | precision | ran at all | recall "
    "| classes not judged | seconds |\n" + "| --- " * 9 + "|"
)
SPEED = (100_000, 30_000)  # patterns, tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A distribution at one version, and what its tests need."""

    requirement: str
    role: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


PROJECTS = (
    Tested(requirement="click==8.5.1", role="dev"),
    Tested(
        requirement="requests==2.34.2",
        role="dev",
        needs=("pytest-httpbin", "pytest-mock", "trustme", "PySocks", "httpbin~=0.10.0"),
        arguments=("--deselect=tests/test_requests.py::TestTimeout",),  # of a host far away
    ),
    Tested(requirement="jinja2==3.1.6", role="dev", needs=("trio",)),
    Tested(requirement="toolz==1.2.0", role="dev"),
    Tested(requirement="attrs==26.1.0", role="dev", needs=("hypothesis", "cloudpickle")),
    Tested(
        requirement="httpx==0.28.1",
        role="dev",
        needs=(
            *("trio", "chardet", "uvicorn", "trustme", "cryptography", "typing_extensions"),
            *("brotli", "h2", "socksio", "zstandard", "click", "pygments", "rich"),
        ),
    ),
    Tested(requirement="marshmallow==4.4.0", role="dev", needs=("simplejson",)),
    Tested(requirement="more-itertools==11.2.1", role="report"),
    Tested(
        requirement="werkzeug==3.1.9",
        role="report",
        needs=("cffi", "cryptography", "ephemeral-port-reserve", "pytest-timeout", "watchdog"),
        arguments=("--ignore=tests/test_serving.py",),  # starts servers
    ),
    Tested(
        requirement="scrapy==2.19.0",
        role="report",
        needs=("pexpect", "psutil", "pyftpdlib", "pytest-timeout", "pytest-twisted", "sybil"),
        # without those that start processes and servers, which take an hour
        arguments=(
            *("tests", "--timeout=60", "--ignore-glob=*crawl*", "--ignore-glob=*command*"),
            *("--ignore-glob=*download*", "--ignore-glob=*engine*", "--ignore-glob=*feed*"),
        ),
    ),
)


def main() -> None:
    """Print one Markdown row for each project."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", choices=("dev", "report", "all"), default="dev")
    parser.add_argument("--only", default="")
    parser.add_argument("--work", type=Path, help="keep environments here, and use them again")
    parser.add_argument("--wrong", type=int, default=0, help="show so many errors of each kind")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (options.work or Path(scratch)).absolute()
        chosen = [
            project
            for project in PROJECTS
            if options.only in ("", project.name) and options.role in ("all", project.role)
        ]
        if options.speed:
            print(_speed([_patterns(_source(project, work)) for project in chosen]))
            return
        print(HEAD)
        for project in chosen:
            folder = _source(project, work)
            print(_row(project.name, folder, _truth(project, folder, work), options.wrong))


def _source(project: Tested, work: Path) -> Path:
    """The unpacked source distribution."""
    folder = work / project.name
    if not folder.exists():
        archives = work / "archives" / project.name
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
        subprocess.run([*pip, "--dest", archives, project.requirement], check=True)
        with tarfile.open(next(archives.iterdir())) as archive:
            archive.extractall(folder.with_suffix(".new"), filter="data")
        next(folder.with_suffix(".new").iterdir()).rename(folder)
    return folder


def _truth(project: Tested, folder: Path, work: Path) -> dict[str, list]:
    """What own_frame.py wrote while the project's tests ran."""
    written, home = work / f"{project.name}.json", work / f"{project.name}-env"
    if not written.exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", folder, "pytest", *project.needs], check=True)
        plugins = work / "plugins"
        plugins.mkdir(exist_ok=True)
        shutil.copy(Path(__file__).with_name("own_frame.py"), plugins)
        pytest = [home / "bin" / "python", "-m", "pytest", "-q", "-p", "own_frame", "-W", "ignore"]
        subprocess.run(
            [*pytest, *project.arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(plugins), "OWN_FRAME": str(written)},
            check=False,  # tests that fail are not judged
            stdout=sys.stderr,
        )
    return json.loads(written.read_text())


def _patterns(folder: Path) -> list[Pattern]:
    patterns = []
    for entry in list_files(folder).files:
        data = read_source(folder, entry)
        for chunk in chunk_file(entry.path, data) if isinstance(data, bytes) else ():
            fields = {name: getattr(chunk, name) for name in CHUNK_FIELDS}
            place = f"{chunk.path}:{chunk.start_line}:{chunk.symbol}:{chunk.part}"
            patterns.append(Pattern(**fields, id=place, source=folder.name))
    return patterns


class _Places:
    """Which pattern a traced function or class is."""

    def __init__(self, folder: Path, patterns: list[Pattern]) -> None:
        self.root = f"{folder.resolve()}/"
        self.classes = {(p.path, p.symbol): p for p in patterns if p.kind == "class" and p.part < 2}
        self.functions = defaultdict(list)
        for p in patterns:
            if p.kind in ("function", "method") and p.part < 2:
                self.functions[p.path, p.symbol.rpartition(".")[2]].append(p)

    def find(self, place: list) -> Pattern | None:
        """``[file, line, name]`` of a function, or ``[file, qualified name]`` of a class."""
        path = place[0].removeprefix(self.root)
        if len(place) == 2:
            return self.classes.get((path, place[1]))
        near = (
            p
            for p in self.functions.get((path, place[2]), ())
            if p.start_line <= place[1] <= p.end_line
        )
        return next(near, None)

    def of(self, places: list[list]) -> set[str]:
        found = (self.find(place) for place in places)
        return {p.id for p in found if p is not None and not in_test_file(p)}


def _row(name: str, folder: Path, truth: dict[str, list], wrong: int) -> str:
    patterns = _patterns(folder)
    places = _Places(folder, patterns)
    started = time.perf_counter()
    links = link_tests(patterns)
    seconds = time.perf_counter() - started
    # A class without a constructor in Python leaves no frame; a constructor counts for its class.
    silent = places.of(truth["silent"])
    parts = {p.id for p in patterns if p.part > 1 or p.symbol.endswith(".__init__")}
    linked = defaultdict(set)
    for target, tests in links.items():
        for test in tests if target not in silent | parts else ():
            linked[test].add(target)
    judged = [(p.id, entry) for entry in truth["tests"] if (p := places.find(entry["test"]))]
    missed: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    right = ran = 0
    for test, entry in judged:
        called = places.of(entry["direct"]) - silent
        right += len(linked[test] & called)
        ran += len(linked[test] & (places.of(entry["ran"]) | called))
        missed.update(called - linked[test])
        extra.update(linked[test] - called)
    given, wanted = right + extra.total(), right + missed.total()
    for title, counts in (("missed", missed), ("not called", extra)):
        for target, count in counts.most_common(wrong):
            print(f"{title} {count} {target}", file=sys.stderr)
    return (
        f"| {name} | {len(judged)} of {len(truth['tests'])} | {wanted} | {given} "
        f"| {right / given:.3f} | {ran / given:.3f} | {right / wanted:.3f} "
        f"| {len(silent & links.keys())} | {seconds:.1f} |"
    )


def _speed(projects: list[list[Pattern]]) -> str:
    """Seconds to link as many patterns and tests as wanted, each project under several names."""
    tests: list[Pattern] = []
    others: list[Pattern] = []
    copy = 0
    while len(tests) < SPEED[1] or len(others) < SPEED[0] - SPEED[1]:
        for patterns in projects:
            named = [replace(p, source=f"{p.source}{copy}", id=f"{copy}/{p.id}") for p in patterns]
            tests += [p for p in named if is_test(p)]
            others += [p for p in named if not is_test(p)]
        copy += 1
    chosen = tests[: SPEED[1]] + others[: SPEED[0] - SPEED[1]]
    started, used = time.perf_counter(), time.process_time()
    links = link_tests(chosen)
    seconds, used = time.perf_counter() - started, time.process_time() - used
    pairs = sum(map(len, links.values()))
    return (
        f"{len(chosen)} patterns, {SPEED[1]} tests: {pairs} links in {seconds:.1f} s,"
        f" {used:.1f} s of one core"
    )


if __name__ == "__main__":
    main()
