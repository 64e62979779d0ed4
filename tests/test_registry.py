"""The registry keeps every adapter it has taken, whoever is killed, and knows which is which."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hub import HubError
from hub.errors import FailedCheckError
from hub.serving.registry import Registry
from tests.test_trouble import small_disk
from tests.training_fixtures import adapter_folder
from training.checkpoints import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub import Hub


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return adapter_folder(tmp_path / "run/adapter")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".patternhub/adapters"


def in_child(work: Callable[[], Any]) -> int:
    """Run ``work`` in a process of its own; what waitpid says of its end."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def killed_before(step: str, number: int) -> None:
    """From now on this process dies before it takes a step, by its dotted name, once more."""
    module, _, name = step.rpartition(".")
    real, left = getattr(sys.modules[module], name), [number]

    def last(*given: Any) -> Any:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(*given)

    setattr(sys.modules[module], name, last)


def test_an_adapter_is_kept_as_it_is_and_found_by_every_name(made: Path, home: Path) -> None:
    kept = Registry.open(home)
    adapter = kept.take(made, name="team", run="run-1")
    assert adapter.reference == "team@0.1.0"
    assert (adapter.base, adapter.run, adapter.metrics) == ("team/base", "run-1", {"loss": 1.5})
    kept.set_alias(adapter, "candidate")
    for reference in ("team", "team@0.1.0", "team@candidate", adapter.digest[:8]):
        assert kept.get(reference).digest == adapter.digest
    shutil.rmtree(made)
    assert problems(kept.path(adapter)) == []
    assert kept.verify() == {"team@0.1.0": []}


def test_the_same_content_is_the_same_adapter(made: Path, home: Path) -> None:
    kept = Registry.open(home)
    assert kept.take(made, name="team") == kept.take(made, name="other")
    assert len(kept.list()) == 1


def test_a_new_dataset_or_base_raises_the_minor_version_new_settings_the_patch(
    tmp_path: Path, home: Path
) -> None:
    kept = Registry.open(home)
    changes: list[dict[str, Any]] = [{}, {"step": 9}, {"data": "2"}, {"data": "2", "base": "b"}]
    taken = [
        kept.take(adapter_folder(tmp_path / str(at), **change), name="team")
        for at, change in enumerate(changes)
    ]
    assert [a.version for a in taken] == ["0.1.0", "0.1.1", "0.2.0", "0.3.0"]
    assert [a.parent for a in taken] == ["", *(a.digest for a in taken[:-1])]


@pytest.mark.parametrize("name", ["", "a b", "../up", "a@b", ".hidden", "a/b"])
def test_a_name_that_could_be_something_else_is_refused(made: Path, home: Path, name: str) -> None:
    with pytest.raises(HubError, match="cannot name an adapter"):
        Registry.open(home).take(made, name=name)


def test_looking_makes_nothing(hub: Hub) -> None:
    assert hub.adapters.list() == []
    assert hub.adapters.verify() == {}
    with pytest.raises(HubError, match="'team' is no adapter; there are: none yet"):
        hub.adapters.get("team")
    assert not hub.workspace.store_folder.exists()


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")


def drop_template(path: Path) -> None:
    listing = json.loads((path / "MANIFEST.json").read_text())
    del listing["files"]["template.json"]
    (path / "MANIFEST.json").write_text(json.dumps(listing))


def list_outside(path: Path) -> None:
    listing = json.loads((path / "MANIFEST.json").read_text())
    listing["files"]["../../.bashrc"] = {"sha256": "0"}
    (path / "MANIFEST.json").write_text(json.dumps(listing))


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed": (
        lambda path: change(path / "adapter_model.safetensors"),
        "adapter_model.safetensors is not what was saved",
    ),
    "gone": (lambda path: (path / "template.json").unlink(), "template.json cannot be read"),
    "no manifest": (lambda path: (path / "MANIFEST.json").unlink(), "is no adapter"),
    "not listed": (drop_template, "does not list template.json"),
    "outside": (list_outside, "which is no file of an adapter"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_folder_that_is_not_as_it_was_saved_is_not_taken(
    made: Path, home: Path, harm: str
) -> None:
    spoil, message = HARMS[harm]
    spoil(made)
    with pytest.raises(HubError, match=message):
        Registry.open(home).take(made, name="team")
    assert Registry.open(home).list() == []


@pytest.mark.parametrize("harm", ["changed", "gone", "no manifest", "not listed"])
def test_what_changes_in_the_registry_is_found_and_put_right_by_taking_it_again(
    made: Path, home: Path, harm: str
) -> None:
    kept = Registry.open(home)
    adapter = kept.take(made, name="team")
    HARMS[harm][0](kept.path(adapter))
    (wrong,) = kept.verify()["team@0.1.0"]
    assert wrong
    with pytest.raises(HubError, match=r"team@0\.1\.0 is damaged"):
        kept.promote("team", force=True, reason="must not matter")
    assert kept.take(made, name="team") == adapter
    assert kept.verify("team") == {"team@0.1.0": []}


def test_a_row_whose_folder_is_gone_is_reported(made: Path, home: Path) -> None:
    kept = Registry.open(home)
    adapter = kept.take(made, name="team")
    shutil.rmtree(kept.path(adapter))
    (wrong,) = Registry.open(home).verify()["team@0.1.0"]
    assert wrong.endswith("is gone")


@pytest.mark.parametrize(
    "step", ["os.fsync", "hub.serving.index.enter", "hub.serving.models.write"]
)
def test_a_process_that_is_killed_before_any_step_loses_nothing(
    made: Path, tmp_path: Path, step: str
) -> None:
    first = adapter_folder(tmp_path / "first", step=1)
    for kills in range(20):
        home = tmp_path / f"registry-{kills}"
        Registry.open(home).take(first, name="team")

        def work(number: int = kills, home: Path = home) -> None:
            killed_before(step, number)
            Registry.open(home).take(made, name="team")

        killed = os.WIFSIGNALED(in_child(work))
        kept = Registry.open(home)
        assert not any(kept.verify().values())
        assert not list(home.glob(".taking-*"))
        known = [a.reference for a in kept.list()]
        assert known[0] == "team@0.1.0"
        assert kept.take(made, name="team").reference == "team@0.1.1"
        view = yaml.safe_load((home / "models.yaml").read_text())["models"]
        assert [entry["version"] for entry in view] == ["0.1.0", "0.1.1"]
        if not killed:
            assert known == ["team@0.1.0", "team@0.1.1"]
            break
    assert kills >= 1
    assert not killed


def test_a_folder_that_was_renamed_without_its_row_is_adopted_under_its_name(
    made: Path, home: Path
) -> None:
    def work() -> None:
        killed_before("hub.serving.index.enter", 0)
        Registry.open(home).take(made, name="team", run="run-7")

    assert os.WIFSIGNALED(in_child(work))
    (adapter,) = Registry.open(home).list()
    assert (adapter.reference, adapter.run) == ("team@0.1.0", "run-7")


def test_the_index_comes_back_from_the_folders_with_the_same_versions(
    tmp_path: Path, home: Path
) -> None:
    kept = Registry.open(home)
    for at, data in enumerate(["1", "1", "2", "2"]):
        kept.take(adapter_folder(tmp_path / str(at), data=data, step=at), name="team")
    before = kept.list()
    (home / "index.db").write_bytes(b"no database" * 100)
    with pytest.raises(HubError, match=r"index.db cannot be used .*: delete it"):
        Registry.open(home)
    (home / "index.db").unlink()
    assert Registry.open(home).list() == before


def test_processes_that_take_at_once_take_each_adapter_once(tmp_path: Path, home: Path) -> None:
    folders = [adapter_folder(tmp_path / str(at), step=at) for at in range(3)]
    children = []
    for start in range(4):
        child = os.fork()
        if not child:
            status = 1
            try:
                for at in range(3):
                    Registry.open(home).take(folders[(start + at) % 3], name="team")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    kept = Registry.open(home)
    assert [a.version for a in kept.list()] == ["0.1.0", "0.1.1", "0.1.2"]
    assert not any(kept.verify().values())


def test_a_disk_that_fills_leaves_the_registry_as_it_was(tmp_path: Path) -> None:
    big = adapter_folder(tmp_path / "big", ballast=300_000)
    small = adapter_folder(tmp_path / "small")
    with small_disk(tmp_path / "disk", "300k"):
        home = tmp_path / "disk/adapters"
        kept = Registry.open(home)
        kept.take(small, name="team")
        with pytest.raises(HubError, match=r"No space left .* can be run again"):
            kept.take(big, name="team")
        assert [a.reference for a in Registry.open(home).list()] == ["team@0.1.0"]
        assert not any(kept.verify().values())
        subprocess.run(["mount", "-o", "remount,size=9m", str(home.parent)], check=True)
        assert kept.take(big, name="team").reference == "team@0.1.1"


def test_a_registry_that_may_not_be_written_is_named(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HubError, match=r"the registry .*file/adapters cannot be used"):
        Registry.open(tmp_path / "file/adapters").take(made, name="team")


def test_only_what_passed_the_gate_is_promoted_or_what_a_reason_is_kept_for(
    tmp_path: Path, home: Path
) -> None:
    kept = Registry.open(home)
    one, two = (kept.take(adapter_folder(tmp_path / n, step=int(n)), name="team") for n in "12")
    with pytest.raises(FailedCheckError, match=r"team@0.1.0 was not judged by the gate"):
        kept.promote("team@0.1.0")
    kept.set_verdict(one, {"passed": False, "score": 0.4})
    with pytest.raises(FailedCheckError, match=r"team@0.1.0 did not pass the gate"):
        kept.promote("team@0.1.0")
    with pytest.raises(HubError, match="takes a reason"):
        kept.promote("team@0.1.0", force=True, reason=" ")
    with pytest.raises(HubError, match="promote` alone"):
        kept.set_alias(one, "production")
    kept.promote("team@0.1.0", force=True, reason="the old one is down")
    kept.set_verdict(two, {"passed": True})
    kept.promote("team@0.1.1")
    assert [p["reason"] for p in kept.promotions("team")] == ["the old one is down", ""]
    assert kept.get("team@production").digest == two.digest
    assert kept.rollback("team").digest == one.digest
    with pytest.raises(HubError, match="nothing of 'team' was in production before"):
        kept.rollback("team")


class Versions(RuleBasedStateMachine):
    """Whatever is done in whatever order, the registry agrees with a few lists."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.kept = Registry.open(self.root / "adapters")
        self.digests: list[str] = []
        self.passed: set[str] = set()
        self.production: list[str] = []

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(data=st.sampled_from("ab"))
    def take(self, data: str) -> None:
        at = len(self.digests)
        made = adapter_folder(self.root / str(at), data=data, step=at)
        self.digests.append(self.kept.take(made, name="team").digest)

    @precondition(lambda self: self.digests)
    @rule(draw=st.data(), passed=st.booleans())
    def judge(self, draw: st.DataObject, passed: bool) -> None:
        digest = draw.draw(st.sampled_from(self.digests))
        self.kept.set_verdict(self.kept.get(digest), {"passed": passed})
        (self.passed.add if passed else self.passed.discard)(digest)

    @precondition(lambda self: self.digests)
    @rule(draw=st.data())
    def promote(self, draw: st.DataObject) -> None:
        digest = draw.draw(st.sampled_from(self.digests))
        if digest not in self.passed:
            with pytest.raises(FailedCheckError):
                self.kept.promote(digest)
        else:
            self.kept.promote(digest)
            if self.production[-1:] != [digest]:
                self.production.append(digest)

    @precondition(lambda self: len(self.production) > 1)
    @rule()
    def roll_back(self) -> None:
        self.production.pop()
        assert self.kept.rollback("team").digest == self.production[-1]

    @rule()
    def open_again(self) -> None:
        self.kept = Registry.open(self.root / "adapters")

    @invariant()
    def agrees(self) -> None:
        adapters = self.kept.list()
        assert [a.digest for a in adapters] == self.digests
        versions = [tuple(map(int, a.version.split("."))) for a in adapters]
        assert versions == sorted(set(versions))
        in_production = [a.digest for a in adapters if "production" in a.aliases]
        assert in_production == self.production[-1:]


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=6, stateful_step_count=12, deadline=None)
