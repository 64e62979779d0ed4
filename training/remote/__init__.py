"""The same training on a Hugging Face Space or as an HF Job, with the adapter kept twice.

    run = launch(config, "space", Remote(repo="team/patterns", hardware="a10g-small"))
    follow(run)                      # or, after the laptop was closed: load(folder), status, fetch

What a run needs goes to a bucket by reference, what it makes comes back to that bucket at each
save and, where one is named, to a model repository. ``remote.json`` in the run's folder says where
it went; nothing else has to be remembered.
"""

from training.remote.follow import fetch, follow, status, stop
from training.remote.launch import launch
from training.remote.recall import recall
from training.remote.run import Remote, RemoteRun, Status, load

__all__ = [
    "Remote",
    "RemoteRun",
    "Status",
    "fetch",
    "follow",
    "launch",
    "load",
    "recall",
    "status",
    "stop",
]
