"""What a Space runs, uploaded as its ``app.py``: the jobs in its bucket, and the page.

A Space installs requirements.txt before it has the other files, so that the wheel beside this file
is installed here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def install(folder: Path) -> None:
    """Install the newest wheel of ``folder``, whose dependencies are there already."""
    for wheel in sorted(folder.glob("*.whl"))[-1:]:
        options = ["--quiet", "--no-deps", "--force-reinstall", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)


def main() -> None:
    """Start the work in the background, and the page before it."""
    from space_app.app import build, serve
    from space_app.context import Context
    from space_app.worker import Worker
    from training.remote.space import BUCKET_VARIABLE, PASSWORD

    bucket, password = os.environ.get(BUCKET_VARIABLE, ""), os.environ.get(PASSWORD, "")
    folder = Path(os.environ.get("PATTERNHUB_HUB", "."))
    worker = Worker(bucket, repo=os.environ.get("SPACE_ID", "")) if bucket else None
    if worker:
        worker.start()
    if worker and worker.slice:  # ZeroGPU waits for Gradio's own launch
        build(Context(folder, worker)).launch(
            server_name="0.0.0.0", auth=("team", password), ssr_mode=False
        )
        return
    serve(folder, host="0.0.0.0", password=password, worker=worker)


if __name__ == "__main__":
    install(Path(__file__).parent)
    main()
