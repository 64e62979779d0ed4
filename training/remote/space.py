"""The Space that trains: deployed once, given one specification after another.

What is uploaded is ``space_app`` with this project's wheel beside it. Hardware is asked for last,
for that is when it begins to cost.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.hugging_face import asking, patiently
from training.remote.run import FREE_HARDWARE, ZERO_GPU
from training.remote.wheel import build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfApi

    from training.remote.run import Remote

APP_FILES = {
    "on_space.py": "app.py",
    "README.md": "README.md",
    "requirements.txt": "requirements.txt",
}
PASSWORD = "PATTERNHUB_PASSWORD"  # of the page
MOUNT, BUCKET_VARIABLE = "/data", "PATTERNHUB_BUCKET"
HUB_VARIABLE = "PATTERNHUB_HUB_REPO"  # a dataset repository with a hub, for the page
BROKEN = {"BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", "NO_APP_FILE"}
RESTING = {"PAUSED", "STOPPED", "SLEEPING"}


def deploy(api: HfApi, remote: Remote, token: str) -> str:
    """Create the Space or bring it up to date, on the hardware that it has; returns its address.

    Raises:
        TrainingError: the Hub refuses.
    """
    repo = remote.repo
    with tempfile.TemporaryDirectory() as text:
        tree = app_tree(Path(text))
        with asking(f"the Space {repo}"):
            url = api.create_repo(
                repo,
                repo_type="space",
                space_sdk="gradio",
                private=remote.private,
                exist_ok=True,
            )
            api.upload_folder(
                repo_id=repo,
                repo_type="space",
                folder_path=tree,
                delete_patterns="*.whl",
                commit_message="The Pattern Hub app and the program that it runs",
            )
    patiently(_set_up, api, remote, token)
    return str(url)


def app_tree(folder: Path) -> Path:
    """Exactly what a Space gets, in ``folder``."""
    spec = find_spec("space_app")
    if spec is None or spec.origin is None:
        raise TrainingError("the package space_app is not here: install pattern-hub whole")
    for name, there in APP_FILES.items():
        shutil.copyfile(Path(spec.origin).parent / name, folder / there)
    build_wheel(folder)
    return folder


def _set_up(api: HfApi, remote: Remote, token: str) -> None:
    from huggingface_hub import Volume

    volume = Volume(type="bucket", source=remote.storage, mount_path=MOUNT)
    with asking(f"setting up the Space {remote.repo}"):
        api.add_space_secret(remote.repo, "HF_TOKEN", token)
        given = os.environ.get(PASSWORD, "")
        if given or PASSWORD not in api.get_space_secrets(remote.repo):
            # The page must not be open; nobody knows a drawn one, so that it can only be replaced.
            api.add_space_secret(remote.repo, PASSWORD, given or secrets.token_urlsafe())
        api.add_space_variable(remote.repo, BUCKET_VARIABLE, remote.storage)
        api.set_space_volumes(remote.repo, volumes=[volume])


def start(api: HfApi, remote: Remote) -> None:
    """Wake the Space on the hardware of ``remote``: from here on it costs.

    A Space sleeps where nobody looks at it, however much it computes, so that its sleep time is
    the run's limit: long enough for the run, and the end of the bill if all else fails.
    """
    paid = remote.hardware not in {FREE_HARDWARE, ZERO_GPU}

    def ask() -> None:
        with asking(f"{remote.hardware} for the Space {remote.repo}"):
            limit: dict[str, Any] = {"sleep_time": int(remote.minutes * 60)} if paid else {}
            api.request_space_hardware(remote.repo, remote.hardware, **limit)  # type: ignore[arg-type]
            if str(api.get_space_runtime(remote.repo).stage) in RESTING:
                api.restart_space(remote.repo)

    patiently(ask)


def stay(api: HfApi, remote: Remote) -> None:
    """For a run that the Space gives itself: it is deployed, and a restart is only for hardware
    that it does not have."""

    def ask() -> bool:
        with asking(f"the Space {remote.repo}"):
            runtime = api.get_space_runtime(remote.repo)
            if (runtime.requested_hardware or runtime.hardware) != remote.hardware:
                return False
            if remote.hardware not in {FREE_HARDWARE, ZERO_GPU}:
                api.set_space_sleep_time(remote.repo, int(remote.minutes * 60))
            return True

    if not patiently(ask):
        start(api, remote)


def rest(api: HfApi, repo: str) -> None:
    """Back to the hardware that costs nothing; a Space that will not is paused.

    Raises:
        TrainingError: the Hub refuses both.
    """
    with asking(f"the Space {repo}"):
        runtime = api.get_space_runtime(repo)
    if (runtime.requested_hardware or runtime.hardware) in {None, FREE_HARDWARE, ZERO_GPU}:
        return
    try:
        with asking(f"{FREE_HARDWARE} for the Space {repo}"):
            api.request_space_hardware(repo, FREE_HARDWARE)  # type: ignore[arg-type]
    except TrainingError:
        pause(api, repo)


def pause(api: HfApi, repo: str) -> None:
    """Stop the Space; it costs nothing until its owner starts it again."""

    def ask() -> None:
        with asking(f"pausing the Space {repo}"):
            api.pause_space(repo)

    patiently(ask)


def log_lines(api: HfApi, repo: str, *, build: bool = False) -> Iterator[str]:
    """What the Space has printed, or its build."""
    with asking(f"the log of the Space {repo}"):
        for line in api.fetch_space_logs(repo, build=build):
            yield line.rstrip("\n")
