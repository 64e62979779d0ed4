"""Verbs from patterns to a dataset."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.commands.common import json_option, listed, open_hub, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hub.curate.rules import Finding


@click.command()
@click.option("--category", help="List the patterns of one category, best first.")
@json_option
@click.pass_obj
def annotate(folder: Path | None, category: str | None, as_json: bool) -> None:
    """Say what the patterns are about, and how good they are."""
    from hub.terminal.curation import annotation_table, category_text

    report = open_hub(folder).annotate()
    if category is not None:
        rows = [(p, report.annotations[p.id]) for p in report.of(category)]
        if as_json:
            from dataclasses import asdict

            for pattern, found in rows:
                print_json({"id": pattern.id, "location": pattern.location} | asdict(found))
        else:
            click.echo(category_text(rows))
    elif as_json:
        print_json(report.to_json())
    else:
        click.echo(annotation_table(report))


@click.command()
@click.option("--apply", is_flag=True, help="Leave them out of datasets.")
@click.option("--kind", help="Only this kind: function, method, class, module, section, ...")
@click.option("--source", help="Only this source.")
@click.option(
    "--threshold", type=float, help="Least share of words semantic duplicates share; default 0.85."
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many clusters to print; --json has all.",
)
@json_option
@click.pass_obj
def dedup(folder: Path | None, /, limit: int, as_json: bool, **options: Any) -> None:
    """List patterns that say the same, in clusters, with the one that stands for each."""
    from hub.terminal.curation import duplicates_text
    from hub.terminal.progress import index_progress

    with index_progress() as progress:
        report = open_hub(folder).duplicates(progress=progress, **options)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(duplicates_text(report, limit=limit))


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path), required=False)
@json_option
@click.pass_obj
def gaps(folder: Path | None, dataset: Path | None, as_json: bool) -> None:
    """What the last built dataset lacks, and what would fill it; targets are in hub.toml."""
    from hub.terminal.curation import gaps_text
    from hub.terminal.progress import index_progress

    with index_progress() as progress:
        found = open_hub(folder).gaps(dataset, progress=progress)
    if as_json:
        print_json([gap.to_json() for gap in found])
    else:
        click.echo(gaps_text(found))


@click.command()
@click.option("--fill-gaps", is_flag=True, help="Vary what is nearest to the last build's gaps.")
@click.option("--ops", default="", metavar="rename,comments,format,bugs", help="Vary functions.")
@click.option("--with", "model", default="", metavar="MODEL", help="At hub.toml's endpoint.")
@click.option("--category", default="", help="Only functions of this category.")
@click.option("--limit", "-n", type=click.IntRange(1), default=100, show_default=True)
@click.option("--jobs", default="instruction,tests", show_default=True, help="What a model writes.")
@json_option
@click.pass_obj
def augment(
    folder: Path | None,
    /,
    fill_gaps: bool,
    ops: str,
    model: str,
    category: str,
    limit: int,
    jobs: str,
    as_json: bool,
) -> None:
    """More examples for the next build: variants of functions, or what a model writes.

    --fill-gaps and --ops need no model: Python, TypeScript and JavaScript under other names, with
    other comments and layout, and with bugs to fix. Without them the model of hub.toml is asked for
    instructions and tests.
    """
    from hub.terminal.curation import augment_summary, filled_text, vary_summary
    from hub.terminal.progress import index_progress

    if sum(map(bool, (fill_gaps, ops, model))) > 1:
        raise click.UsageError("--fill-gaps, --ops and --with exclude each other")
    hub = open_hub(folder)
    with index_progress() as progress:
        if fill_gaps:
            filled = hub.fill_gaps(category=category, progress=progress)
            told = filled_text(filled)
            found: Any = [gap.to_json() for gap in filled]
        elif ops:
            varied = hub.vary(listed(ops), category=category, limit=limit, progress=progress)
            told, found = vary_summary(varied), varied.to_json()
        else:
            report = hub.augment(
                model=model, category=category, limit=limit, jobs=listed(jobs), progress=progress
            )
            told, found = augment_summary(report), report.to_json()
    if as_json:
        print_json(found)
    else:
        click.echo(told)


@click.group()
def dataset() -> None:
    """Make training data of the patterns, and publish it."""


@dataset.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--format", "formats", default="", help="Comma-separated; default: hub.toml's.")
@click.option(
    "--strict", is_flag=True, help="Fail (exit status 1) where a row has a forbidden term."
)
@json_option
@click.pass_obj
def build(folder: Path | None, out: Path, formats: str, strict: bool, as_json: bool) -> None:
    """Make a dataset in OUT: clean, balanced, split, with its card and report."""
    from hub.terminal.curation import build_summary
    from hub.terminal.progress import index_progress

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    with index_progress() as progress:
        report = open_hub(folder).build_dataset(
            out, formats=wanted, strict=strict, progress=progress
        )
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(build_summary(report))


@dataset.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--repo", "repository", required=True, metavar="ORG/NAME", help="On the Hub.")
@click.option("--private/--public", default=True, show_default=True, help="Of a new repository.")
@click.option("--tag", default="", help="Of the revision; default: named after its content.")
@click.option("--dry-run", is_flag=True, help="List what would leave this machine; send nothing.")
@json_option
def publish(out: Path, as_json: bool, **options: Any) -> None:
    """Upload a built dataset to the Hugging Face Hub."""
    from hub.dataset.publish import publish as upload
    from hub.terminal.curation import publish_summary

    report = upload(out, **options)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(publish_summary(report, sent=not options["dry_run"]))


@click.command()
@click.argument("dataset", required=False, type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Mend what is safe to mend, drop what breaks a rule.")
@json_option
@click.pass_obj
def validate(folder: Path | None, dataset: Path | None, fix: bool, as_json: bool) -> None:
    """Check every row of a dataset; none given: what was built last.

    Exit status 1 if a row breaks a rule. --json prints a finding a line, the summary last.
    """
    from hub.terminal.curation import validation_text
    from hub.terminal.progress import index_progress

    def show(path: Path, finding: Finding) -> None:
        if as_json:
            print_json({"file": str(path), **finding.to_json()})

    with index_progress() as progress:
        report = open_hub(folder).validate(dataset, fix=fix, on_finding=show, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(validation_text(report))
    sys.exit(0 if report.ok else 1)


@click.group()
def examples() -> None:
    """Examples that were written by hand, or imported."""


@examples.command()
@click.option("--category", required=True, help="What the example is about.")
@click.option("--task", default="implement", show_default=True, help="What it teaches.")
@click.pass_obj
def new(folder: Path | None, category: str, task: str) -> None:
    """Write a file to fill in: a prompt, and what answers it."""
    from hub.config import find_hub
    from hub.dataset.handwritten import new_example

    path = new_example(folder or find_hub(Path.cwd()), category, task)
    click.echo(f"wrote {path}; fill in the prompt and the completion")


@examples.command("import")
@click.argument("source", metavar="FILE.jsonl | HUB_DATASET[:CONFIG]")
@click.option("--name", default="", help="What the hub calls it; default: after the source.")
@click.option("--category", default="", help="Of rows that do not name one.")
@json_option
@click.pass_obj
def import_(folder: Path | None, source: str, name: str, category: str, as_json: bool) -> None:
    """Keep the sound rows of an existing dataset as examples."""
    from hub.terminal.curation import import_summary

    report = open_hub(folder).import_examples(source, name=name, category=category)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(import_summary(report))


@click.command()
@click.argument("repository", type=click.Path(path_type=Path), default=".", metavar="[PATH]")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Read the newest N commits.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Read back to this day (UTC).",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Write changes as JSON lines."
)
@json_option
def history(
    repository: Path, count: int | None, since: datetime | None, output: Path | None, as_json: bool
) -> None:
    """Find functions before and after the commits that changed them, and say why."""
    from dataclasses import asdict

    from hub.dataset.jsonl import write_rows
    from hub.terminal.curation import history_summary
    from hub.terminal.progress import index_progress
    from indexers.git_history import HistoryReport, read_changes

    report = HistoryReport()
    day = since.date() if since else None

    def rows() -> Iterator[dict[str, Any]]:
        with index_progress() as show:
            for change in read_changes(repository, count=count, since=day, report=report):
                show("commits", report.commits, report.commits_total)
                yield asdict(change)

    if output:
        write_rows(output, rows())
    else:
        for _ in rows():
            pass
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(history_summary(report))
