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
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hub.errors import HubError
from hub.run import (
    ASKED,
    CONSOLE,
    RECORD,
    STAMP,
    Record,
    began,
    damaged_run,
    is_running,
    read_run,
    record_of,
    was_asked,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.config import Training
    from hub.run import Run
    from hub.serving.registry import Registry
    from hub.types import Adapter
    from training.config import Config
    from training.preflight import Check
    from training.remote.run import Remote, Where
    from training.runlog import Event

FOLDER = "runs"
RECALLED = 20
POLL = 0.2  # seconds between two looks at a run that goes on
MEASURED = 2  # steps of a dry run that say how long the whole will take
OWN = ("dataset", "output")  # settings that the hub gives


class Runs:
    """The runs in one folder; ``settings`` are what hub.toml says where a caller says nothing."""

    def __init__(self, folder: Path, settings: Training) -> None:
        """Prepare to read and start runs; nothing is written yet."""
        self.folder = folder
        self.settings = settings

    @property
    def adapter_name(self) -> str:
        """What adapters are called here: as hub.toml says, else as the hub's folder."""
        return self.settings.name or _plain(self.folder.parents[1].name)

    def but(self, **settings: Any) -> Runs:
        """The same runs, with other settings for those that are started now.

        Raises:
            HubError: one of them cannot be meant.
        """
        from pydantic import ValidationError

        try:
            return Runs(self.folder, type(self.settings)(**self.settings.model_dump() | settings))
        except ValidationError as error:
            wrong = error.errors()[0]
            name = wrong["loc"][0]
            raise HubError(f"{name} = {wrong['input']!r}: {wrong['msg']}") from error

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

        dataset, home = dataset or last_build(self.folder.parent), self.folder.parents[1]
        with _as_hub_errors():
            base = base or ("" if preset else _absolute(self.settings.base, home))
            given = ({"base": base} if base else {}) | self._given(settings)
            places = {"dataset": str(dataset.resolve()), "output": str(self.folder / "new")}
            config = load_config(preset or _absolute(self.settings.preset, home), given | places)
        # A run works in a folder of its own.
        template = _absolute(config.data.chat_template)
        data = config.data.model_copy(update={"chat_template": template})
        return config.model_copy(update={"base": _absolute(config.base), "data": data})

    def preflight(self, config: Config, *, where: str = "local", steps: int = 0) -> Sequence[Check]:
        """Everything that can fail is tried; nothing is written here, and a probe on the Hub.

        Args:
            config: What is to be trained.
            where: local, space or job.
            steps: Of a local run that are made, and thrown away, to say how long it will take.

        Raises:
            HubError: the extra 'train' is not installed.
        """
        from hub.errors import MissingExtraError

        if any(find_spec(name) is None for name in ("torch", "trl", "peft")):
            raise MissingExtraError("`patternhub train`", "train")
        if where != "local":
            from training.hugging_face import hub
            from training.remote.preflight import remote_preflight

            return remote_preflight(config, where, self._remote(), hub())
        from training.preflight import preflight

        return preflight(config, steps=steps)

    def start(
        self,
        config: Config,
        *,
        name: str = "",
        preset: str = "",
        where: Literal["local"] | Where = "local",
        checked: bool = False,
    ) -> Run:
        """Start a run in the background, as :meth:`config` made it.

        Args:
            config: Its ``output`` becomes the run's own folder.
            name: Of the adapter; by default hub.toml's, or the hub's folder's.
            preset: What the run is called after, and listed with.
            where: local, or on Hugging Face as hub.toml says: space or job.
            checked: :meth:`preflight` has just passed; else all of it is tried once more.

        Raises:
            HubError: its folder cannot be written, no adapter can be called so, or the Hub refuses.
        """
        import yaml

        from hub.serving.registry import check_name

        preset = Path(preset or self.settings.preset).stem
        name = name or self.adapter_name
        check_name(name)  # before hours of training, not after them
        try:
            folder = self._new_folder(preset)
            config = config.model_copy(update={"output": str(folder)})
            settings = yaml.safe_dump(config.model_dump(), sort_keys=False)
            (folder / "config.yaml").write_text(settings, encoding="utf-8")
            write_record(folder, Record(name=name, preset=preset, created=round(time.time(), 3)))
            if where == "local":
                self._launch(folder, *(["--no-checks"] if checked else []))
            else:
                self._launch_remote(config, folder, where, checked=checked)
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
        from training.remote.run import load as load_remote

        run = self.get(id) if id else self._unfinished()
        if run.state == "running":
            raise HubError(f"{run.id} is running; see patternhub runs logs {run.id} --follow")
        if run.state == "done":
            raise HubError(f"{run.id} is done; its adapter is {run.adapter or run.folder}")
        with _as_hub_errors():
            path = run.folder / "config.yaml"
            changed = load_config(str(path), self._given(settings))
            check_output(changed, run.folder, resume=True)
            if remote := load_remote(run.folder):
                self._launch_remote(changed, run.folder, remote.where, resume=True)
                return self.get(run.id)
        self._launch(run.folder, "--resume", *(part for s in settings for part in ("--set", s)))
        return self.get(run.id)

    def list(self) -> Sequence[Run]:
        """Every run, the newest first; one whose record cannot be read is listed as damaged."""
        found = [_run_or_damaged(path.parent) for path in self.folder.glob(f"*/{RECORD}")]
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
        return read_run(self.folder / found[0])

    def log(self, id: str) -> Sequence[Event]:
        """The events of a run until now."""
        from training.runlog import read_log

        return read_log(self.get(id).folder)

    def follow(self, id: str) -> Iterator[Event]:
        """The events of a run, from its first on, as they come, until it has ended."""
        from training.runlog import FILE

        folder = self.get(id).folder
        at, running = 0, True
        while running:
            running = is_running(folder)
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
        again = was_asked(run.folder)
        _note_asked(run.folder)
        os.kill(process.pid, signal.SIGKILL if again else signal.SIGTERM)
        return self.get(run.id)

    def collect(self, registry: Registry) -> Sequence[Adapter]:
        """Take each finished adapter that the registry has not seen; who watched does not matter.

        One that cannot be taken stays where it is, its run says why, and the next call tries again.
        """
        taken = []
        for path in self.folder.glob(f"*/{RECORD}"):
            try:
                record, adapter = record_of(path.parent), path.parent / "adapter"
            except HubError:  # list() names it
                continue
            if record.adapter or not adapter.is_dir():
                with suppress(HubError):  # resume() says what is wrong with its note
                    self._follow_remote(path.parent)
                continue
            try:
                taken.append(registry.take(adapter, name=record.name, run=path.parent.name))
                changed = {"adapter": taken[-1].reference, "refused": ""}
                self._note_pushed(path.parent, taken[-1], registry)
            except HubError as error:
                changed = {"refused": str(error)}
            write_record(path.parent, Record(**asdict(record) | changed))
        return taken

    def recall(self) -> Sequence[Run]:
        """Find the runs in the bucket again that this folder has no note of, as on a new disk.

        Those that have not ended are followed; the adapters of the newest :data:`RECALLED` others
        come here with the next look at the registry.

        Raises:
            HubError: no Space is named, or the Hub refuses.
        """
        from training.remote import recall

        with _as_hub_errors():
            known = {path.parent.name for path in self.folder.glob(f"*/{RECORD}")}
            found = recall(self._remote(), self.folder, known, limit=RECALLED)
        for job, folder in found:
            name = job.name or _plain(self.folder.parents[1].name)
            preset = "-".join(job.run.split("-")[2:])  # as _new_folder wrote it
            write_record(folder, Record(name=name, preset=preset, created=began(job.run)))
            self._follow_remote(folder)
        return [self.get(job.run) for job, _ in found]

    def _given(self, settings: Sequence[str]) -> dict[str, Any]:
        from training.config import setting

        given = dict(map(setting, settings))
        for key in OWN:
            if key in given:
                raise HubError(f"{key} is the hub's to give: it cannot be set")
        return given

    def _new_folder(self, name: str) -> Path:
        """A folder that no other run has."""
        now = time.strftime(STAMP)
        for extra in ("", *(f"-{n}" for n in range(2, 100))):
            folder = self.folder / f"{now}-{_plain(name)}{extra}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return folder
        raise HubError(f"{self.folder} has a hundred runs of this second: wait for the next")

    def _remote(self) -> Remote:
        from training.remote.run import Remote

        asked = self.settings
        if not asked.space:
            raise HubError(
                'whose account trains? Set space = "organisation/name" under [training] in '
                "hub.toml; hardware and minutes stand there too"
            )
        return Remote(
            repo=asked.space,
            bucket=asked.bucket,
            hardware=asked.hardware,
            minutes=asked.minutes,
            push_to=asked.repo,
        )

    def _launch_remote(
        self,
        config: Config,
        folder: Path,
        where: Where,
        *,
        resume: bool = False,
        checked: bool = False,
    ) -> None:
        """Start it on Hugging Face; a folder that notes nothing of that is no run."""
        from training.remote import launch, load
        from training.remote.run import FILE

        asked = was_asked(folder)
        # Or the new one would be stopped, as the one before was asked to.
        (folder / ASKED).unlink(missing_ok=True)
        with _as_hub_errors():
            try:
                name = record_of(folder).name
                launch(config, where, self._remote(), name=name, resume=resume, checked=checked)
            finally:
                if not (folder / FILE).exists():
                    shutil.rmtree(folder)
                elif asked and (before := load(folder)) and before.ended:
                    _note_asked(folder)  # nothing new began
        self._follow_remote(folder)

    def _follow_remote(self, folder: Path) -> None:
        """See to it that a process follows a remote run that has not ended."""
        from training.remote.run import load

        with _as_hub_errors():
            remote = load(folder)
        if remote and not remote.ended and not is_running(folder):
            # Told to stop before it could hear it, it left the run going on.
            stopping = ["--stop"] if was_asked(folder) else []
            self._spawn(folder, "training.remote", str(folder), *stopping)
            if stopping:
                _note_asked(folder)

    def _note_pushed(self, folder: Path, adapter: Adapter, registry: Registry) -> None:
        """A remote run is done only once its adapter is in the repository that it was given."""
        from training.errors import TrainingError
        from training.remote.run import load

        with suppress(TrainingError):  # unknown: `adapters push` asks the repository
            remote = load(folder)
            if remote and remote.ended == "done" and remote.push_to:
                registry.note_pushed(adapter, remote.push_to)

    def push(self, repository: str, *, private: bool = True) -> Sequence[str]:
        """Send the newest checkpoint of each run here that has not ended well, where it is not
        there yet; the ids of those runs. One that goes on sends its own.

        Raises:
            HubError: the Hub refuses or is not there.
        """
        from training.remote.pushing import push_newest
        from training.remote.run import FILE

        sent = []
        for run in reversed(self.list()):
            if run.state in ("running", "done", "damaged") or (run.folder / FILE).exists():
                continue
            with _as_hub_errors():
                if push_newest(run.folder, repository, private=private):
                    sent.append(run.id)
        return sent

    def _launch(self, folder: Path, *options: str) -> None:
        push = ("--push-to", self.settings.repo) if self.settings.repo else ()
        self._spawn(folder, "training", str(folder / "config.yaml"), *push, *options)

    def _spawn(self, folder: Path, program: str, *arguments: str) -> None:
        """A program in a session of its own, noted before it can note itself."""
        from training.process import Process

        command = [sys.executable, "-m", program, *arguments]
        with (folder / CONSOLE).open("ab") as console:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=console,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        Process.of(process.pid).note(folder)
        # Or it would stay a zombie for as long as this process lives.
        threading.Thread(target=process.wait, daemon=True).start()

    def _unfinished(self) -> Run:
        found = [run for run in self.list() if run.state not in ("done", "damaged")]
        if not found:
            raise HubError("no run is left unfinished here: `patternhub train` starts one")
        return found[0]


def _run_or_damaged(folder: Path) -> Run:
    try:
        return read_run(folder)
    except HubError as error:
        return damaged_run(folder, str(error))


def _absolute(path: str, home: Path = Path()) -> str:
    """A path that means the same in any folder; what is no path, such as a model's id, stays."""
    return str((home / path).resolve()) if path and (home / path).exists() else path


def _plain(name: str) -> str:
    """A name as identifiers of runs and adapters have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "adapter"


def _note_asked(folder: Path) -> None:
    """Note that the process which works on the run now is told to stop."""
    from training.process import FILE

    (folder / ASKED).write_bytes((folder / FILE).read_bytes())


@contextmanager
def _as_hub_errors() -> Iterator[None]:
    """What is wrong with a run's settings is what is wrong with a command's."""
    from training.errors import TrainingError

    try:
        yield
    except TrainingError as error:
        raise HubError(str(error)) from error
