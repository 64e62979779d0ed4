"""A terminal's Ctrl-C ends the program, not its workers one by one."""

import subprocess
import sys

PROGRAM = """
import signal
from hub.workers import start_workers

if __name__ == "__main__":
    with start_workers(2) as executor:
        print(executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result())
"""


def test_workers_get_no_ctrl_c_from_their_first_moment() -> None:
    """In a process of its own: Python's resource tracker, once running, hides the trouble."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert "SIGINT" in done.stdout
