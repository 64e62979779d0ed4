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
    from space_app.app import check_closed, launch, serve
    from space_app.context import Context
    from space_app.sign_in import Provider
    from space_app.worker import Worker
    from training.remote.space import BUCKET_VARIABLE, PASSWORD

    bucket, password = os.environ.get(BUCKET_VARIABLE, ""), os.environ.get(PASSWORD, "")
    folder, provider = Path(os.environ.get("PATTERNHUB_HUB", ".")), Provider.from_environment()
    host = "0.0.0.0"
    check_closed(host, password, provider)
    worker = Worker(bucket, repo=os.environ.get("SPACE_ID", "")) if bucket else None
    if worker:
        worker.start()
    if os.environ.get("SPACES_ZERO_GPU"):
        launch(Context(folder, worker), password=password, provider=provider)
        return
    serve(folder, host=host, password=password, worker=worker, provider=provider)


if __name__ == "__main__":
    install(Path(__file__).parent)
    main()
