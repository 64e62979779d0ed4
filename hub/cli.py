"""The command ``patternhub``: its verbs are in ``hub/commands``.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 a check
failed, 2 bad usage or bad input.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import click

from hub.commands import (
    adapters,
    answering,
    app,
    curation,
    evaluation,
    indexing,
    space,
    training,
    tuning,
)
from hub.errors import HubError


class _Group(click.Group):
    """Prints a HubError as one sentence, in the order verbs are used."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HubError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_status)
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except OSError as error:  # mostly of standard output: what Hub raises is a HubError
            click.echo(f"Error: {error}", err=True)
            _close_output()
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("Stopped. What was written stays; the next run goes on from it.", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own form
        return list(self.commands)


def _close_output() -> None:
    """Drop what could not be written: Python would try again at exit, and complain."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - lives as long as the process


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pattern-hub", prog_name="patternhub")
@click.option(
    "--hub",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of the hub; default: the nearest hub.toml upward.",
)
@click.pass_context
def main(ctx: click.Context, folder: Path | None) -> None:
    """Index a team's code patterns once: search them, train on them."""
    ctx.obj = folder
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows fewer characters
    # Of a kernel that a CPU goes without, and of names that the libraries below still use.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing`", FutureWarning)


VERBS = (
    indexing.init,
    indexing.index,
    indexing.search,
    indexing.show,
    indexing.status,
    answering.ask,
    answering.compare,
    answering.mcp,
    evaluation.evaluate,
    evaluation.gate,
    curation.annotate,
    curation.dedup,
    curation.gaps,
    curation.augment,
    curation.dataset,
    curation.validate,
    curation.examples,
    tuning.tune,
    training.train,
    training.runs,
    adapters.adapters,
    curation.history,
    space.space,
    app.ui,
    indexing.forget,
    indexing.doctor,
)
for verb in VERBS:
    main.add_command(verb)

if __name__ == "__main__":
    main()
