"""Training runs of a hub: each a folder, and a process that nobody has to watch.

``.patternhub/runs/RUN`` is what ``python -m training`` writes (settings, log, checkpoints, adapter)
with ``run.json``, what the hub knows of it. A run has a session of its own, and how it goes is read
from its folder alone: whoever closed the terminal, killed the command or restarted the app finds it
again.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.config import Training
    from hub.serving.registry import Registry
    from hub.types import Adapter
    from training.config import Config
    from training.preflight import Check
    from training.runlog import Event

FOLDER, RECORD, CONSOLE, ASKED = "runs", "run.json", "console.txt", "stop.json"
POLL = 0.2  # seconds between two looks at a run that goes on
OWN = ("dataset", "output")  # settings that the hub gives

State = Literal["running", "done", "stopped", "failed", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a run's own files do not say.

    ``name`` is that of its adapter, ``adapter`` its reference in the registry once it is taken, and
    ``refused`` why it could not be.
    """

    name: str
    preset: str
    created: float
    adapter: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run stands: ``step`` of ``steps`` are done, of the base or of the adapter.

    ``reason`` says why it ended early.
    """

    id: str
    folder: Path
    name: str
    preset: str
    created: float
    state: State
    phase: Literal["starting", "base", "adapter"]
    step: int
    steps: int
    loss: float | None
    evaluation: float | None
    adapter: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"folder": str(self.folder)}


class Runs:
    """The runs in one folder; ``settings`` are what hub.toml says where a caller says nothing."""

    def __init__(self, folder: Path, settings: Training) -> None:
        """Prepare to read and start runs; nothing is written yet."""
        self.folder = folder
        self.settings = settings

    def config(
        self,
        dataset: Path | None = None,
        *,
        preset: str = "",
        base: str = "",
        settings: Sequence[str] = (),
    ) -> Config:
        """The settings of a new run, all of them checked.

        Args:
            dataset: The folder that a build wrote; by default what was built last.
            preset: A shipped one, or a YAML file.
            base: In place of the preset's.
            settings: Further ones, as ``train.epochs=1``.

        Raises:
            HubError: names everything that is wrong with them.
        """
        from hub.dataset.checking import last_build
        from training.config import load_config

        dataset = dataset or last_build(self.folder.parent)
        with _as_hub_errors():
            base = base or self.settings.base
            given = ({"base": base} if base else {}) | self._given(settings)
            places = {"dataset": str(dataset.resolve()), "output": str(self.folder / "new")}
            config = load_config(preset or self.settings.preset, given | places)
            if template := config.data.chat_template:  # a run works in a folder of its own
                place = str(Path(template).resolve())
                data = config.data.model_copy(update={"chat_template": place})
                config = config.model_copy(update={"data": data})
            return config

    def preflight(self, config: Config) -> list[Check]:
        """Everything that can fail is tried; nothing is written.

        Raises:
            HubError: the extra 'train' is not installed.
        """
        from hub.errors import MissingExtraError

        if any(find_spec(name) is None for name in ("torch", "trl", "peft")):
            raise MissingExtraError("`patternhub train`", "train")
        from training.preflight import preflight

        return preflight(config)

    def start(self, config: Config, *, name: str = "", preset: str = "") -> Run:
        """Start a run in the background, as :meth:`config` made it.

        Args:
            config: Its ``output`` becomes the run's own folder.
            name: Of the adapter; by default hub.toml's, or the hub's folder's.
            preset: What the run is called after, and listed with.

        Raises:
            HubError: its folder cannot be written.
        """
        import yaml

        preset = Path(preset or self.settings.preset).stem
        name = name or self.settings.name or _plain(self.folder.parents[1].name)
        try:
            folder = self._new_folder(preset)
            config = config.model_copy(update={"output": str(folder)})
            settings = yaml.safe_dump(config.model_dump(), sort_keys=False)
            (folder / "config.yaml").write_text(settings, encoding="utf-8")
            _write(folder, Record(name=name, preset=preset, created=round(time.time(), 3)))
            self._launch(folder)
        except OSError as error:
            raise HubError(f"{self.folder} cannot be written: {error}") from error
        return self.get(folder.name)

    def resume(self, id: str = "", *, settings: Sequence[str] = ()) -> Run:
        """Go on with a run in the background; by default with the newest that has not ended well.

        Args:
            id: As :meth:`get` takes it.
            settings: Those that may change, as ``train.keep=3``.

        Raises:
            HubError: it is running, done, or not there; or a setting may not change.
        """
        from training.config import load_config
        from training.output import check_output

        run = self.get(id) if id else self._unfinished()
        if run.state == "running":
            raise HubError(f"{run.id} is running; see patternhub runs logs {run.id} --follow")
        if run.state == "done":
            raise HubError(f"{run.id} is done; its adapter is {run.adapter or run.folder}")
        with _as_hub_errors():
            path = run.folder / "config.yaml"
            changed = load_config(str(path), self._given(settings))
            check_output(changed, run.folder, resume=True)
        self._launch(run.folder, "--resume", *(part for s in settings for part in ("--set", s)))
        return self.get(run.id)

    def list(self) -> list[Run]:
        """Every run, the newest first."""
        found = [self._read(path.parent) for path in self.folder.glob(f"*/{RECORD}")]
        return sorted(found, key=lambda run: (run.created, run.id), reverse=True)

    def get(self, id: str) -> Run:
        """The run with this id, or the only one whose id starts so.

        Raises:
            HubError: there is none, or there are several.
        """
        known = sorted(path.parent.name for path in self.folder.glob(f"*/{RECORD}"))
        found = [name for name in known if name == id] or [n for n in known if n.startswith(id)]
        if len(found) != 1:
            there = ", ".join(found or known) or "none: `patternhub train` starts one"
            raise HubError(f"{len(found) or 'no'} runs are called {id!r}; there are {there}")
        return self._read(self.folder / found[0])

    def log(self, id: str) -> list[Event]:
        """The events of a run until now."""
        from training.runlog import read_log

        return read_log(self.get(id).folder)

    def follow(self, id: str) -> Iterator[Event]:
        """The events of a run, from its first on, as they come, until it has ended."""
        from training.runlog import FILE

        folder = self.get(id).folder
        at, running = 0, True
        while running:
            running = _is_running(folder)
            try:
                with (folder / FILE).open("rb") as file:
                    file.seek(at)
                    new, _, _rest = file.read().rpartition(b"\n")
            except FileNotFoundError:
                new = b""
            for line in new.splitlines():
                with suppress(ValueError):  # a killed process left it unfinished
                    yield json.loads(line)
            at += len(new) + bool(new)
            if running:
                time.sleep(POLL)

    def stop(self, id: str) -> Run:
        """Ask a run to end after its step, with a checkpoint; asked again, end it at once.

        Raises:
            HubError: it is not running, or on another machine.
        """
        from training.process import noted

        run = self.get(id)
        process = noted(run.folder)
        if run.state != "running" or process is None:
            raise HubError(f"{run.id} is not running: it is {run.state}")
        if not process.is_alive:
            raise HubError(f"{run.id} runs on {process.host}: stop it there")
        asked = json.dumps(asdict(process))
        path = run.folder / ASKED
        again = path.is_file() and path.read_text(encoding="utf-8") == asked
        path.write_text(asked, encoding="utf-8")
        os.kill(process.pid, signal.SIGKILL if again else signal.SIGTERM)
        return self.get(run.id)

    def collect(self, registry: Registry) -> list[Adapter]:
        """Take each finished adapter that the registry has not seen; who watched does not matter.

        One that cannot be taken stays where it is, its run says why, and the next call tries again.
        """
        taken = []
        for path in self.folder.glob(f"*/{RECORD}"):
            record, adapter = _record(path.parent), path.parent / "adapter"
            if record.adapter or not adapter.is_dir():
                continue
            try:
                taken.append(registry.take(adapter, name=record.name, run=path.parent.name))
                changed = {"adapter": taken[-1].reference, "refused": ""}
            except HubError as error:
                changed = {"refused": str(error)}
            _write(path.parent, Record(**asdict(record) | changed))
        return taken

    def _given(self, settings: Sequence[str]) -> dict[str, Any]:
        from training.config import setting

        given = dict(map(setting, settings))
        for key in OWN:
            if key in given:
                raise HubError(f"{key} is the hub's to give: it cannot be set")
        return given

    def _new_folder(self, name: str) -> Path:
        """A folder that no other run has."""
        began = time.strftime("%Y%m%d-%H%M%S")
        for extra in ("", *(f"-{n}" for n in range(2, 100))):
            folder = self.folder / f"{began}-{_plain(name)}{extra}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return folder
        raise HubError(f"{self.folder} has a hundred runs of this second: wait for the next")

    def _launch(self, folder: Path, *options: str) -> None:
        """``python -m training`` in a session of its own, noted before it can note itself."""
        from training.process import Process

        command = [sys.executable, "-m", "training", str(folder / "config.yaml"), *options]
        with (folder / CONSOLE).open("ab") as console:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=console,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        Process.of(process.pid).note(folder)
        # Or it would stay a zombie for as long as this process lives.
        threading.Thread(target=process.wait, daemon=True).start()

    def _unfinished(self) -> Run:
        found = [run for run in self.list() if run.state != "done"]
        if not found:
            raise HubError("no run is left unfinished here: `patternhub train` starts one")
        return found[0]

    def _read(self, folder: Path) -> Run:
        from training.runlog import read_log

        record, running = _record(folder), _is_running(folder)
        last: dict[str, Event] = {}
        for event in read_log(folder):
            last[event["event"]] = last["newest"] = event
        step, newest = last.get("step") or last.get("base") or {}, last.get("newest", {})
        end = newest if newest.get("event") in ("stop", "failed") else {}
        state: State = "killed"
        if running:
            state = "running"
        elif (folder / "adapter").is_dir():
            state = "failed" if record.refused else "done"
        elif end:
            state = "failed" if end["event"] == "failed" else "stopped"
        reason = record.refused or ("" if state in ("running", "done") else end.get("reason", ""))
        if state == "killed":
            reason = _last_line(folder / CONSOLE) or "it ended without a word"
        return Run(
            id=folder.name,
            folder=folder,
            name=record.name,
            preset=record.preset,
            created=record.created,
            state=state,
            phase="adapter" if "step" in last else "base" if "base" in last else "starting",
            step=step.get("step", 0),
            steps=step.get("steps", 0),
            loss=step.get("loss"),
            evaluation=last.get("evaluation", {}).get("loss"),
            adapter=record.adapter,
            reason=reason,
        )


def _is_running(folder: Path) -> bool:
    """Whether the run's process lives, or another one holds its folder."""
    from training.output import is_locked
    from training.process import noted

    process = noted(folder)
    return (process is not None and process.is_alive) or is_locked(folder)


def _record(folder: Path) -> Record:
    try:
        return Record(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise HubError(f"{folder / RECORD} cannot be read: {error}; delete {folder}") from error


def _write(folder: Path, record: Record) -> None:
    partial = folder / f".{RECORD}.{os.getpid()}"
    partial.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD)


def _last_line(path: Path) -> str:
    """What a program printed last."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _plain(name: str) -> str:
    """A name as identifiers of runs and adapters have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "adapter"


@contextmanager
def _as_hub_errors() -> Iterator[None]:
    """What is wrong with a run's settings is what is wrong with a command's."""
    from training.errors import TrainingError

    try:
        yield
    except TrainingError as error:
        raise HubError(str(error)) from error
