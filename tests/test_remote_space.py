"""The Space: what is uploaded is what one needs, and its verbs say what is there."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import HfApi

from hub import Hub
from hub.cli import main
from tests.fake_cloud import Program
from tests.remote_fixtures import REPO, live_cloud, settings, tiny
from tests.training_fixtures import adapter_folder
from training.checkpoints import problems
from training.remote import launch, stop
from training.remote.bucket import Bucket
from training.remote.space import app_tree
from training.remote.wheel import build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake_cloud import FakeCloud

ROOT = Path(__file__).parent.parent
BUCKET = f"{REPO}-runs"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as state:
        yield state


def patternhub(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["space", arguments[0], "--repo", REPO, *arguments[1:]])
    return result.exit_code, result.output


def test_a_space_gets_the_app_its_needs_and_this_program(tmp_path: Path) -> None:
    tree = app_tree(tmp_path)
    names = sorted(path.name for path in tree.iterdir())
    assert names[:2] == ["README.md", "app.py"]
    assert names[2].startswith("pattern_hub-")
    assert names[2].endswith(".whl")
    assert names[3:] == ["requirements.txt"]
    _, front, _ = (tree / "README.md").read_text().split("---\n")
    about = yaml.safe_load(front)
    assert (about["sdk"], about["app_file"]) == ("gradio", "app.py")


def test_a_space_installs_what_the_project_needs_and_gradio_as_it_asks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {*project["dependencies"], *extras["train"], *extras["app"]}
    listed = (ROOT / "space_app/requirements.txt").read_text().splitlines()
    given = {line for line in listed if not line.startswith("#")}
    (gradio,) = needed - given
    assert given <= needed
    version = yaml.safe_load((ROOT / "space_app/README.md").read_text().split("---\n")[1])
    assert gradio == f"gradio[oauth]>={version['sdk_version'].rpartition('.')[0]},<7"


def test_the_same_program_is_the_same_wheel_and_it_runs(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    wheel, again = build_wheel(tmp_path), build_wheel(tmp_path / "again")
    assert wheel.read_bytes() == again.read_bytes()
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(tmp_path / "in")]
    command = [sys.executable, "-m", "pip", "install", *options, str(wheel)]
    subprocess.run(command, check=True)
    program = "import hub, training.remote; print(hub.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(tmp_path / "in")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "in")


def test_a_deployment_sets_up_the_space_and_asks_for_no_hardware(cloud: FakeCloud) -> None:
    code, printed = patternhub("deploy", "--hub-repo", "team/hub")
    assert code == 0, printed
    wheel = f"pattern_hub-{version('pattern-hub')}-py3-none-any.whl"
    assert sorted(cloud.hub.files[REPO]) == ["README.md", "app.py", wheel, "requirements.txt"]
    space = cloud.spaces[REPO]
    assert space["hardware"] == "cpu-basic"
    assert set(space["secrets"]) == {"HF_TOKEN", "PATTERNHUB_PASSWORD"}
    assert space["variables"] == {
        "PATTERNHUB_BUCKET": BUCKET,
        "PATTERNHUB_HUB_REPO": "team/hub",
    }
    assert space["volumes"] == [{"type": "bucket", "source": BUCKET, "mountPath": "/data"}]
    assert cloud.hub.private[REPO]
    assert not any(secret in printed for secret in space["secrets"].values())
    kept = space["secrets"]["PATTERNHUB_PASSWORD"]
    assert patternhub("deploy")[0] == 0
    assert space["secrets"]["PATTERNHUB_PASSWORD"] == kept


def test_status_names_what_waits_and_sleep_pauses(cloud: FakeCloud, tmp_path: Path) -> None:
    run = launch(tiny(tmp_path), "space", settings(minutes=30))
    assert cloud.spaces[REPO]["sleep"] == 30 * 60  # a Space sleeps however much it computes
    code, printed = patternhub("status", "--json")
    assert code == 0
    assert json.loads(printed)["hardware"] == "t4-small"
    assert json.loads(printed)["waiting"] == ["run-1"]
    stop(run)
    assert cloud.spaces[REPO]["hardware"] == "cpu-basic"
    assert json.loads(patternhub("status", "--json")[1])["waiting"] == []
    assert patternhub("sleep")[0] == 0
    assert cloud.spaces[REPO]["stage"] == "PAUSED"
    launch(tiny(tmp_path), "space", settings(), resume=True)
    assert cloud.spaces[REPO]["stage"] == "RUNNING"


@pytest.mark.parametrize("verb", ["status", "logs", "sleep", "files"])
def test_the_space_and_bucket_of_hub_toml_are_meant_where_none_is_named(
    verb: str, cloud: FakeCloud, tmp_path: Path
) -> None:
    cloud.hub.files[REPO] = {}
    cloud.spaces[REPO] = {"hardware": "cpu-basic", "stage": "RUNNING"}
    cloud.programs[REPO] = Program(log=tmp_path / "log.txt")
    (tmp_path / "log.txt").touch()
    Bucket(HfApi(), "team/other").create(private=True)
    command = ["--hub", str(tmp_path), "space", verb]
    (tmp_path / "hub.toml").write_text("")
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2
    assert "no Space is named: give --repo ORG/NAME, or set space under" in refused.output
    (tmp_path / "hub.toml").write_text(f'[training]\nspace = "{REPO}"\nbucket = "team/other"\n')
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_a_space_gives_itself_a_run_without_deploying_or_restarting_itself(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert patternhub("deploy")[0] == 0
    monkeypatch.setenv("SPACE_ID", REPO)
    cloud.spaces[REPO]["hardware"] = "t4-small"
    cloud.hub.seen.clear()
    launch(tiny(tmp_path), "space", settings(minutes=30))
    assert json.loads(patternhub("status", "--json")[1])["waiting"] == ["run-1"]
    assert cloud.spaces[REPO]["sleep"] == 30 * 60
    changes = [request for request in cloud.hub.seen if f"POST /api/spaces/{REPO}" in request]
    assert changes == [f"POST /api/spaces/{REPO}/sleeptime"]


def test_files_rescues_and_registers_what_is_whole_and_names_what_is_not(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team/hub.toml").write_text("")
    patternhub("deploy")
    adapter_folder(tmp_path / "adapter")
    files = {path.name: path for path in (tmp_path / "adapter").iterdir()}
    bucket = Bucket(HfApi(), BUCKET)
    bucket.write({f"runs/good/adapter/{name}": path for name, path in files.items()})
    bucket.write({f"runs/bad/adapter/{name}": path for name, path in files.items()})
    bucket.write({"runs/bad/adapter/adapter_model.safetensors": b"other"})
    cloud.hub.files[REPO] |= {f"out/{name}": path.read_bytes() for name, path in files.items()}
    monkeypatch.chdir(tmp_path / "team")
    code, printed = patternhub("files", "--to", str(tmp_path / "saved"))
    assert code == 1
    (rescued,) = Hub.open(tmp_path / "team").adapters.list()  # it lay in two places
    assert f"saved/good/adapter as {rescued.reference}" in printed
    assert "runs/bad/adapter: not whole: adapter_model.safetensors is not what was" in printed
    assert problems(tmp_path / "saved/good/adapter") == []
    assert problems(tmp_path / "saved/out") == []
    assert not (tmp_path / "saved/bad/adapter").exists()


def test_the_log_of_a_space_is_shown(cloud: FakeCloud, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("step 1\nstep 2\n")
    cloud.programs[REPO] = Program(log=log)
    assert patternhub("logs") == (0, "step 1\nstep 2\n")


def test_a_hub_that_refuses_is_an_error_with_the_way_out(
    cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    code, printed = patternhub("status")
    assert code == 2
    assert "401: the token is missing or wrong" in printed
