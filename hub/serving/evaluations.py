"""Every evaluation that was finished: its scores, its answers as JSON lines, and its page."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.serving.evaluation_page import page
from hub.store.cache import atomic_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hub.serving.gate import Verdict
    from training.evaluate import Evaluation

SCORES, ROWS, PAGE = "scores.json", "rows.jsonl", "report.html"


class Evaluations:
    """The evaluations in a folder, one folder each, beside the answers they share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, evaluation: Evaluation, verdicts: Sequence[Verdict]) -> Path:
        """Keep an evaluation, whole or not at all; returns its folder.

        Raises:
            HubError: it cannot be written.
        """
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S}-{now.microsecond:06d}"
        scores = {"id": name, "finished": now.isoformat(timespec="seconds"), **evaluation.to_json()}
        scores["verdicts"] = [verdict.to_json() for verdict in verdicts]
        target = self.folder / name
        try:
            with atomic_folder(target) as made:
                _write(made / SCORES, json.dumps(scores, indent=2) + "\n")
                _write(made / ROWS, "".join(json.dumps(r) + "\n" for r in evaluation.lines()))
                _write(made / PAGE, page(evaluation, verdicts))
        except OSError as error:
            raise HubError(
                f"{target} cannot be written: {error.strerror or error}; the answers are kept: "
                "make room, and run the same again"
            ) from error
        return target

    def list(self) -> Sequence[dict[str, Any]]:
        """The scores of each, the newest first; what cannot be read is left out."""
        found = []
        for path in sorted(self.folder.glob(f"[0-9]*/{SCORES}"), reverse=True):
            with suppress(OSError, ValueError):
                found.append(json.loads(path.read_text(encoding="utf-8")))
        return found

    def page(self, id: str) -> Path:
        """Where the page of an evaluation is."""
        return self.folder / id / PAGE


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")  # lone surrogates of a model
