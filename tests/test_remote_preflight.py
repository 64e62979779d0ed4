"""What can fail away from this machine is found before anything is asked for that costs money."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.remote_fixtures import ADAPTERS, REPO, live_cloud, settings, tiny
from tests.training_fixtures import tokenizer
from training.errors import TrainingError
from training.hugging_face import hub
from training.preflight import preflight
from training.remote import launch
from training.remote.bucket import Bucket
from training.remote.hardware import Flavour
from training.remote.preflight import remote_preflight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake_cloud import FakeCloud


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as state:
        yield state


def test_what_is_sent_draws_no_bars(
    cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", None)
    bars = importlib.import_module("huggingface_hub.utils.tqdm")
    monkeypatch.setattr(bars, "HF_HUB_DISABLE_PROGRESS_BARS", None)
    monkeypatch.setattr(bars, "progress_bar_states", {})
    bucket = Bucket(hub(), settings().storage)
    bucket.create(private=True)
    bucket.write({"some.bin": b"x" * 9_000})
    assert capfd.readouterr() == ("", "")


BEYOND = "longer than the base's context"


def spent(cloud: FakeCloud) -> bool:
    """Whether hardware was asked for."""
    hardware = any(space["hardware"] != "cpu-basic" for space in cloud.spaces.values())
    return bool(cloud.jobs) or hardware


@pytest.mark.parametrize("where", ["space", "job"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("bad token", "FAIL token: the token: the Hub answers 401"),
        ("no token", "FAIL token: the token: there is no token: set HF_TOKEN, or log in with"),
        ("token that reads", "FAIL token: the token may only read"),
        ("no write right", "FAIL storage: writing preflight.txt to the bucket .* answers 403"),
        ("no right to create", "FAIL storage: the bucket team/space-runs: the Hub answers 403"),
        ("no space on the Hub", "FAIL storage: .* answers 413: there is no space left"),
        ("no right to push", "FAIL push: the model repository team/adapter: .* answers 403"),
        ("gated base", "FAIL base: the base meta/gated: its licence is not accepted yet"),
        ("no such base", "FAIL base: the base meta/none: the Hub answers 404"),
        ("unknown flavour", "FAIL hardware: hardware = 't4-smal' .* did you mean 't4-small'"),
        ("no space on the disk", "FAIL disk: needs about .*; cpu-tiny-disk has 1 GB"),
        ("too long for the limit", "FAIL time: .* set minutes to "),
        ("no rows", "FAIL rows: .* has nothing to learn from"),
        ("patience alone", "FAIL rows: .* train.patience = 2 needs evaluation rows"),
        ("beyond the context", f"FAIL rows: .* 9 {BEYOND}"),
        ("a folder as the base", "FAIL base: .* is a folder of this machine: push it to the Hub"),
        ("a name that is none", "FAIL settings: repo = 'space' is no"),
    ],
)
def test_a_launch_fault_is_named_and_nothing_is_spent(
    fault: str,
    said: str,
    where: str,
    cloud: FakeCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, given = tiny(tmp_path), dict[str, Any]()
    if fault == "bad token":
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    elif fault == "no token":
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    elif fault == "token that reads":
        cloud.hub.role = "read"
    elif fault == "no write right":
        cloud.hub.faults = [("POST /api/buckets/.*/batch", 403)]
    elif fault == "no right to create":
        cloud.hub.faults = [("POST /api/buckets/team/space-runs$", 403)]
    elif fault == "no space on the Hub":
        cloud.hub.faults = [("POST /api/buckets/.*/batch", 413)]
    elif fault == "no right to push":
        cloud.hub.failures = [403]
        given["push_to"] = ADAPTERS
    elif fault == "gated base":
        cloud.hub.gated = {"meta/gated"}
        config = config.model_copy(update={"scratch": None, "base": "meta/gated"})
    elif fault == "no such base":
        config = config.model_copy(update={"scratch": None, "base": "meta/none"})
    elif fault == "unknown flavour":
        given["hardware"] = "t4-smal"
    elif fault == "no space on the disk":
        given["hardware"] = "cpu-tiny-disk"
    elif fault == "too long for the limit":
        given["minutes"] = 5
    elif fault == "no rows":
        (Path(config.dataset) / "train.jsonl").write_text("{}\n")
    elif fault == "patience alone":
        run = config.train.model_copy(update={"patience": 2})
        config = config.model_copy(update={"train": run})
        (Path(config.dataset) / "validation.jsonl").unlink(missing_ok=True)
    elif fault == "beyond the context":
        monkeypatch.setattr("training.prepare.beyond_context", lambda *_: f"9 {BEYOND}")
    elif fault == "a folder as the base":
        config = config.model_copy(update={"scratch": None, "base": config.dataset})
    elif fault == "a name that is none":
        given["repo"] = "space"
    with pytest.raises(TrainingError, match=said):
        launch(config, where, settings(**given))
    assert not spent(cloud)
    assert not Path(config.output).exists()


def test_what_is_unknown_is_said_and_stops_nobody(cloud: FakeCloud, tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    checks = remote_preflight(tiny(tmp_path), "job", settings(hardware="cpu-basic"), HfApi())
    assert all(check.passed for check in checks)
    (time,) = [check for check in checks if check.name == "time"]
    assert "unknown on this hardware" in time.detail


def test_a_base_that_is_still_on_the_hub_needs_room_for_its_download(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of a run on this machine, before it downloads for an hour and fills the disk."""
    from transformers import LlamaConfig

    shape = {"hidden_size": 64, "intermediate_size": 128, "vocab_size": 400}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaConfig(**shape, **heads, dtype="bfloat16").save_pretrained(tmp_path / "base")
    tokenizer("chatml").save_pretrained(tmp_path / "base")
    cloud.hub.files["team/base"] = {p.name: p.read_bytes() for p in (tmp_path / "base").iterdir()}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    config = tiny(tmp_path).model_copy(update={"scratch": None, "base": "team/base"})
    *_, download = preflight(config)
    weights = 2 * 400 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128) + 5 * 64
    assert (download.name, download.passed) == ("download", True)
    assert f"about {weights * 2 * 1.2 / 1e6:.0f} MB in {tmp_path}" in download.detail
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert not preflight(config)[-1].passed


def test_zero_gpu_says_its_limits_before_the_start(cloud: FakeCloud, tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    given = settings(hardware="zero-a10g")
    checks = remote_preflight(tiny(tmp_path), "space", given, HfApi())
    (time,) = [check for check in checks if check.name == "time"]
    assert "120 seconds at a time" in time.detail
    assert all(check.passed for check in checks)


def test_a_cost_comes_from_the_price_and_the_time_or_is_unknown() -> None:
    known = Flavour(name="x", accelerator="T4", memory=None, disk=None, dollars_per_hour=0.6)
    assert known.cost(1800) == "$0.30"
    assert known.cost(None) == "unknown"
    unpriced = Flavour(name="x", accelerator="T4", memory=None, disk=None, dollars_per_hour=None)
    assert unpriced.cost(1800) == "unknown"
    twice = known.seconds(10**9, 2 * 10**7)
    once = known.seconds(10**9, 10**7)
    assert twice is not None
    assert once is not None
    assert twice > once


def test_a_base_that_is_only_here_is_refused(cloud: FakeCloud, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    update = {"scratch": None, "base": str(tmp_path / "base")}
    with pytest.raises(TrainingError, match="base"):
        launch(tiny(tmp_path).model_copy(update=update), "job", settings())
    assert not spent(cloud)


def test_the_token_is_in_no_specification_note_or_log(cloud: FakeCloud, tmp_path: Path) -> None:
    from huggingface_hub import HfApi

    from training.remote.bucket import Bucket

    config = tiny(tmp_path)
    for where in ("space", "job"):
        config = config.model_copy(update={"output": str(tmp_path / where)})
        launch(config, where, settings())
        bucket = Bucket(HfApi(), f"{REPO}-runs")
        said = [bucket.read(path) or b"" for path in cloud.names(bucket.name)]
        said += [path.read_bytes() for path in (tmp_path / where).rglob("*") if path.is_file()]
        assert said
        assert not any(cloud.hub.token.encode() in text for text in said)
    assert cloud.spaces[REPO]["secrets"]["HF_TOKEN"] == cloud.hub.token
    (job,) = cloud.jobs.values()
    assert job["secrets"] == {"HF_TOKEN": cloud.hub.token}
    assert cloud.hub.token not in str(job["command"]) + str(job["environment"])
