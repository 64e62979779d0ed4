"""What a Space or Job runs: nothing that was saved is lost to the Hub, the machine or the clock."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import HfApi

from tests.remote_fixtures import ADAPTERS, REPO, live_cloud, settings, tiny
from training.checkpoints import MANIFEST, problems
from training.errors import TrainingError
from training.hugging_face import HubAnswerError
from training.remote import RemoteRun, fetch, launch, load, status, stop
from training.remote.bucket import Bucket
from training.remote.job import Job, read_job
from training.remote.run import Status
from training.remote.slices import in_slices, run_slice
from training.remote.worker import read_outcome, work, write_outcome
from training.runlog import read_log
from training.sft import Result, train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake_cloud import FakeCloud

BUCKET = f"{REPO}-runs"
BATCH = f"POST /api/buckets/{BUCKET}/batch"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as state:
        yield state


@pytest.fixture
def launched(cloud: FakeCloud, tmp_path: Path) -> RemoteRun:
    return launch(tiny(tmp_path), "job", settings(push_to=ADAPTERS))


def job_of(run: RemoteRun) -> Job:
    text = Bucket(HfApi(), BUCKET).read(f"jobs/{run.run}.json")
    assert text is not None
    return read_job(text, run.run)


def new_machine(tmp_path: Path) -> None:
    """The disk is gone, as a Space's or a Job's is."""
    shutil.rmtree(tmp_path / "patternhub", ignore_errors=True)


def weights(run: RemoteRun) -> bytes:
    return (Path(run.folder) / "adapter/adapter_model.safetensors").read_bytes()


def saved(output: Path, step: int) -> dict[str, Any]:
    """A checkpoint as a run leaves it, and the event that says so."""
    from training.checkpoints import publish

    partial = output / "checkpoints/.partial"
    partial.mkdir(parents=True)
    (partial / "state.bin").write_bytes(bytes(100 + step))
    publish(partial, output / f"checkpoints/checkpoint-{step}")
    return {"event": "save", "step": step}


def finished(output: Path) -> Result:
    """An adapter as a run leaves it."""
    from training.checkpoints import publish

    partial = output / ".adapter"
    partial.mkdir(parents=True)
    (partial / "adapter_model.safetensors").write_bytes(b"weights")
    publish(partial, output / "adapter")
    return Result(adapter=output / "adapter", steps=4, metrics={})


def saving(config: Any, *, listener: Any, **_: Any) -> Result:
    """In the place of training, where only what is saved matters."""
    for step in (2, 4):
        listener(saved(Path(config.output), step))
    return finished(Path(config.output))


@pytest.mark.slow
def test_slices_and_lost_machines_end_with_the_weights_of_one_run(
    cloud: FakeCloud, launched: RemoteRun, tmp_path: Path
) -> None:
    """As on ZeroGPU: each slice stops after a step, and each machine after a slice."""
    whole = tiny(tmp_path).model_copy(update={"output": str(tmp_path / "whole")})
    train(whole)
    job, slices = job_of(launched).model_copy(update={"seconds": 0.001}), 0
    said = Status("waiting")
    while said.stage != "done":
        said = work(job, HfApi(), train=in_slices(run_slice, 0.001))
        new_machine(tmp_path)
        slices += 1
    assert slices >= 4  # steps
    adapter = fetch(launched)
    assert adapter is not None
    assert weights(launched) == (tmp_path / "whole/adapter/adapter_model.safetensors").read_bytes()
    assert status(launched) == Status("done", f"the adapter is in the bucket {BUCKET}")


def test_a_slice_that_is_too_short_says_so(launched: RemoteRun) -> None:
    def nothing(*_: Any) -> Result:
        return Result(adapter=None, steps=0, metrics={}, stopped="interrupted")

    said = work(job_of(launched), HfApi(), train=in_slices(nothing))
    assert said.stage == "failed"
    assert "too short for one step" in said.detail


@pytest.mark.parametrize("trouble", [500, 503, 429, 0])
def test_a_hub_that_fails_while_pushing_is_waited_for(
    trouble: int, cloud: FakeCloud, launched: RemoteRun
) -> None:
    """More often in a row than the client itself tries, at the saves and at the last push."""
    cloud.hub.failures = [trouble] * 14
    cloud.hub.faults = [(BATCH, trouble)] * 14
    assert work(job_of(launched), HfApi(), train=saving).stage == "done"
    assert cloud.hub.failures == []
    assert not [pattern for pattern, _ in cloud.hub.faults if pattern == BATCH]
    adapter = fetch(launched)
    assert adapter is not None
    assert problems(adapter) == []
    assert any(n.startswith("run-1-") and n.endswith(MANIFEST) for n in cloud.hub.files[ADAPTERS])


def test_a_push_that_is_refused_at_the_end_loses_nothing(
    cloud: FakeCloud, launched: RemoteRun, tmp_path: Path
) -> None:
    cloud.hub.failures = [403] * 9
    with pytest.raises(HubAnswerError, match=f"pushing adapter to {ADAPTERS}: the Hub answers 403"):
        work(job_of(launched), HfApi(), train=saving)
    adapter = fetch(launched)  # the bucket has it
    assert adapter is not None
    cloud.hub.failures = []
    new_machine(tmp_path)

    def never(*_: Any, **__: Any) -> Result:
        raise AssertionError("a finished run is not trained again")

    assert work(job_of(launched), HfApi(), train=never).stage == "done"
    assert any(name.startswith("run-1-") for name in cloud.hub.files[ADAPTERS])


def test_an_adapter_that_only_the_model_repository_has_is_found(
    cloud: FakeCloud, launched: RemoteRun
) -> None:
    work(job_of(launched), HfApi(), train=saving)
    Bucket(HfApi(), BUCKET).delete(cloud.names(BUCKET, "runs/run-1/adapter/"))
    adapter = fetch(launched)
    assert adapter is not None
    assert problems(adapter) == []


def test_checkpoints_that_the_run_dropped_leave_the_bucket(
    cloud: FakeCloud, launched: RemoteRun
) -> None:
    def dropping(config: Any, *, listener: Any, **_: Any) -> Result:
        output = Path(config.output)
        listener(saved(output, 2))
        shutil.rmtree(output / "checkpoints/checkpoint-2")
        listener(saved(output, 4))
        raise TrainingError("the loss is nan")

    said = work(job_of(launched), HfApi(), train=dropping)
    assert (said.stage, said.detail) == ("failed", "the loss is nan")
    kept = {n.split("/")[3] for n in cloud.names(BUCKET, "runs/run-1/checkpoints/")}
    assert kept == {"checkpoint-4"}
    assert status(launched) == said


def test_a_checkpoint_that_is_damaged_there_is_not_taken(
    cloud: FakeCloud, launched: RemoteRun, tmp_path: Path
) -> None:
    work(job_of(launched), HfApi(), train=saving)
    bucket = Bucket(HfApi(), BUCKET)
    bucket.write({"runs/run-1/checkpoints/checkpoint-4/state.bin": b"other"})
    bucket.write({"runs/run-1/adapter/adapter_model.safetensors": b"other"})
    new_machine(tmp_path)
    seen: list[str] = []

    def looking(config: Any, *, resume: bool, **_: Any) -> Result:
        seen.extend(p.name for p in Path(config.output, "checkpoints").iterdir())
        assert resume
        return finished(Path(config.output))

    work(job_of(launched), HfApi(), train=looking)
    assert seen == ["checkpoint-2"]
    adapter = fetch(launched)
    assert adapter is not None
    assert problems(adapter) == []


def test_a_dataset_that_has_changed_is_not_trained_on(
    cloud: FakeCloud, launched: RemoteRun
) -> None:
    (path,) = cloud.names(BUCKET, "datasets/")
    Bucket(HfApi(), BUCKET).write({path: b"{}\n"})
    with pytest.raises(TrainingError, match=r"train\.jsonl in .* is not the file"):
        work(job_of(launched), HfApi(), train=saving)


def test_a_stopped_job_stays_stopped_and_can_be_gone_on_with(
    cloud: FakeCloud, launched: RemoteRun, tmp_path: Path
) -> None:
    assert stop(launched).stage == "stopped"
    assert cloud.programs[launched.job].canceled
    assert status(launched).stage == "stopped"
    with pytest.raises(TrainingError, match="is stopped: name another output, or go on with"):
        launch(tiny(tmp_path), "job", settings())
    again = launch(tiny(tmp_path), "job", settings(), resume=True)
    assert again.job != launched.job
    assert read_outcome(Bucket(HfApi(), BUCKET), launched.prefix) is None


def test_a_job_whose_answer_was_lost_is_found_and_not_started_twice(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = HfApi.run_uv_job

    def hangs_up(*arguments: Any, **options: Any) -> Any:
        start(*arguments, **options)
        raise OSError("hung up")

    monkeypatch.setattr(HfApi, "run_uv_job", hangs_up)
    run = launch(tiny(tmp_path), "job", settings())
    assert list(cloud.jobs) == [run.job]
    noted = load(Path(run.folder))
    assert noted is not None
    assert noted.job == run.job


@pytest.mark.parametrize("trouble", [503, 0])
def test_a_hub_that_fails_while_hardware_is_asked_for_is_asked_again(
    trouble: int, cloud: FakeCloud, tmp_path: Path
) -> None:
    cloud.hub.faults = [
        (request, trouble)
        for request in ("POST /api/jobs/team$", "POST .*/hardware", "POST .*/secrets")
    ] * 2
    for where in ("job", "space"):
        config = tiny(tmp_path).model_copy(update={"output": str(tmp_path / where)})
        launch(config, where, settings())
    assert len(cloud.jobs) == 1
    assert cloud.spaces[REPO]["hardware"] == "t4-small"


def test_a_busy_space_is_not_interrupted(cloud: FakeCloud, tmp_path: Path) -> None:
    launch(tiny(tmp_path), "space", settings())
    other = tiny(tmp_path).model_copy(update={"output": str(tmp_path / "run-2")})
    with pytest.raises(TrainingError, match="has not finished run-1: wait, or stop it"):
        launch(other, "space", settings())
    write_outcome(Bucket(HfApi(), BUCKET), "runs/run-1", Status("done"))
    launch(other, "space", settings())


def test_a_log_that_is_longer_there_comes_here(cloud: FakeCloud, launched: RemoteRun) -> None:
    bucket = Bucket(HfApi(), BUCKET)
    bucket.write({"runs/run-1/run.jsonl": b'{"time": 1, "event": "resume", "step": 1}\n'})
    assert fetch(launched) is None
    assert [event["step"] for event in read_log(Path(launched.folder))] == [1]
