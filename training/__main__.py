"""``python -m training CONFIG.yaml``: the whole of a run, without the hub.

Exit status: 0 the adapter is in place, 1 the run failed, 2 the settings cannot be used, 130 it was
interrupted and can be resumed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from training.config import load_config, presets, setting
from training.errors import TrainingError
from training.hardware import steady_memory
from training.output import CONFIG
from training.processes import is_first, leave
from training.runlog import FAILED, RunLog, line_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.preflight import Check
    from training.remote.pushing import Pusher
    from training.runlog import Event


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.config.endswith(".json"):
        return _work(asked.config)
    given = {name: getattr(asked, name) for name in ("base", "dataset", "output")}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        config = load_config(asked.config, given | dict(map(setting, asked.set)))
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 2
    _quiet()
    from training.preflight import preflight
    from training.sft import train

    try:
        if asked.dry_run:
            checks = preflight(config, steps=asked.measure, price=asked.price)
            return 1 if _report(checks) else 0
        if (
            is_first()
            and not (asked.resume or asked.no_checks)
            and (wrong := _report(preflight(config)))
        ):
            output = Path(config.output)
            # Whoever made a run's folder and started it reads there why.
            if (output / CONFIG).is_file() and "output" not in wrong:
                RunLog(output)(FAILED, reason="; ".join(map(": ".join, wrong.items())))
            return 1
        pusher = _pusher(config.output, asked.push_to)
        try:
            result = train(config, resume=asked.resume, listener=pusher or _print)
        finally:
            if pusher:
                pusher.close()
            leave()
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if result.adapter is None:
        print(f"stopped after step {result.steps}; go on with --resume", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train an adapter from a dataset."
    )
    parser.add_argument(
        "config",
        help=f"a YAML file; a preset: {', '.join(presets())}; or the specification of a remote "
        "run, as JSON",
    )
    parser.add_argument("--dataset", help="folder with train.jsonl")
    parser.add_argument("--output", help="folder of the run")
    parser.add_argument("--base", help="folder or id of the base model")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as train.epochs=1"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--dry-run", action="store_true", help="check everything, keep nothing")
    parser.add_argument(
        "--no-checks", action="store_true", help="start though a check, as of memory, would fail"
    )
    parser.add_argument(
        "--measure",
        type=int,
        default=2,
        metavar="STEPS",
        help="steps that a dry run makes to say how long the run will take; 0: none",
    )
    parser.add_argument(
        "--price", type=float, default=0.0, help="of an hour on this machine, for a dry run"
    )
    parser.add_argument(
        "--push-to", default="", metavar="ORG/NAME", help="repository that each checkpoint goes to"
    )
    return parser


def _pusher(output: str, repo: str) -> Pusher | None:
    """What sends each checkpoint to a repository on the Hub, where one is named."""
    if not repo or not is_first():
        return None
    from training.remote.pushing import Pusher

    return Pusher(Path(output), repo, _print)


def _work(specification: str) -> int:
    """What a Space or a Job runs."""
    _quiet()
    from training.hugging_face import hub
    from training.remote.job import read_job
    from training.remote.worker import work

    try:
        job = read_job(Path(specification).read_bytes(), specification)
    except (OSError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        status = work(job, hub(), listener=_print)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{status.stage}: {status.detail}", flush=True)
    return {"done": 0, "failed": 1}.get(status.stage, 130)


def _quiet() -> None:
    """Only what the run itself says, and what is wrong."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from datasets import disable_progress_bars
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    disable_progress_bars()


def _report(checks: Sequence[Check]) -> dict[str, str]:
    """Print all checks; those that failed, with their reasons."""
    for check in checks:
        print(check, flush=True)
    return {check.name: check.detail for check in checks if not check.passed}


def _print(event: Event) -> None:
    print(line_of(event), flush=True)


if __name__ == "__main__":
    if (steady := steady_memory(os.environ)) != os.environ and sys.platform == "linux":
        os.execve(sys.executable, sys.orig_argv, steady)  # malloc reads it at the start alone
    sys.exit(main())
