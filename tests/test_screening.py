"""What leaves the machine: no secret, no forbidden term, whole or in part; and a report of both."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from identify.vendor.licenses import LICENSES

from hub import Hub, HubError
from hub.cli import main
from hub.config import Forbidden, Privacy
from hub.curate.privacy import PLACEHOLDER
from hub.dataset.checks import Screen
from hub.dataset.tasks import TASKS, Material
from hub.types import Message, Pattern
from tests.conftest import word_encoders
from tests.fakes import every_fake, pieces
from tests.test_dataset import example, rows_of, write_code

if TYPE_CHECKING:
    from hub.types import Example

MAIL = "jane.roe@" + "corp.io"
NAME = "Copi" + "lot"


def screen(privacy: dict[str, Any] | None = None, **forbidden: Any) -> Screen:
    return Screen(Privacy(**(privacy or {})), Forbidden(**forbidden))


def asking(text: str, **changes: Any) -> Example:
    return example(prompt=(Message("user", text),), **changes)


def pattern(text: str) -> Pattern:
    return Pattern(
        path="a.py",
        start_byte=0,
        end_byte=len(text),
        start_line=1,
        end_line=text.count("\n"),
        language="python",
        kind="function",
        symbol="f",
        signature=text.split("\n")[0],
        text=text,
        id="p",
        source="team",
    )


def test_no_piece_of_a_planted_secret_is_in_a_dataset(hub: Hub, tmp_path: Path) -> None:
    """In code, comments and documentation, whatever a task cuts out of them; in any format."""
    code = write_code(tmp_path / "code", files=6)
    fakes = every_fake(Random(5))
    for number, fake in enumerate(fakes.values()):
        (code / f"planted{number}.py").write_text(
            f'def planted_{number}(rows, limit):\n    """Reads the rows of group {number} up to a '
            f'limit.\n\n    {fake.text}\n    """\n    # {fake.text}\n    found = rows[:limit]\n'
            f"    {fake.text}\n    total = sum(found)\n    return total + {number}\n"
        )
    hub.index([code])
    hub.build_dataset(tmp_path / "out", formats=["prompt-completion", "alpaca", "fim"])
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    written = "".join(path.read_text() for path in files)
    assert len(files) >= 8
    assert "Reads the rows of group" in written
    left = {name for name, fake in fakes.items() for p in pieces(fake.value) if p in written}
    assert not left
    found = json.loads((tmp_path / "out/compliance.json").read_text())
    planted = {each["where"].split("/")[1] for each in found["private"]}
    assert len({name.split(".")[0] for name in planted}) == len(fakes)


def test_a_secret_that_one_text_names_is_found_bare_in_others(hub: Hub, tmp_path: Path) -> None:
    """In another file, in prose, in what people wrote: wherever it stands as a word."""
    code = write_code(tmp_path / "code", files=4)
    value = "wJalrXUtn" + "FEMI/K7MDENG/bPxRfi" + "3YQ9"
    word = "tr0ub" + "ador77"
    (code / "settings.py").write_text(
        f'def connect(host):\n    """Connects to the host that was named, as ever."""\n'
        f'    aws_secret_access_key = "{value}"\n    password = "{word}"\n    return host\n'
    )
    (code / "usage.py").write_text(
        f'def explain(host):\n    """For example {value} is what we use; see also {word}."""\n'
        "    found = host.lookup()\n    return found\n"
    )
    (code / "README.md").write_text(
        f"# Use\n\n## Log in\n\nAsk about {word}, and about {value}. It "
        "is the same on every machine that we have ever had here.\n"
    )
    folder = hub.workspace.folder
    (folder / "examples").mkdir()
    (folder / "examples" / "mine.md").write_text(
        "---\ncategory: io\ntask: answer\nlanguage: text\n---\n\n# Prompt\n\nHow do we log in?\n\n"
        f"# Completion\n\nUse {word} and send it to the team's host.\n"
    )
    hub.index([code])
    hub.build_dataset(tmp_path / "out")
    written = "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert "How do we log in?" in written
    assert value not in written
    assert word not in written


def test_a_secret_is_replaced_before_a_task_cuts_it() -> None:
    key = "AK" + "IA" + "QWERTYUIOP234567"
    text = (
        f'def connect(host):\n    """Connects to the host that was named."""\n    key = "{key}"\n'
    )
    p = pattern(text + "    return host, key, key, key\n" * 3)
    clean = screen().pattern(p)
    material = Material(patterns={p.id: clean}, files={(p.source, p.path): [clean]})
    for seed in range(200):
        for made in TASKS["complete"](clean, material, Random(seed)):
            said = made.prompt[0].content + made.completion[0].content
            assert not [piece for piece in pieces(key) if piece in said]


def test_a_term_that_a_task_cuts_in_two_drops_the_row() -> None:
    p = pattern(f"def f(rows):\n    # Generated with {NAME}\n    return rows\n")
    found = screen()
    assert found.pattern(p) == p
    cut = asking("Generated with Co<blank>", patterns=(p.id,))
    assert found.forbidden(cut) == "forbidden: generated by a tool"
    (named,) = found.compliance.forbidden
    assert named.where.endswith(f"(implement), of {p.source}/{p.location}")
    assert found.forbidden(replace(cut, patterns=())) == replace(cut, patterns=())


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": (Message("system", f"You are {NAME}."), Message("user", "x"))},
        {"completion": (Message("assistant", f"# by {NAME}\nx = 1\n"),), "language": "python"},
        {"path": f"src/{NAME.lower()}.py"},
        {"symbol": f"ask {NAME}"},
        {"source": NAME},
        {"category": f"asking {NAME}"},
        {"files": (f"team/{NAME}/a.py",)},
        {"task": "explain", "completion": (Message("assistant", NAME),), "language": "python"},
    ],
)
def test_a_forbidden_term_anywhere_in_a_row_drops_it(changes: dict[str, Any]) -> None:
    assert str(screen().forbidden(example(**changes))).startswith("forbidden: ")


def test_names_of_variables_are_no_terms_but_everywhere() -> None:
    code = f"def ask({NAME.lower()}):\n    return {NAME.lower()}\n"
    made = asking(
        f"Explain this.\n\n```python\n{code}```",
        completion=(Message("assistant", code),),
        language="python",
    )
    assert screen().forbidden(made) is made
    assert str(screen(everywhere=True).forbidden(made)).startswith("forbidden: ")


def test_a_term_of_hub_toml_drops_its_row_and_is_named_by_hash() -> None:
    found = screen(terms=["Project Bluebird"])
    assert found.forbidden(asking("as in project blue-\nbird")) == "forbidden: a term of hub.toml"
    assert "bird" not in json.dumps(found.compliance.to_json()).lower()


def test_each_kind_of_private_data_is_replaced_dropped_or_kept_as_hub_toml_says() -> None:
    made = asking(f"Write to {MAIL} at 93.184.216.34.", symbol=f"Contact > {MAIL}")
    clean = screen().private(made)
    assert not isinstance(clean, str)
    assert clean.prompt[0].content == "Write to <EMAIL> at <IP>."
    assert clean.symbol == "Contact > <EMAIL>"
    assert screen({"email": "drop"}).private(made) == "private: email"
    assert screen({"secrets": "drop", "phone": "drop"}).private(made) == clean
    kept = screen({"email": "keep"}).private(made)
    assert not isinstance(kept, str)
    assert kept.prompt[0].content == f"Write to {MAIL} at <IP>."
    assert screen({"email": "keep", "ip": "keep"}).private(made) is made


def test_a_row_is_dropped_for_what_its_pattern_held() -> None:
    p = pattern(f'def f(rows):\n    """Sends the rows to the team."""\n    to = "{MAIL}"\n')
    dropping = screen({"email": "drop"})
    clean = dropping.pattern(p)
    assert PLACEHOLDER.search(clean.text)
    assert dropping.private(asking(clean.text)) == "private: email"


def test_the_report_names_values_by_a_hash_that_cannot_be_guessed() -> None:
    p = pattern(f'def f(rows):\n    """Sends the rows to the team."""\n    to = "{MAIL}"\n')
    reports = []
    for patterns in ([p], [p], [p, replace(p, id="other", text="x = 1")]):
        found = Screen(Privacy(), Forbidden(), patterns)
        found.pattern(p)
        found.private(asking(f"x\n{MAIL} or joe{MAIL}"))
        reports.append(found.compliance.to_json())
    assert reports[0] == reports[1]
    hashes = [[each["value"] for each in report["private"]] for report in reports]
    assert hashes[0][0] == hashes[0][1] != hashes[0][2]
    assert not set(hashes[0]) & set(hashes[2])  # of another index
    told = json.dumps(reports[0])
    assert MAIL not in told
    for size in range(4, 65):
        assert hashlib.sha256(MAIL.encode()).hexdigest()[:size] not in told
    where = [(each["where"], each["place"], each["line"]) for each in reports[0]["private"][:2]]
    assert where == [(f"{p.source}/{p.location}", "text", 3),
                     ("team/file0.py:1-9 (implement)", "prompt.0.content", 2)]  # fmt: skip


def test_strict_fails_on_a_forbidden_term_and_writes_nothing(hub: Hub, tmp_path: Path) -> None:
    code = write_code(tmp_path / "code", files=4)
    (code / "tainted.py").write_text(
        'def tainted(host):\n    """Do what the ticket asks for, and nothing more than that."""\n'
        f"    # Generated with {NAME}\n    return host\n"
    )
    hub.index([code])
    out = tmp_path / "out"
    arguments = ["--hub", str(hub.workspace.folder), "dataset", "build", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hub, "open", lambda _folder: hub)
        failed = CliRunner().invoke(main, [*arguments, "--strict"])
        assert failed.exit_code == 1
        assert not out.exists()
        assert "nothing was written" in failed.output
        assert re.search(r"code/tainted\.py:1-4 \(\w+\).*: .*, line \d+: gen", failed.output)
        built = CliRunner().invoke(main, arguments)
        assert built.exit_code == 0, built.output
        again = CliRunner().invoke(main, [*arguments, "--strict"])
    assert again.exit_code == 1
    assert "dropped: forbidden: generated by a tool" in built.output
    found = json.loads((out / "compliance.json").read_text())
    assert {each["rule"] for each in found["forbidden"]} == {"generated by a tool"}
    assert "tainted.py" in (out / "report.html").read_text()
    assert not [row for row in rows_of(out) if "tainted" in row["provenance"]["path"]]
    (code / "tainted.py").unlink()
    hub.index()
    report = hub.build_dataset(out, strict=True)
    assert report.rows["train"]


@pytest.mark.parametrize(("text", "licence"), [("", "not found"), (dict(LICENSES)["MIT"], "MIT")])
def test_the_licence_of_each_source_is_told(
    hub: Hub, tmp_path: Path, text: str, licence: str
) -> None:
    code = write_code(tmp_path / "code", files=4)
    if text:
        (code / "LICENSE").write_text(text)
    hub.index([code])
    hub.build_dataset(tmp_path / "out")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["licences"] == {"code": "MIT" if text else ""}
    card = (tmp_path / "out/README.md").read_text()
    assert f"license: {json.dumps('mit' if text else 'other')}" in card
    assert re.search(rf"\| code \| \d+ \| {licence} \|", card)
    assert licence in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('[privacy]\nemail = "hide"', "privacy.email = 'hide': Input should be 'replace', 'drop'"),
        ('[privacy]\nemails = "drop"', "unknown key 'privacy.emails'; did you mean 'email'?"),
        ("[forbidden]\nterms = ['']", "forbidden.terms.0 = ''"),
        ("[forbidden]\neverywhere = 1", "forbidden.everywhere = 1"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: str, message: str) -> None:
    (tmp_path / "hub.toml").write_text(settings)
    with pytest.raises(HubError, match=re.escape(message)):
        Hub.open(tmp_path, encoders=word_encoders())


def test_validate_knows_the_terms_of_hub_toml(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('[forbidden]\nterms = ["Bluebird"]\n')
    row = {"prompt": "What is it?", "completion": "It is Bluebird, as everybody knows by now."}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    report = Hub.open(tmp_path, encoders=word_encoders()).validate(tmp_path / "rows.jsonl")
    assert report.findings["forbidden"] == 1


def test_names_are_anonymised_on_request(hub: Hub, tmp_path: Path) -> None:
    """Not one of the functions' own names is left; where none was asked for, all are there."""
    hub.index([write_code(tmp_path / "code", files=6)])
    hub.build_dataset(tmp_path / "plain")
    folder = hub.workspace.folder
    (folder / "hub.toml").write_text("[privacy]\nanonymize = true\n")
    neutral = Hub.open(folder, encoders=hub.workspace.encoders).build_dataset(tmp_path / "neutral")
    name = re.compile(r"(?:load|merge|filter|rotate|archive|publish|resolve|measure)_\w+_\d+_\d")
    named = [
        bool(name.search(json.dumps(row["completion"]))) for row in rows_of(tmp_path / "plain")
    ]
    assert any(named)
    for row in rows_of(tmp_path / "neutral"):
        assert not name.search(json.dumps([row["prompt"], row["completion"]])), row
    assert neutral.stages[1].dropped["its answer is a name"] > 0
