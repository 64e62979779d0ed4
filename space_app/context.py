"""What every tab works on: the hub, and what is known of its patterns beside their text.

Annotations and links from tests take seconds to minutes: a thread finds them, once for each
generation of the index, and pages say so until they are there.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from space_app.finding import find
from space_app.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hub.answering.arms import ArmName, Arms
    from hub.answering.records import Answer
    from hub.api import Hub
    from hub.curate.annotate import Annotation
    from space_app.worker import Worker

LENT_SECONDS = 60  # of GPU for one question


@dataclass(frozen=True)
class Knowledge:
    """Annotations by pattern id, and for each pattern the ids of its tests, best first."""

    generation: int = 0
    annotations: Mapping[str, Annotation] = field(default_factory=dict)
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def categories(self) -> list[str]:
        return sorted({found.category for found in self.annotations.values()})


def lent(answer: Callable[..., Iterator[Any]]) -> tuple[Callable[..., Iterator[Any]] | None, str]:
    """``answer`` with a GPU that ZeroGPU lends, and what is missing for that; None: no ZeroGPU."""
    if not os.environ.get("SPACES_ZERO_GPU"):
        return None, ""
    try:
        import spaces
    except ImportError:
        return None, (
            "ZeroGPU lends GPUs through the package spaces, which is missing: add it to "
            "requirements.txt; until then models answer without a GPU"
        )
    return spaces.GPU(duration=LENT_SECONDS)(answer), ""


class Context:
    """The hub in ``folder`` and what is known of it; shared by all who use the app."""

    def __init__(
        self,
        folder: Path,
        worker: Worker | None = None,
        *,
        notes: Sequence[str] = (),
        at_home: bool = False,
    ) -> None:
        """Open nothing yet.

        Args:
            folder: Of the hub.
            worker: Trains, where this is a Space that was given runs.
            notes: What is missing, told on each page.
            at_home: Who asks sits at this machine, and may have any folder of it indexed.
        """
        self.folder = folder
        self.worker = worker
        self.at_home = at_home
        self.notes = list(notes)
        self._lent, lacking = lent(self._kept_answers)
        self.notes += [lacking] if lacking else []
        self.jobs = Jobs()
        self.starting = threading.Lock()  # of runs: one is there before the next one looks
        self._hub: Hub | None = None
        self._arms: tuple[str, Arms] | None = None
        self._knowledge = Knowledge()
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._finding: threading.Thread | None = None

    @property
    def hub(self) -> Hub:
        """The hub.

        Raises:
            HubError: the folder holds none, or its settings are wrong.
        """
        with self._lock:
            if self._hub is None:
                self._hub = self.open_hub()
            return self._hub

    def open_hub(self) -> Hub:
        """The hub once more, for work in a thread: what answers people stays free.

        Raises:
            HubError: the folder holds none, or its settings are wrong.
        """
        from hub.api import Hub

        return Hub.open(self.folder)

    def arms(self, adapter: str) -> Arms:
        """What answers questions, with ``adapter`` or, empty, with hub.toml's; the last is kept,
        for it may hold a model.

        Raises:
            HubError: the model or the adapter is not there, or they do not belong together.
        """
        hub = self.hub
        key = self.named(adapter)
        with self._loading:  # minutes, for a large model: search goes on meanwhile
            if self._arms is None or self._arms[0] != key:
                self._arms = None  # before another model is loaded
                self._arms = key, hub.arms(adapter=adapter or None)
            return self._arms[1]

    def let_arms_go(self) -> None:
        """Give back the memory of a model that is kept."""
        with self._loading:
            self._arms = None

    def answers(
        self, arms: Arms, question: str, names: Sequence[ArmName]
    ) -> Iterator[tuple[ArmName, str | Answer]]:
        """As ``arms.answers``; on ZeroGPU a model of this machine answers where a GPU is lent.

        Raises:
            HubError: there is no such arm, no question, or one that is too long.
        """
        if arms.is_local and self._lent:
            return self._lent(arms.model, question, names)
        return arms.answers(question, names)

    def _kept_answers(
        self, model: str, question: str, names: Sequence[ArmName]
    ) -> Iterator[tuple[ArmName, str | Answer]]:
        """Runs in a fork of this process, which has the model that was loaded before."""
        if self._arms is None or self._arms[1].model != model:
            raise HubError("somebody else chose another model meanwhile: ask again")
        yield from self._arms[1].answers(question, names)

    def named(self, adapter: str) -> str:
        """The reference and digest, or the folder, of ``adapter`` or, empty, of hub.toml's."""
        adapter = adapter or self.hub.workspace.config.answering.adapter
        try:
            found = self.hub.adapters.get(adapter)
        except HubError:
            return adapter
        return f"{found.reference} {found.digest}"

    def warm(self) -> None:
        """Load in a thread what the first question would wait for."""

        def load() -> None:
            with contextlib.suppress(HubError):  # pages say what is missing
                self.hub.search("warm", limit=1)
                self.knowledge()

        threading.Thread(target=load, daemon=True).start()

    def recall(self) -> None:
        """Find the runs of this Space's bucket again, in a thread: its disk forgets them."""
        from space_app.places import SPACE, runs_at

        def find() -> None:
            try:
                runs_at(self, SPACE, {}).recall()
            except HubError as error:
                self.notes.append(f"Earlier runs are not shown: {error}")

        threading.Thread(target=find, daemon=True).start()

    def knowledge(self) -> Knowledge:
        """What is known of the generation that answers now; empty while it is being found."""
        generation = self.hub.generation()
        with self._lock:
            if self._knowledge.generation == generation:
                return self._knowledge
            if self._finding is None or not self._finding.is_alive():
                self._finding = threading.Thread(target=self._find, args=(generation,), daemon=True)
                self._finding.start()
        return Knowledge()

    def wait(self) -> Knowledge:
        """Like :meth:`knowledge`, once it is there."""
        while not (known := self.knowledge()).generation:
            finding = self._finding
            if finding is not None:
                finding.join()
        return known

    def _find(self, generation: int) -> None:
        try:
            annotations, tests = find(self.open_hub(), self.folder)
        except HubError:
            annotations, tests = {}, {}  # emptied meanwhile: there is nothing to know
        with self._lock:
            self._knowledge = Knowledge(generation, annotations, tests)
