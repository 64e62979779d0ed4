"""Verbs that train adapters, and look after the runs that do."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from hub.commands.common import json_option, open_hub, print_json
from hub.errors import FailedCheckError, HubError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.api import Hub
    from hub.run import Run
    from hub.runs import Runs
    from hub.terminal.training import Screen
    from training.preflight import Check

INTERRUPTED = 130  # exit status


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path), required=False)
@click.option("--preset", default="", help="A shipped preset or a YAML file; default: hub.toml's.")
@click.option("--base", default="", metavar="ID_OR_PATH", help="Instead of the preset's base.")
@click.option("--name", default="", metavar="TEAM", help="Of the adapter; default: hub.toml's.")
@click.option(
    "--where", type=click.Choice(["local", "space", "job"]), help="Default: hub.toml's, local."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As train.epochs=1.")
@click.option(
    "--resume", is_flag=False, flag_value="", metavar="[RUN]", help="Go on; default: the last one."
)
@click.option("--dry-run", is_flag=True, help="Check everything, measure two steps, train nothing.")
@click.option("--detach", is_flag=True, help="Do not watch: the run goes on by itself.")
@json_option
@click.pass_obj
def train(
    folder: Path | None,
    /,
    dataset: Path | None,
    preset: str,
    base: str,
    name: str,
    where: Literal["local", "space", "job"] | None,
    settings: tuple[str, ...],
    resume: str | None,
    dry_run: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Train an adapter on a built dataset; none given: what was built last.

    The run goes on when the terminal is closed. Ctrl-C stops it with a checkpoint.
    """
    from hub.runs import MEASURED
    from hub.terminal.training import preflight_table, started_text

    hub = open_hub(folder)
    runs = hub.runs
    where = where or runs.settings.where
    if resume is not None:
        given = {
            "DATASET": dataset, "--preset": preset, "--base": base, "--name": name,
            "--dry-run": dry_run,
        }  # fmt: skip
        if wrong := [option for option, value in given.items() if value]:
            raise click.UsageError(f"--resume goes on as the run began: leave out {wrong[0]}")
        run = runs.resume(resume, settings=settings)
    else:
        config = runs.config(dataset, preset=preset, base=base, settings=settings)
        checks = runs.preflight(config, where=where, steps=MEASURED if dry_run else 0)
        if dry_run:
            _say_checks(checks, as_json)
        click.echo(preflight_table(checks), err=True)
        if not all(check.passed for check in checks):
            raise FailedCheckError("nothing was started: mend what failed above")
        run = runs.start(config, name=name, preset=preset, where=where, checked=True)
    if detach:
        if as_json:
            print_json(run.to_json())
        else:
            click.echo(started_text(run))
        return
    _watch(runs, run)
    _conclude(hub, run.id, as_json)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """Training runs: what they do, and did; alone, the list of them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_runs, as_json=as_json)


@runs.command("list")
@json_option
@click.pass_obj
def list_runs(folder: Path | None, as_json: bool) -> None:
    """Every run, the newest first."""
    from hub.terminal.training import runs_table

    found = open_hub(folder).runs.list()
    if as_json:
        print_json([run.to_json() for run in found])
    else:
        click.echo(runs_table(found))


@runs.command()
@click.argument("run")
@json_option
@click.pass_obj
def show(folder: Path | None, run: str, as_json: bool) -> None:
    """How a run stands, with its curve."""
    from hub.terminal.training import run_text

    known = open_hub(folder).runs
    found = known.get(run)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(run_text(found, known.log(found.id)))


@runs.command()
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Until it ends; on a terminal, as a curve.")
@json_option
@click.pass_obj
def logs(folder: Path | None, run: str, follow: bool, as_json: bool) -> None:
    """What a run has told; Ctrl-C ends the watching, not the run."""
    from hub.terminal.training import screen
    from training.runlog import line_of

    known = open_hub(folder).runs
    found = known.get(run)
    events = known.follow(found.id) if follow else known.log(found.id)
    try:
        if follow and not as_json:
            with screen(found.id, sys.stdout) as shown:
                for event in events:
                    shown.add(event)
            return
        for event in events:
            if as_json:
                print_json(event)
            else:
                click.echo(line_of(event))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@runs.command()
@click.argument("run")
@json_option
@click.pass_obj
def stop(folder: Path | None, run: str, as_json: bool) -> None:
    """End a run after its step, with a checkpoint; said again, at once."""
    found = open_hub(folder).runs.stop(run)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(f"asked {found.id} to stop; go on later: patternhub train --resume {found.id}")


def _say_checks(checks: Sequence[Check], as_json: bool) -> NoReturn:
    """The whole of a dry run."""
    from hub.terminal.training import preflight_table

    if as_json:
        print_json([check.to_json() for check in checks])
    else:
        click.echo(preflight_table(checks))
    sys.exit(0 if all(check.passed for check in checks) else 1)


def _watch(runs: Runs, run: Run) -> None:
    """Show a run until it ends; Ctrl-C stops it, again ends it at once."""
    from hub.terminal.training import screen

    with screen(run.id, sys.stderr) as shown, _stopping(runs, run.id, shown):
        for event in runs.follow(run.id):
            shown.add(event)


@contextmanager
def _stopping(runs: Runs, id: str, shown: Screen) -> Iterator[None]:
    """Ctrl-C is for the run, which has a session of its own and does not hear it."""

    def ask(_number: int, _frame: Any) -> None:
        try:
            runs.stop(id)
        except HubError:  # it has ended by itself
            return
        shown.say("stopping after this step; Ctrl-C again ends it at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _conclude(hub: Hub, id: str, as_json: bool) -> None:
    """Say how a run has ended, and what comes next."""
    from hub.terminal.training import done_text

    run = hub.runs.get(id)  # the adapter is in the registry now
    if as_json:
        print_json(run.to_json())
    if run.state == "done":
        if not as_json:
            click.echo(done_text(run, hub.adapters.path(hub.adapters.get(run.adapter))))
        _push(hub)
        return
    go_on = f"go on with: patternhub train --resume {run.id}"
    if run.state in ("stopped", "running"):
        click.echo(f"{run.state} at step {run.step} of {run.steps}; {go_on}", err=True)
        sys.exit(INTERRUPTED)
    raise FailedCheckError(f"{run.id}: {run.state}: {run.reason}\n{go_on}")


def _push(hub: Hub) -> None:
    """Send what waits to the repository of hub.toml; what cannot be sent goes on waiting."""
    from hub.terminal.adapters import push_summary

    if not hub.workspace.config.training.repo:
        return
    try:
        click.echo(push_summary(hub.push_adapters()), err=True)
    except HubError as error:  # the run has succeeded all the same
        click.echo(f"Not pushed: {error}", err=True)
