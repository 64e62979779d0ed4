"""What a Space runs, uploaded as its ``app.py``: the jobs in its bucket, and the page.

A Space installs requirements.txt before it has the other files, so that the wheel beside this file
is installed here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MINUTES = 1  # between two looks at what people left
HOW = (
    "a hub comes from a dataset repository; upload a hub's folder, with .patternhub, by `hf upload "
    "ORG/NAME FOLDER --repo-type dataset`, then `patternhub space deploy --hub-repo ORG/NAME`"
)


def install(folder: Path) -> None:
    """Install the newest wheel of ``folder``, whose dependencies are there already."""
    for wheel in sorted(folder.glob("*.whl"))[-1:]:
        options = ["--quiet", "--no-deps", "--force-reinstall", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)


def main() -> None:
    """Start the work in the background, and the page before it."""
    from space_app.app import check_closed, launch, serve
    from space_app.context import Context
    from space_app.sign_in import Provider
    from space_app.worker import Worker
    from training.remote.space import BUCKET_VARIABLE, PASSWORD

    bucket, password = os.environ.get(BUCKET_VARIABLE, ""), os.environ.get(PASSWORD, "")
    provider, host = Provider.from_environment(), "0.0.0.0"
    check_closed(host, password, provider)
    worker = Worker(bucket, repo=os.environ.get("SPACE_ID", "")) if bucket else None
    folder, missing = hub_folder()
    context = Context(folder, worker, notes=[note for note in (missing, keep(folder)) if note])
    if worker:
        worker.start()
        context.recall()
    if os.environ.get("SPACES_ZERO_GPU"):
        launch(context, password=password, provider=provider)
        return
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    mcp = bool(os.environ.get("PATTERNHUB_MCP"))
    serve(context, host=host, port=port, password=password, provider=provider, mcp=mcp)


def hub_folder() -> tuple[Path, str]:
    """Where the hub is, and what is missing, in words: the dataset repository that the Space's
    variable ``PATTERNHUB_HUB_REPO`` names is brought to this disk."""
    from training.errors import TrainingError
    from training.hugging_face import asking, hub
    from training.remote.space import HUB_VARIABLE

    folder = Path(os.environ.get("PATTERNHUB_HUB") or Path(tempfile.gettempdir()) / "hub")
    folder.mkdir(parents=True, exist_ok=True)
    repo = os.environ.get(HUB_VARIABLE, "")
    if not repo:
        known = any(folder.iterdir())
        return folder, "" if known else f"No hub yet: {HOW}"
    try:
        with asking(f"the hub in the dataset repository {repo}"):
            hub().snapshot_download(repo, repo_type="dataset", local_dir=folder)
    except TrainingError as error:
        return folder, f"{error}. {HOW}"
    if not (folder / ".patternhub").is_dir():
        return folder, f"{repo} holds no hub: {HOW}"
    return folder, ""


def keep(folder: Path) -> str:
    """Bring votes and examples, each minute that has new ones, to the dataset repository that the
    hub came from, for a Space's disk forgets; what is wrong with that, in words."""
    from huggingface_hub import CommitScheduler

    from hub.config import EXAMPLES, STORE_DIR, VOTES
    from training.errors import TrainingError
    from training.hugging_face import asking, hub, may_write
    from training.remote.space import HUB_VARIABLE

    repo = os.environ.get(HUB_VARIABLE, "")
    if not repo:
        return ""
    kept = [f"{STORE_DIR}/{VOTES}", f"{EXAMPLES}/*"]
    options: dict[str, Any] = {"repo_type": "dataset", "every": MINUTES}
    options |= {"allow_patterns": kept, "ignore_patterns": "*.lock"}
    try:
        with asking(repo):
            may_write(hub())
            CommitScheduler(repo_id=repo, folder_path=folder, hf_api=hub(), **options)
    except TrainingError as error:
        return f"Votes and examples go with this Space's disk, not to {repo}: {error}"
    return ""


if __name__ == "__main__":
    install(Path(__file__).parent)
    main()
