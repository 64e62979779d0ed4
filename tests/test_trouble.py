"""What goes wrong in the field: each a clear error or a counted skip, and nothing is lost."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hub import Hub, HubError
from hub.sources import list_source
from hub.store.encoders import Encoders
from tests.conftest import WordEncoder, age, driver, git, word_encoders, write_tree

KILLS = 20
slow = functools.partial(pytest.param, marks=pytest.mark.slow)
STUCK = 120  # seconds after which a subprocess counts as hanging


class Command:
    """The command line in processes of its own, with deterministic encoders."""

    def __init__(self, folder: Path) -> None:
        self.script = driver(folder)
        self.folder = folder

    def start(self, *arguments: str | bytes | Path, session: bool = False) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.script), *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, text=True, start_new_session=session,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str | bytes | Path) -> tuple[int, str, str]:
        """(exit status, output, errors); no answer ever holds a traceback."""
        return finished(self.start(*arguments))


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=STUCK)
    assert "Traceback" not in out + err, err
    return process.returncode, out, err.removeprefix("ready\n")


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def contents(hub: Hub) -> dict[str, tuple]:
    """Both collections by id: pattern, fast vector, best vector."""
    store = hub.workspace.store
    best = {i: v for ids, vectors in store.best_pages() for i, v in zip(ids, vectors, strict=True)}
    found = {
        p.id: (p, fast, best[p.id])
        for patterns, vectors in store.pages()
        for p, fast in zip(patterns, vectors, strict=True)
    }
    assert set(best) == set(found)
    return found


def assert_same(one: dict[str, tuple], other: dict[str, tuple]) -> None:
    """Same ids, texts and metadata; vectors agree to cosine .995."""
    assert one.keys() == other.keys()
    for id_, (pattern, *vectors) in one.items():
        assert pattern == other[id_][0]
        for mine, theirs in zip(vectors, other[id_][1:], strict=True):
            assert float(mine @ theirs) >= 0.995


def clean_build(folder: Path, *sources: Path) -> dict[str, tuple]:
    folder.mkdir()
    hub = Hub.open(folder, encoders=word_encoders())
    hub.index(sources)
    return contents(hub)


def assert_sound(hub: Hub, expected: dict[str, tuple]) -> None:
    """Complete, equal to a clean build, and searchable as one."""
    status = hub.status()
    assert (status.writing, status.tier, status.patterns) == (False, "best", len(expected))
    assert_same(contents(hub), expected)
    rows = hub.retriever.current().snapshot.rows
    assert {id_.decode() for id_ in rows.ids} == expected.keys()
    for id_, best in zip(rows.ids, rows.best, strict=True):
        assert float(best @ expected[id_.decode()][2]) >= 0.995


# --- paths and files


@pytest.mark.parametrize(
    "location",
    ["missing", "loop", "dangling", "~nobody-of-that-name/x", "pipe", b"caf\xe9", "--option"],
)
def test_a_path_that_cannot_be_indexed_is_an_error_that_names_it(
    command: Command, tmp_path: Path, location: str | bytes
) -> None:
    (tmp_path / "loop").symlink_to("loop2")
    (tmp_path / "loop2").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))).mkdir()
    status, out, err = command.run("index", "--", location)
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    shown = {"dangling": "nowhere", b"caf\xe9": r"caf\udce9"}.get(location, location)
    assert str(shown) in err


@pytest.mark.parametrize("location", ["bad\0name", "~nobody-of-that-name"])
def test_a_hub_is_not_opened_where_no_folder_can_be(location: str) -> None:
    with pytest.raises(HubError, match="is not a folder"):
        Hub.open(location)


def test_a_path_with_a_null_byte_is_refused(hub: Hub) -> None:
    with pytest.raises(HubError, match="cannot be a source"):
        hub.index(["bad\0name"])


def test_an_unreadable_folder_is_an_error(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "secret")
    folder.chmod(0)
    try:
        if os.access(folder, os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(HubError, match="secret cannot be read"):
            Hub.open(tmp_path, encoders=word_encoders()).index([folder])
    finally:
        folder.chmod(0o700)


def test_an_empty_folder_and_a_repository_without_commits_are_indexed(
    hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("bare-init", "uncommitted"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q", "-b", "main")
    (tmp_path / "uncommitted/a.py").write_text("def a():\n    return 1\n")
    sources = [tmp_path / name for name in ("empty", "bare-init", "uncommitted")]
    assert hub.index(sources).patterns_total == 1
    assert hub.search("a")[0].pattern.source == "uncommitted"
    assert {s.name: s.patterns for s in hub.status().sources} == {
        "empty": 0, "bare-init": 0, "uncommitted": 1,
    }  # fmt: skip


def test_files_that_are_no_source_are_counted_and_the_rest_is_indexed(hub: Hub, tree: Path) -> None:
    (tree / "binary.py").write_bytes(bytes(range(256)) * 8)
    (tree / "latin.py").write_bytes("s = 'caf\xe9'\n".encode("latin-1"))
    with (tree / "huge.py").open("wb") as file:
        file.truncate(50_000_000)
    (tree / "one_line.py").write_text("x = [" + "1, " * 200_000 + "]\n")
    (tree / "broken.py").symlink_to("nowhere")
    (tree / "around").symlink_to(".")
    (tree / "circle.py").symlink_to("circle.py")
    (tree / "new\nline.py").write_text("def in_a_file_with_a_newline():\n    return 1\n")
    os.mkfifo(tree / "pipe.py")
    started = time.monotonic()
    report = hub.index([tree])
    assert time.monotonic() - started < 30
    assert report.files_added >= 6
    assert report.skipped.pop("symlink", 0) + report.skipped.pop("symlink-outside", 0) == 1
    assert report.skipped.pop("special-file") == 1
    assert report.skipped["broken-symlink"] == 2
    assert (
        report.skipped["binary"] == report.skipped["not-utf8"] == report.skipped["too-large"] == 1
    )
    assert hub.search("in_a_file_with_a_newline")[0].pattern.path == "new\nline.py"
    one_line = "one_line.py"
    skipped = {path for _, path, _ in hub.status().skipped_files}
    assert (one_line in skipped) != bool(hub.search("x", path=one_line))


def test_a_name_with_a_newline_or_an_escape_stays_on_its_line(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "a\nb\x1b[31m.py").write_text("def odd_name():\n    return 1\n")
    (folder / "c\nd.bin").write_bytes(b"\0" * 10)
    assert command.run("index", folder)[0] == 0
    out = command.run("search", "odd_name")[1]
    assert "a?b?[31m.py:1-2" in out
    assert "\x1b" not in out
    assert "c?d.bin" in command.run("status", "--skipped")[1]


def test_a_source_given_twice_is_indexed_once(hub: Hub, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    report = hub.index([tree, f"{tree}/", tmp_path / "link", tree / "src/.."])
    assert report.sources == ["tree"]
    assert report.patterns_total == hub.status().patterns


def test_a_touched_tree_leaves_no_run_behind(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    report = hub.index()  # every file is too young to be trusted, and the same
    assert (report.files_changed, report.files_unchanged) == (0, 5)
    assert not hub.status().writing


def test_rows_without_a_record_go_with_their_file(hub: Hub, tree: Path, tmp_path: Path) -> None:
    hub.index([tree])
    (hub.workspace.store_folder / "manifest.db").unlink()
    (tree / "src/retry.py").unlink()
    hub = Hub.open(hub.workspace.folder, encoders=word_encoders())
    hub.index([tree])
    assert_sound(hub, clean_build(tmp_path / "clean", tree))


class Killed(BaseException):
    """Stands for SIGKILL at one place: nothing in the code catches it."""


@pytest.mark.parametrize("verb", ["index", "forget"])
@pytest.mark.parametrize("place", ["Manifest.put_files", "PatternStore.delete", "PatternStore.add"])
@pytest.mark.parametrize("change", ["rewritten", "deleted"])
def test_a_kill_between_rows_and_records_is_no_loss_when_the_tree_is_as_before(
    hub: Hub, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    verb: str, place: str, change: str,
) -> None:  # fmt: skip
    """A record must never say that rows are there which a killed run had already removed."""
    age(tree)
    hub.index([tree])
    before = contents(hub)
    retry = tree / "src/retry.py"
    original, times = retry.read_bytes(), retry.stat()
    if change == "deleted":
        retry.unlink()
    else:
        retry.write_text("def something_else_entirely():\n    return 1\n")
    name = place.partition(".")[2]
    owner = "hub.store.manifest" if place.startswith("Manifest") else "hub.store.chroma"
    real = getattr(getattr(sys.modules[owner], place.partition(".")[0]), name)

    def done_then_killed(*arguments: object) -> None:
        if name != "put_files":
            real(*arguments)
        raise Killed

    monkeypatch.setattr(f"{owner}.{place}", done_then_killed)
    with contextlib.suppress(Killed):
        hub.forget(tree.name) if verb == "forget" else hub.index([tree])
    monkeypatch.undo()
    retry.write_bytes(original)
    os.utime(retry, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    again.index([tree])
    assert contents(again).keys() == before.keys()


def test_files_that_swap_names_are_noticed(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "swap"
    folder.mkdir()
    one, two, spare = (folder / name for name in ("one.py", "two.py", "spare"))
    one.write_text("def alpha():\n    return 1\n")
    two.write_text("def gamma():\n    return 2\n")
    age(folder)
    os.utime(two, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns))
    hub.index([folder])
    one.rename(spare), two.rename(one), spare.rename(two)
    hub.index([folder])
    assert hub.search("gamma")[0].pattern.path == "one.py"


def test_a_source_without_a_record_can_be_forgotten(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    (hub.workspace.store_folder / "manifest.db").unlink()
    assert hub.forget("tree").patterns_removed > 5
    assert hub.status().patterns == 0


def test_a_vector_cache_or_manifest_that_is_damaged_is_named(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    for name in ("vectors.db", "manifest.db"):
        path = hub.workspace.store_folder / name
        for part in path.parent.glob(f"{name}-*"):
            part.unlink()
        path.write_bytes(b"no database, but long enough to be one " * 100)
        with pytest.raises(HubError, match=f"{name} cannot be used.*delete it and index again"):
            Hub.open(hub.workspace.folder, encoders=word_encoders()).index([tree])
        path.unlink()
        assert (
            Hub.open(hub.workspace.folder, encoders=word_encoders()).index([tree]).patterns_added
            == 0
        )


@pytest.mark.parametrize("damage", ["truncate", "garbage"])
def test_a_damaged_store_is_an_error_without_a_traceback(
    command: Command, tree: Path, tmp_path: Path, damage: str
) -> None:
    assert command.run("index", tree)[0] == 0
    path = tmp_path / ".patternhub/chroma/chroma.sqlite3"
    path.write_bytes(path.read_bytes()[:3000] if damage == "truncate" else b"garbage" * 20_000)
    for verb in (["search", "retry"], ["status"], ["index", tree]):
        status, out, err = command.run(*verb)
        assert (status, out) == (2, "")
        assert "cannot be opened" in err


def test_damaged_derived_columns_are_built_again(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    expected = [hit.pattern.id for hit in hub.search("retry", limit=50)]
    (generation,) = hub.workspace.derived.iterdir()
    for name, content in (("rows.best.npy", b""), ("names.json", b"{"), ("rows.ids.npy", b"\x93")):
        (generation / name).write_bytes(content)
        again = Hub.open(hub.workspace.folder, encoders=word_encoders())
        assert [hit.pattern.id for hit in again.search("retry", limit=50)] == expected


def test_a_search_works_where_nothing_can_be_written(
    hub: Hub, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.index([tree])
    shutil.rmtree(hub.workspace.derived)
    hub.workspace.derived.write_text("a file where the folder should be")
    again = Hub.open(hub.workspace.folder, encoders=word_encoders())
    assert again.search("retry_with_backoff")[0].pattern.symbol == "retry_with_backoff"


# --- models, versions, configuration


@pytest.mark.parametrize("dimension", [48, 64])
def test_another_best_model_beside_the_same_fast_one_is_refused_and_filled_anew(
    hub: Hub, tree: Path, dimension: int
) -> None:
    hub.index([tree])
    fast = hub.workspace.encoders.fast
    other = Hub.open(
        hub.workspace.folder, encoders=Encoders(fast=fast, best=WordEncoder("other", dimension))
    )
    for look in (lambda: other.search("retry"), other.status):
        with pytest.raises(HubError, match=r"model 'words'.*'other'.*patternhub index"):
            look()
    report = other.index()
    assert (report.patterns_added, report.embedded) == (0, report.patterns_total)
    assert other.search("retry with backoff")[0].tier == "best"
    assert all(v.shape[1] == dimension for _, v in other.workspace.store.best_pages())
    with pytest.raises(HubError, match=r"model 'other'.*'words'"):
        Hub.open(hub.workspace.folder, encoders=word_encoders()).search("retry")


def test_a_store_of_another_version_is_refused_and_untouched(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    before = contents(hub)
    hub.workspace.store.set_state(schema=99)
    for encoders in (word_encoders(), word_encoders("others")):
        other = Hub.open(hub.workspace.folder, encoders=encoders)
        for act in (lambda hub: hub.index([tree]), lambda hub: hub.forget("tree")):
            with pytest.raises(HubError, match=r"schema 99.*reads schema 2"):
                act(other)
    hub.workspace.store.set_state(schema=2)
    assert_same(contents(hub), before)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[serch]\nlimit = 3\n", r"unknown key 'serch'; did you mean 'search'\?"),
        ("[search]\nlimits = 3\n", r"unknown key 'search.limits'; did you mean 'limit'\?"),
        ("[search]\nqqqq = 3\n", r"unknown key 'search.qqqq'; known keys: mode, limit"),
        ("[search]\nlimit = 0\n", r"search.limit = 0: .*greater than or equal to 1"),
        ("[search]\nmode = 'hybird'\n", r"search.mode = 'hybird': .*'hybrid'"),
        ("sources = 'src'\n", r"sources = 'src': .*list"),
        ("[search\n", r"hub.toml is not valid TOML"),
        ("\xff", r"hub.toml cannot be read"),
    ],
)
def test_a_wrong_hub_toml_is_explained(
    command: Command, tmp_path: Path, toml: str, message: str
) -> None:
    (tmp_path / "hub.toml").write_bytes(toml.encode("latin-1"))
    with pytest.raises(HubError, match=message):
        Hub.open(tmp_path)
    if toml.startswith("[serch]"):
        for verb in (["search", "x"], ["index", "."], ["status"]):
            status, out, err = command.run(*verb)
            assert (status, out) == (2, "")
            assert "did you mean 'search'?" in err


# --- git URLs


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch {trap}'",
        "https::ext::sh -c 'touch {trap}'",
        "ssh://-oProxyCommand=touch {trap}/x",
        "file://{remote}\n--upload-pack=touch {trap}",
        "fd::17/x",
    ],
)
def test_a_url_that_smuggles_a_command_is_refused_and_runs_nothing(
    command: Command, tmp_path: Path, url: str
) -> None:
    trap = tmp_path / "trap"
    status, out, err = command.run("index", url.format(trap=trap, remote=tmp_path))
    assert (status, out) == (2, "")
    assert "refused" in err or "could not be fetched" in err
    assert not trap.exists()


def test_hooks_and_filters_of_a_remote_never_run(hub: Hub, tree: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    git(tree, "init", "-q", "-b", "main")
    (tree / ".gitattributes").write_text("*.py filter=evil\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    for name in ("post-checkout", "post-merge", "reference-transaction", "post-update"):
        hook = tree / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    git(tree, "config", "filter.evil.smudge", f"touch {trap}")
    git(tree, "config", "core.fsmonitor", f"touch {trap}")
    hub.index([tree.as_uri(), tree])
    assert hub.search("retry_with_backoff")[0].pattern.symbol == "retry_with_backoff"
    assert not trap.exists()


def test_a_url_that_does_not_answer_fails_alone_and_shows_no_secret(
    command: Command, tree: Path
) -> None:
    url = "http://ada:s3cr3t@127.0.0.1:9/x.git"
    status, _, err = command.run("index", url)
    assert status == 2
    assert "could not be fetched" in err
    assert "s3cr3t" not in err
    status, out, err = command.run("index", url, tree)
    assert status == 2
    assert "in tree (" in out
    assert "http://***@127.0.0.1:9/x.git" in err
    assert "s3cr3t" not in out + err
    assert command.run("search", "retry")[0] == 0


def test_a_url_with_a_login_is_one_source_however_often_it_is_given(
    hub: Hub, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, dest: Path) -> str:
        shutil.copytree(tree, dest, dirs_exist_ok=True)
        return "0" * 40

    monkeypatch.setattr("hub.sources.clone_or_update", fetch)
    url = "https://ada:s3cr3t@example.org/team/tool.git"
    hub.index([url])
    hub.index([url, url.replace("ada", "bob")])
    assert [s.name for s in hub.status().sources] == ["tool"]
    assert hub.status().sources[0].location == "https://***@example.org/team/tool.git"
    assert list_source(hub.workspace, url).files


# --- full disk


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("size", [slow("64k"), "500k", slow("1500k"), "2500k"])
def test_a_full_disk_is_an_error_and_the_next_run_goes_on(
    command: Command, tmp_path: Path, size: str
) -> None:
    source = generated(tmp_path / "source")
    folder = tmp_path / "disk"
    with small_disk(folder, size):
        status, out, err = command.run("--hub", folder, "index", source)
        assert (status, out) == (2, "")
        assert err.count("Error: ") == 1
        assert "next `patternhub index` goes on" in err or "cannot be opened" in err
        remount = ["mount", "-o", "remount,size=100m", str(folder)]
        subprocess.run(remount, check=True)
        assert command.run("--hub", folder, "index", source)[0] == 0
        hub = Hub.open(folder, encoders=word_encoders())
        assert_sound(hub, clean_build(tmp_path / "clean", source))


def test_a_file_size_limit_is_an_error_and_the_next_run_goes_on(
    command: Command, tmp_path: Path
) -> None:
    source = generated(tmp_path / "source")
    process = subprocess.run(
        [sys.executable, command.script, "index", source], cwd=tmp_path, text=True,
        capture_output=True, timeout=STUCK,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000)),
    )  # fmt: skip
    assert process.returncode == 2, process.stderr
    assert "Traceback" not in process.stderr
    assert command.run("index", source)[0] == 0
    hub = Hub.open(tmp_path, encoders=word_encoders())
    assert_sound(hub, clean_build(tmp_path / "clean", source))


# --- interrupted runs


def generated(root: Path, count: int = 150, seed: int = 0) -> Path:
    """Small files with a few functions each; aged, so that their times can be trusted."""
    words = ["load", "parse", "send", "retry", "cache", "token", "user", "row", "index", "graph"]
    pick = random.Random(seed)
    for number in range(count):
        path = root / words[number % 7] / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "import os\n" + "".join(
                f"\n\ndef {pick.choice(words)}_{pick.choice(words)}_{number}_{n}(value):\n"
                f'    """{" ".join(pick.choices(words, k=5)).capitalize()}."""\n'
                f"    return value + {pick.randrange(100)}\n"
                for n in range(3)
            )
        )  # fmt: skip
    age(root)
    return root


def edited(root: Path) -> None:
    """A day's work: files changed, moved, added and removed."""
    files = sorted(root.rglob("*.py"))
    for path in files[::4]:
        path.write_text("# changed\n" + path.read_text().replace("value", "item"))
    for path in files[1::5]:
        path.unlink()
    for path in files[2::9]:
        if path.exists():
            path.rename(path.with_name(f"moved_{path.name}"))
    generated(root / "added", 30, seed=1)
    age(root)


def search_survives(folder: Path) -> None:
    """Whatever state a kill left, a search answers or says that there is nothing yet."""
    try:
        hits = Hub.open(folder, encoders=word_encoders()).search("retry token")
    except HubError as error:
        assert "no hub yet" in str(error) or "is empty" in str(error)  # noqa: PT017
    else:
        assert all(hit.pattern.text for hit in hits)


def kill_after(process: subprocess.Popen[str], delay: float, how: int) -> tuple[int, str, str]:
    ready(process)
    time.sleep(delay)
    process.send_signal(how)
    return finished(process)


def kill_and_compare(tmp_path: Path, kills: int, *, update: bool) -> None:
    """Kill at moments spread over a run's measured time; each next run ends as a clean build."""
    command = Command(tmp_path)
    source = generated(tmp_path / "source")
    start = tmp_path / "start"
    start.mkdir()
    if update:
        assert command.run("--hub", start, "index", source)[0] == 0
        edited(source)
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    process = command.start("--hub", whole, "index", source)
    ready(process)
    began = time.monotonic()
    assert finished(process)[0] == 0
    duration = time.monotonic() - began
    expected = clean_build(tmp_path / "clean", source)
    moments = random.Random(f"{kills} {update}")
    killed = late = 0
    while killed < kills:
        folder = tmp_path / f"killed-{killed}-{late}"
        shutil.copytree(start, folder)
        delay = duration * (killed + moments.random()) / kills
        process = command.start("--hub", folder, "index", source)
        if kill_after(process, delay, signal.SIGKILL)[0] == -signal.SIGKILL:
            killed += 1
        else:  # the machine has become faster since the time was measured
            late, duration = late + 1, 0.8 * duration
        search_survives(folder)
        hub = Hub.open(folder, encoders=word_encoders())
        hub.index([source])
        assert_sound(hub, expected)
        shutil.rmtree(folder)


@pytest.mark.parametrize("update", [False, slow(True)])
def test_a_killed_run_is_completed_by_the_next(tmp_path: Path, update: bool) -> None:
    kill_and_compare(tmp_path, 2, update=update)


@pytest.mark.slow
@pytest.mark.parametrize("update", [False, True])
def test_a_run_killed_at_any_of_many_moments_is_completed_by_the_next(
    tmp_path: Path, update: bool
) -> None:
    kill_and_compare(tmp_path, KILLS, update=update)


def test_a_run_that_is_killed_again_and_again_gets_there(tmp_path: Path, command: Command) -> None:
    source = generated(tmp_path / "source")
    moments = random.Random(1)
    for _ in range(3):
        process = command.start("index", source)
        kill_after(process, moments.uniform(0.3, 1.2), signal.SIGKILL)
        edited(source)
    assert command.run("index", source)[0] == 0
    hub = Hub.open(tmp_path, encoders=word_encoders())
    assert_sound(hub, clean_build(tmp_path / "clean", source))


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_ctrl_c_stops_with_130_and_the_next_run_goes_on(
    tmp_path: Path, command: Command, group: bool, large: bool
) -> None:
    """``group`` is a terminal's Ctrl-C, which worker processes (``large``) get too."""
    source = generated(tmp_path / "source")
    if large:
        text = "".join(f"def g{n}(x):\n    return x + {n}\n\n\n" for n in range(9000))
        for n in range(40):
            (source / f"large_{n}.py").write_text(text)
    process = command.start("index", source, session=True)
    ready(process)
    time.sleep(0.8)
    if group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    status, out, err = finished(process)
    assert (status, out) == (130, ""), err
    assert "the next run goes on from it" in err
    search_survives(tmp_path)
    if not large:
        assert command.run("index", source)[0] == 0
        hub = Hub.open(tmp_path, encoders=word_encoders())
        assert_sound(hub, clean_build(tmp_path / "clean", source))


# --- at once


def test_four_runs_and_searches_at_once_corrupt_nothing(tmp_path: Path, command: Command) -> None:
    hub_folder = tmp_path / "hub"
    hub_folder.mkdir()
    sources = [generated(tmp_path / name, 40, seed) for seed, name in enumerate("abcd")]
    runs = [command.start("--hub", hub_folder, "index", source) for source in sources]
    searches = []
    while any(run.poll() is None for run in runs):
        searches.append(command.run("--hub", hub_folder, "search", "retry token", "--json"))
        search_survives(hub_folder)
    for run in runs:
        status, out, err = finished(run)
        assert status == 0, err
        assert "patterns in" in out
    for status, _, err in searches:
        assert status == 0 or "no hub yet" in err or "is empty" in err, err
    assert any(status == 0 for status, _, _ in searches)
    hub = Hub.open(hub_folder, encoders=word_encoders())
    assert [s.name for s in hub.status().sources] == list("abcd")
    assert_sound(hub, clean_build(tmp_path / "clean", *sources))


def test_the_same_run_four_times_at_once_does_the_work_once(
    tmp_path: Path, command: Command
) -> None:
    source = generated(tmp_path / "source", 60)
    runs = [command.start("index", source, "--json") for _ in range(4)]
    for run in runs:
        status, _, err = finished(run)
        assert status == 0, err
    hub = Hub.open(tmp_path, encoders=word_encoders())
    assert_sound(hub, clean_build(tmp_path / "clean", source))


def test_an_open_hub_sees_what_another_process_wrote(
    hub: Hub, tree: Path, command: Command
) -> None:
    hub.index([tree])
    assert hub.search("freshly_written")[0].pattern.symbol != "freshly_written"
    (tree / "src/fresh.py").write_text("def freshly_written():\n    return 1\n")
    assert command.run("--hub", hub.workspace.folder, "index")[0] == 0
    assert hub.search("freshly_written")[0].pattern.symbol == "freshly_written"
    exact = hub.workspace.config.search.model_copy(update={"exact_limit": 0})
    near = Hub(
        replace(hub.workspace, config=hub.workspace.config.model_copy(update={"search": exact}))
    )
    found = near.search("freshly_written", mode="dense")
    assert found[0].pattern.symbol == "freshly_written"
    assert np.isfinite([hit.score for hit in found]).all()


def test_a_long_lived_process_keeps_what_others_wrote_meanwhile(
    tmp_path: Path, command: Command
) -> None:
    """An embedded Chroma reads its vectors once: unless reopened, it would write them back."""
    first, second, third = (generated(tmp_path / name, 60, seed) for seed, name in enumerate("abc"))
    folder = tmp_path / "hub"
    folder.mkdir()
    writer, reader = (Hub.open(folder, encoders=word_encoders()) for _ in range(2))
    writer.index([first])
    assert reader.search("retry token")
    assert command.run("--hub", folder, "index", second)[0] == 0
    assert writer.search("retry token")
    assert reader.duplicates(kind="function").total == 360
    writer.index([third])
    shutil.rmtree(reader.workspace.derived)
    expected = clean_build(tmp_path / "clean", first, second, third)
    for hub in (reader, Hub.open(folder, encoders=word_encoders())):
        assert_sound(hub, expected)


def test_a_hub_that_reopens_often_holds_no_more_files(hub: Hub, tree: Path) -> None:
    hub.index([tree])
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("only Linux lists open files")
    before = len(list(open_files.iterdir()))
    for _ in range(8):
        (tree / "src/retry.py").write_text((tree / "src/retry.py").read_text() + "\n# more\n")
        hub.index()
        hub.search("retry")
    assert len(list(open_files.iterdir())) < before + 30
