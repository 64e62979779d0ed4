"""``python -m training.remote RUN``: follow the remote run of a folder until its adapter is here.

With ``--stop``, or told to end (Ctrl-C, SIGTERM), it stops the run; killed, it does not, and the
next one goes on.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import TrainingError
from training.output import alone
from training.remote import follow, load, stop
from training.remote.follow import finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.remote.run import RemoteRun, Status


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 the adapter is here, 1 the run failed, 2 bad usage, 130 it was stopped."""
    try:
        run = load(Path(arguments[0])) if arguments else None
        if run is None or arguments[1:] not in ([], ["--stop"]):
            print("give the folder of a remote run, and --stop to stop it", file=sys.stderr)
            return 2
        with alone(Path(run.folder)):
            said = _stopped(run) if arguments[1:] else _end_of(run)
        run = load(Path(run.folder)) or run  # it may know its Job by now
        replace(run, ended=said.stage).save()
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{said.stage}: {said.detail}", flush=True)
    return {"done": 0, "failed": 1}.get(said.stage, 130)


def _end_of(run: RemoteRun) -> Status:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return follow(run)
    except KeyboardInterrupt:
        return _stopped(run)


def _stopped(run: RemoteRun) -> Status:
    said = stop(run)
    finish(run)
    return said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
