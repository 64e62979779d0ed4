"""The page of the Space: what is being trained, and the end of its log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
if wheels := sorted(HERE.glob("*.whl")):
    # A Space installs requirements.txt before it has the other files, so not the wheel.
    options = ["--quiet", "--no-deps", "--force-reinstall", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheels[-1])], check=True)

if TYPE_CHECKING:
    from space_app.jobs import Jobs


def build(jobs: Jobs | None) -> Any:
    """The page; without a bucket it says what is missing."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    with gr.Blocks(title="Pattern Hub", analytics_enabled=False) as page:
        gr.Markdown("# Pattern Hub")
        if jobs is None:
            gr.Markdown("No bucket is set: `patternhub space deploy --repo ORG/NAME` sets it.")
            return page
        gr.Markdown(f"Trains what waits in the bucket `{jobs.bucket.name}`.")
        log = gr.Textbox(label="Log", lines=20, interactive=False)
        timer = gr.Timer(2.0)
        for event in (timer.tick, page.load):
            event(lambda: "\n".join(jobs.lines), outputs=log, api_visibility="private")
    return page


def main() -> None:
    """Start the page, and the work behind it."""
    from space_app.jobs import Jobs
    from training.remote.space import BUCKET_VARIABLE

    bucket = os.environ.get(BUCKET_VARIABLE, "")
    jobs = Jobs(bucket, repo=os.environ.get("SPACE_ID", "")) if bucket else None
    if jobs:
        jobs.start()
    build(jobs).launch()


if __name__ == "__main__":
    main()
