"""The command line: every verb, its JSON, its exit status, and what it loads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hub.cli import main
from tests.conftest import configured_encoders, driver, git, word_encoders, write_tree

if TYPE_CHECKING:
    from click.testing import Result

VERBS = [
    "init", "index", "search", "show", "status", "ask", "compare", "mcp", "eval", "gate",
    "annotate", "dedup", "gaps", "augment", "dataset", "validate", "examples", "tune",
    "train", "runs", "adapters", "history", "space", "ui", "forget", "doctor",
]  # fmt: skip
HIT = [
    "rank", "score", "id", "source", "path", "start_line", "end_line", "language", "kind",
    "symbol", "signature", "text",
]  # fmt: skip
HEAVY = ("torch", "chromadb", "transformers", "sentence_transformers", "gradio", "onnxruntime")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: the tree as ``code``, and no model."""
    monkeypatch.setattr("hub.store.encoders.open_encoders", lambda config, folder: word_encoders())
    folder = tmp_path / "project"
    write_tree(folder / "code")
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: object, status: int = 0) -> Result:
    """One command; its exit status is checked, and errors are sentences on standard error."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    if status == 2:
        assert "Error: " in result.stderr
    return result


def parsed(*arguments: object, status: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", status=status).stdout)


@pytest.fixture
def indexed(project: Path) -> Path:
    run("index", "code")
    return project


# --- what is loaded


@pytest.mark.parametrize(
    "code",
    [
        "import hub",
        "import hub; hub.Hub; hub.HubError",
        "import hub.cli",
        "from hub.cli import main; main(['--help'], standalone_mode=False)",
        "from hub.cli import main; main(['index', '--help'], standalone_mode=False)",
        "from hub.cli import main; main(['--version'], standalone_mode=False)",
    ],
)
def test_import_and_help_load_nothing_heavy(code: str) -> None:
    check = (
        f"import sys; {code}; print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr == "\n"


def test_help_lists_every_verb_in_the_order_of_use() -> None:
    out = run("--help").stdout
    listed = [line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.strip()]
    assert listed == VERBS
    for verb in VERBS:
        assert run(verb, "-h").stdout.startswith(f"Usage: main {verb}")


# --- which hub


def test_init_writes_a_file_that_loads_and_never_overwrites(project: Path) -> None:
    out = run("init").stdout
    assert f"wrote {project / 'hub.toml'}" in out
    from hub.config import Config, load_config

    assert load_config(project) == Config(sources=["."])
    (project / "hub.toml").write_text("sources = ['code']\n")
    assert "is there already" in run("init", status=2).stderr
    assert (project / "hub.toml").read_text() == "sources = ['code']\n"
    assert run("index").exit_code == 0


def test_init_takes_a_template_of_categories(project: Path) -> None:
    assert "there are: default, platform" in run("init", "--template", "pages", status=2).stderr
    assert not (project / "hub.toml").exists()
    run("init", "--template", "typescript-library")
    from hub.config import load_config

    assert load_config(project).taxonomy.name == "typescript-library"


def test_annotate_prints_categories_by_language(indexed: Path) -> None:
    out = run("annotate").stdout
    assert out.splitlines()[0].split()[:3] == ["category", "all", "python"]
    found = parsed("annotate")
    assert sum(n for by in found["counts"].values() for n in by.values()) == found["patterns"]
    assert sum(found["by"].values()) == found["patterns"]
    assert f"{found['patterns']} patterns, taxonomy default" in out
    largest = next(iter(found["counts"]))
    listed = run("annotate", "--category", largest, "--json").stdout.splitlines()
    assert len(listed) == sum(found["counts"][largest].values())
    assert all(json.loads(line)["category"] == largest for line in listed)
    assert (
        "no pattern is of category 'pages'"
        in run("annotate", "--category", "pages", status=2).stderr
    )


def test_init_in_a_folder_that_is_missing_is_an_error(project: Path) -> None:
    assert "cannot be written" in run("--hub", "missing", "init", status=2).stderr


def test_the_nearest_hub_upward_is_used(
    indexed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = parsed("search", "retry")
    monkeypatch.chdir(indexed / "code/src")
    assert parsed("search", "retry") == expected
    assert parsed("status")["folder"] == str(indexed)
    (indexed / "code/hub.toml").write_text("")
    assert "no hub yet" in run("search", "retry", status=2).stderr
    (tmp_path / "far/away").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "far/away")
    assert parsed("--hub", indexed, "search", "retry") == expected
    assert parsed("--hub", "../../project", "search", "retry") == expected


def test_a_hub_that_is_no_folder_is_an_error(project: Path) -> None:
    for verb in (["search", "x"], ["index", "code"], ["status"], ["dedup"], ["forget", "x"]):
        assert "missing is not a folder" in run("--hub", "missing", *verb, status=2).stderr


def test_before_the_first_index_every_verb_says_what_to_do(project: Path) -> None:
    for verb in (["search", "x"], ["status"], ["show", "ab"], ["dataset", "build", "out"]):
        err = run(*verb, status=2).stderr
        assert "patternhub index PATH" in err
    assert "no source is called 'code'; there are: none" in run("forget", "code", status=2).stderr
    assert not (project / "out").exists()


# --- index


def test_index_reports_what_it_did(project: Path) -> None:
    (project / "code/blob.py").write_bytes(b"\0\0")
    result = run("index", "code")
    assert result.stdout.startswith(f"{parsed('status')['patterns']} patterns in code (")
    assert "5 new, 0 changed, 0 removed" in result.stdout
    assert "skipped   binary 1 (patternhub status --skipped)" in result.stdout
    assert "patterns: " in result.stderr  # plain progress lines where there is no terminal
    report = parsed("index")
    assert (report["files_added"], report["files_unchanged"], report["failed"]) == (0, 5, {})
    assert report["skipped"] == {"binary": 1}
    assert report["patterns_total"] == parsed("status")["patterns"]


def test_index_stops_at_the_fast_tier_when_asked(project: Path) -> None:
    report = parsed("index", "code", "--tier", "fast")
    assert (report["tier"], report["embedded"]) == ("fast", 0)
    assert run("search", "retry").stdout.endswith("hits, fast tier\n")
    assert "best tier is not complete" in run("search", "x", "--tier", "best", status=2).stderr


def test_index_indexes_what_it_can_and_fails_for_the_rest(project: Path) -> None:
    result = run("index", "code", "gone", status=2)
    assert "patterns in code" in result.stdout
    assert "gone: " in result.stderr
    report = parsed("index", "code", "gone", status=2)
    assert list(report["failed"]) == ["gone"]


def test_index_without_anything_to_index_is_an_error(project: Path) -> None:
    assert "there is nothing to index" in run("index", status=2).stderr
    assert "gone does not lead to" in run("index", "gone", status=2).stderr


def test_index_takes_a_git_url(project: Path) -> None:
    git(project / "code", "init", "-q", "-b", "main")
    git(project / "code", "add", "-A")
    git(project / "code", "commit", "-qm", "one")
    assert parsed("index", (project / "code").as_uri())["files_added"] == 5
    source = parsed("status")["sources"][0]
    assert (source["name"], len(source["revision"])) == ("code", 40)


# --- search


def test_a_hit_has_exactly_the_documented_fields(indexed: Path) -> None:
    answer = parsed("search", "retry with backoff", "--limit", 3)
    assert list(answer) == ["query", "hits"]
    assert answer["query"] == "retry with backoff"
    assert [list(hit) for hit in answer["hits"]] == [HIT] * 3
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    assert [h["score"] for h in answer["hits"]] == sorted(
        (h["score"] for h in answer["hits"]), reverse=True
    )
    (hit,) = parsed("search", "retry_with_backoff()", "-n", 1)["hits"]
    lines = (indexed / "code/src/retry.py").read_text().splitlines()
    assert hit["text"].strip("\n") == "\n".join(lines[hit["start_line"] - 1 : hit["end_line"]])
    assert "retry_with_backoff(call, attempts=5)" in hit["signature"]
    assert (hit["source"], hit["path"], hit["language"]) == ("code", "src/retry.py", "python")
    assert (hit["kind"], hit["symbol"]) == ("function", "retry_with_backoff")


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--language", "typescript", "language"),
        ("--kind", "method", "kind"),
        ("--source", "code", "source"),
    ],
)
def test_filters_restrict(indexed: Path, option: str, value: str, field: str) -> None:
    hits = parsed("search", "date", option, value)["hits"]
    assert hits
    assert {hit[field] for hit in hits} == {value}


def test_search_takes_every_option_at_once(indexed: Path) -> None:
    options = ["--limit", 2, "--language", "python", "--kind", "method", "--source", "code"]
    options += ["--path", "src/**", "--mode", "dense", "--tier", "fast"]
    hits = parsed("search", "send a request", *options)["hits"]
    assert {hit["symbol"] for hit in hits} == {"Client.send", "Client.close"}
    assert {hit["path"] for hit in parsed("search", "retry", "--path", "tests/")["hits"]} == {
        "tests/test_retry.py"
    }
    assert parsed("search", "qqqq", "--mode", "lexical")["hits"] == []


def test_search_prints_places_and_first_lines(indexed: Path) -> None:
    out = run("search", "retry_with_backoff", "-n", 2).stdout
    assert out.startswith(" 1. src/retry.py:6-13  function retry_with_backoff\n    code, python, ")
    assert "    | def retry_with_backoff(call, attempts=5):\n" in out
    assert "more lines\n" in out
    assert out.endswith("\n2 hits, best tier\n")
    none = run("search", "qqqq", "--mode", "lexical").stdout
    assert none == "no pattern matches; try other words, or fewer filters\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a QUERY, or a file with --queries"),
        (["x", "--queries", "y"], "give a QUERY, or a file with --queries"),
        ([""], "the query is empty"),
        (["  "], "the query is empty"),
        (["x", "--limit", "0"], "0 is not in the range"),
        (["x", "--limit", "many"], "not a valid integer"),
        (["x", "--mode", "fuzzy"], "'fuzzy' is not one of 'hybrid', 'dense', 'lexical'"),
        (["x", "--tier", "slow"], "'slow' is not one of 'fast', 'best'"),
        (["x", "--language", "pyton"], "did you mean 'python'? (there are: markdown, python,"),
        (["x", "--kind", "routine"], "kind 'routine'"),
        (["x", "--source", "other"], "source 'other' (there are: code)"),
        (["x", "--path", "!"], "path '!' selects nothing"),
        (["x", "--path", ""], "path '' selects nothing"),
        (["x", "--frobnicate"], "No such option"),
        (["--queries", "missing.jsonl"], "missing.jsonl cannot be read"),
    ],
)
def test_a_wrong_search_is_explained(indexed: Path, arguments: list[str], message: str) -> None:
    result = run("search", *arguments, status=2)
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_text_from_a_file_cannot_steer_a_terminal(project: Path) -> None:
    (project / "code/escape.py").write_text("def escape():\n    return '\x1b[2J\x1b]0;title\x07'\n")
    run("index", "code")
    hit = parsed("search", "escape", "-n", 1)["hits"][0]
    assert "\x1b" in hit["text"]  # JSON keeps the text as it is
    for out in (run("search", "escape").stdout, run("show", hit["id"]).stdout):
        assert "\x1b" not in out
        assert "return '?[2J?]0;title?'" in out


@pytest.mark.parametrize(("encoding", "target"), [("utf-8", "/dev/full"), ("ascii", "out.txt")])
def test_output_that_cannot_be_written_is_an_error_or_escaped(
    indexed: Path, encoding: str, target: str
) -> None:
    Path("code/wide.py").write_text("def wide():\n    return '日本語'\n")
    run("index", "code")
    with Path(target).open("w") as output:
        done = subprocess.run(
            [sys.executable, driver(indexed), "search", "wide", "--json"],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            stdout=output, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert "Traceback" not in done.stderr
    if target == "/dev/full":
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
    else:
        assert json.loads(Path(target).read_text().replace("\\u", "u"))["hits"]


def test_queries_of_a_file_are_answered_line_by_line(indexed: Path) -> None:
    queries = ["retry with backoff", "parse\u2028an ISO date", 'quotes " and ünïcode']
    lines = [json.dumps({"query": query}, ensure_ascii=False) for query in queries]
    Path("queries.jsonl").write_text("\n".join([lines[0], "", *lines[1:]]) + "\r\n")
    out = run("search", "--queries", "queries.jsonl", "--limit", 2).stdout
    answers = [json.loads(line) for line in out.strip("\n").split("\n")]
    assert [answer["query"] for answer in answers] == queries
    assert answers[0] == parsed("search", queries[0], "--limit", 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "expected"),
        pytest.param("[" * 200_000, "expected", id="nested"),
        ('["a"]', "expected"),
        ('{"q": "a"}', "expected"),
        ('{"query": 3}', "the query is 3"),
        ('{"query": " "}', "the query is ' '"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_wrong_line_of_queries_is_named(indexed: Path, line: str, message: str) -> None:
    Path("queries.jsonl").write_bytes(f'{{"query": "a"}}\n{line}\n'.encode("latin-1"))
    err = run("search", "--queries", "queries.jsonl", status=2).stderr
    assert message in err
    assert "queries.jsonl:2:" in err or "cannot be read" in err


# --- show, status, forget


def test_show_prints_a_pattern_with_its_neighbours(indexed: Path) -> None:
    (hit,) = parsed("search", "Client.send", "-n", 1)["hits"]
    shown = parsed("show", hit["id"])
    assert list(shown) == ["pattern", "before", "after", "outline"]
    assert shown["pattern"]["symbol"] == "Client.send"
    assert shown["pattern"]["docstring"] == "Send one request and return the answer."
    assert {key: hit[key] for key in HIT if key not in {"rank", "score"}}.items() <= (
        shown["pattern"].items()
    )
    assert shown["after"]["symbol"] == "Client.close"
    assert parsed("show", shown["after"]["id"])["after"] is None
    assert parsed("show", hit["id"][:10]) == shown
    out = run("show", hit["id"][:10]).stdout
    assert out.startswith("src/retry.py:")
    assert "method Client.send\n" in out
    assert "\nafter  src/retry.py:" in out
    assert hit["text"].strip("\n") in out


def test_show_refuses_an_id_that_is_none_or_many(indexed: Path) -> None:
    assert "no pattern has one" in run("show", "zz", status=2).stderr
    assert "patterns have one: " in run("show", "", status=2).stderr


def test_status_says_what_there_is_and_what_is_stale(indexed: Path) -> None:
    status = parsed("status")
    assert set(status) >= {
        "folder", "patterns", "kinds", "languages", "sources", "model", "tier", "generation",
        "writing", "sizes", "skipped", "skipped_files",
    }  # fmt: skip
    assert (status["model"], status["tier"], status["writing"]) == ("words", "best", False)
    assert status["patterns"] == sum(status["kinds"].values()) == sum(status["languages"].values())
    (source,) = status["sources"]
    assert (source["name"], source["files"], source["stale"], source["error"]) == ("code", 5, 0, "")
    assert "up to date (code)" in run("status").stdout
    Path("code/notes.toml").write_text("x = 1\n")
    Path("code/new.py").write_text("x = 1\n")
    Path("code/README.md").unlink()
    assert parsed("status")["sources"][0]["stale"] == 3
    assert "3 files stale" in run("status").stdout


def test_status_says_that_a_migration_is_under_way(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As JSON and as text, and searches go on; `index` ends it."""
    monkeypatch.setattr("hub.store.encoders.open_encoders", configured_encoders)
    assert parsed("status")["migration"] is None
    (indexed / "hub.toml").write_text('[embedding]\nmodel = "other"\n')
    with monkeypatch.context() as stopped:
        stopped.setattr("hub.store.chroma.PatternStore.create_best", _stop)
        assert "Stopped" in run("index", status=130).stderr
    found = parsed("status")
    assert found["model"] == "words"
    assert "'words'" in found["migration"]["old"]
    assert "'other'" in found["migration"]["new"]
    text = run("status").stdout
    assert re.search(r"^migration  from 'words' .* to 'other' .*: searches use the old", text, re.M)
    assert parsed("search", "retry")["hits"]
    run("index")
    assert "migration" not in run("status").stdout


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_status_lists_skipped_files(project: Path) -> None:
    Path("code/blob.py").write_bytes(b"\0\0")
    run("index", "code")
    assert "skipped    binary 1" in run("status").stdout
    assert "code: blob.py" not in run("status").stdout
    assert "binary           code: blob.py" in run("status", "--skipped").stdout
    assert parsed("status")["skipped_files"] == [["code", "blob.py", "binary"]]


def test_forget_removes_one_source(indexed: Path) -> None:
    write_tree(indexed / "other")
    run("index", "other")
    whole = parsed("status")["patterns"]
    assert run("forget", "other").stdout == f"removed {whole // 2} patterns of 5 files\n"
    assert parsed("status")["patterns"] == whole // 2
    err = run("forget", "other", status=2).stderr
    assert "no source is called 'other'; there are: code" in err


# --- doctor


def test_doctor_passes_before_and_after_an_index(project: Path) -> None:
    before = parsed("doctor")
    assert all(list(check) == ["name", "ok", "detail"] for check in before)
    assert [check["name"] for check in before] == [
        "packages", "grammars", "config", "model", "store",
    ]  # fmt: skip
    run("index", "code")
    after = parsed("doctor")
    assert [check["name"] for check in after][-1] == "source"
    assert "5 files" in after[-1]["detail"]
    assert all(line.startswith("ok ") for line in run("doctor").stdout.splitlines())


def test_doctor_fails_with_status_1_and_names_what_is_wrong(indexed: Path) -> None:
    from hub import Hub

    Hub.open(indexed).workspace.store.set_state(writing=True)
    failed = [check for check in parsed("doctor", status=1) if not check["ok"]]
    assert [check["name"] for check in failed] == ["store"]
    assert "patternhub index" in failed[0]["detail"]
    run("index")
    assert parsed("doctor")
    (indexed / "hub.toml").write_text("[serch]\n")
    assert "FAIL  config" in run("doctor", status=1).stdout
    (indexed / "hub.toml").write_text("sources = ['gone']\n")
    assert "gone" in run("doctor", status=1).stdout


# --- as a program


def test_results_go_to_output_and_everything_else_to_errors(indexed: Path, tmp_path: Path) -> None:
    program = [sys.executable, str(driver(tmp_path))]
    done = subprocess.run([*program, "index", "--json"], capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["failed"]) == (0, {})
    done = subprocess.run([*program, "search", ""], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "ready\nError: the query is empty: give words, a sentence or an identifier\n"
    )
    done = subprocess.run([*program, "search", b"caf\xe9"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not UTF-8 text" in done.stderr
    assert "Traceback" not in done.stderr
