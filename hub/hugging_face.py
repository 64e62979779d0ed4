"""What the Hugging Face Hub refuses, as an error of the hub."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hub.errors import HubError
from training import hugging_face
from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def asking(repository: str) -> Iterator[None]:
    """Whatever goes wrong with ``repository`` inside the block becomes a HubError.

    Raises:
        HubError: the name is none, or the Hub refuses or is not there.
    """
    try:
        with hugging_face.asking(repository):
            yield
    except TrainingError as error:
        raise HubError(str(error)) from error
