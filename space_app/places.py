"""Where a run can be trained from here: what is offered can work, and what cannot says why.

The same code as ``patternhub train --where``, with what the page says in place of hub.toml.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.remote import as_hub_errors

if TYPE_CHECKING:
    from hub.run import Run
    from hub.runs import Runs
    from space_app.context import Context

LOCAL, SPACE, JOB = "local", "space", "job"
NO_TOKEN = (
    "no Hugging Face token: set HF_TOKEN (on a Space, as a secret), or `hf auth login`, and start "
    "the app again"
)
NO_TRAINING = "training needs: pip install 'pattern-hub[train]'"
NO_BUCKET = (
    "this Space has no bucket to keep runs in, and its disk is emptied when it sleeps: deploy it "
    "with `patternhub space deploy`"
)


@dataclass(frozen=True, slots=True)
class Place:
    """One way to train; ``missing`` is what it lacks, empty: nothing."""

    where: str
    label: str
    missing: str


def places(context: Context) -> list[Place]:
    """Every way to train from where this app runs."""
    from huggingface_hub import get_token

    lacking = "" if all(map(find_spec, ("torch", "trl", "peft"))) else NO_TRAINING
    token = lacking or ("" if get_token() else NO_TOKEN)
    job = "a Job on Hugging Face"
    if own_space():
        bucket = token or ("" if context.worker else NO_BUCKET)
        return [Place(SPACE, "this Space", bucket), Place(JOB, job, bucket)]
    return [
        Place(LOCAL, "this machine", lacking),
        Place(SPACE, "a Space on Hugging Face", token),
        Place(JOB, job, token),
    ]


def own_space() -> str:
    """The Space that this is; empty: it is none."""
    return os.environ.get("SPACE_ID", "")


def runs_at(context: Context, where: str, given: dict[str, Any]) -> Runs:
    """The hub's runs, which start ``where`` the page says.

    Args:
        context: The app's.
        where: local, space or job.
        given: ``space``, ``hardware`` and ``minutes``; hub.toml's hold where they are empty, and
            the hardware that a Space has, for runs on itself.

    Raises:
        HubError: it is not offered here, a setting cannot be meant, or there is no hub.
    """
    place = next((place for place in places(context) if place.where == where), None)
    if place is None or place.missing:
        raise HubError(place.missing if place else "choose where to train")
    if where == LOCAL:
        return context.hub.runs
    asked = {key: value for key, value in given.items() if value}
    if context.worker:
        asked |= {"space": own_space(), "bucket": context.worker.bucket.name}
        if where == SPACE and "hardware" not in asked:
            with as_hub_errors():
                asked["hardware"] = context.worker.hardware
    return context.hub.runs.but(**asked)


def place_of(run: Run) -> str:
    """Where a run was started: local, space or job.

    Raises:
        HubError: its note cannot be read.
    """
    from training.remote import load

    with as_hub_errors():
        remote = load(run.folder)
    return remote.where if remote else LOCAL
