"""The command ``patternhub``: one short function per verb.

Results go to standard output, everything else to standard error. Exit status: 0 done, 1 a check
failed, 2 bad usage or bad input.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hub.api import Hub
    from hub.config import Tier
    from hub.curate.rules import Finding


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
    """Index a team's code patterns once: search them, show them, export them."""
    ctx.obj = folder
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows fewer characters


def open_hub(folder: Path | None) -> Hub:
    """The hub that ``--hub`` names, else the nearest one."""
    from hub.api import Hub
    from hub.config import find_hub

    return Hub.open(folder if folder is not None else find_hub(Path.cwd()))


def listed(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@main.command()
@click.option(
    "--template",
    default="default",
    show_default=True,
    metavar="NAME",
    help="Which shipped categories: default, platform or typescript-library.",
)
@click.pass_obj
def init(folder: Path | None, template: str) -> None:
    """Write a commented hub.toml that indexes this folder."""
    from hub.config import CONFIG_NAME, config_template
    from hub.curate.taxonomy import shipped_taxonomy

    shipped_taxonomy(template)  # an unknown one is an error before anything is written
    path = (folder or Path.cwd()) / CONFIG_NAME
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(config_template(["."], taxonomy=template))
    except FileExistsError as error:
        raise HubError(f"{path} is there already; edit it, or delete it first") from error
    except OSError as error:
        raise HubError(f"{path} cannot be written: {error}") from error
    click.echo(f"wrote {path}; next: patternhub index")


@main.command()
@click.argument("locations", nargs=-1, metavar="[PATH | GIT_URL]...")
@click.option("--tier", type=click.Choice(["fast", "best"]), help="Stop at static vectors, or not.")
@json_option
@click.pass_obj
def index(folder: Path | None, locations: tuple[str, ...], tier: Any, as_json: bool) -> None:
    """Bring the index up to date; nothing given: the sources in hub.toml."""
    from hub.terminal import index_progress, index_summary

    with index_progress() as progress:
        report = open_hub(folder).index(locations, tier=tier, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(index_summary(report))
    if report.failed:
        raise HubError("\n".join(f"{where}: {why}" for where, why in report.failed.items()))


@main.command()
@click.argument("query", required=False)
@click.option("--limit", "-n", type=click.IntRange(1, 1000), help="How many hits.")
@click.option("--language", help="Only this language.")
@click.option("--kind", help="Only this kind: function, method, class, module, section, ...")
@click.option("--source", help="Only this source.")
@click.option("--path", help="Only paths that match this gitignore-style pattern.")
@click.option("--mode", type=click.Choice(["hybrid", "dense", "lexical"]), help="Which arms.")
@click.option("--tier", type=click.Choice(["fast", "best"]), help="Which vectors.")
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    help='A file with one {"query": ...} a line; prints one result a line.',
)
@json_option
@click.pass_obj
def search(
    folder: Path | None, /, query: str | None, queries: Path | None, as_json: bool, **options: Any
) -> None:
    """Find patterns by words, sentences or identifiers."""
    from hub.terminal import hits_text, read_queries

    if (query is None) == (queries is None):
        raise click.UsageError("give a QUERY, or a file with --queries")
    hub = open_hub(folder)
    for text in read_queries(queries) if queries else [query or ""]:
        hits = hub.search(text, **options)
        if as_json or queries:
            print_json({"query": text, "hits": [hit.to_json() for hit in hits]})
        else:
            click.echo(hits_text(hits))


@main.command()
@click.argument("id")
@json_option
@click.pass_obj
def show(folder: Path | None, id: str, as_json: bool) -> None:
    """Print a pattern whole, with its neighbours; a class with its methods' signatures."""
    from hub.terminal import pattern_text

    hub = open_hub(folder)
    pattern = hub.get(id)
    before, after = hub.neighbours(pattern)
    outline = hub.outline(pattern)
    if as_json:
        from dataclasses import asdict

        rows = {"pattern": pattern, "before": before, "after": after}
        shown: dict[str, Any] = {name: asdict(row) if row else None for name, row in rows.items()}
        print_json(shown | {"outline": [method.signature for method in outline]})
    else:
        click.echo(pattern_text(pattern, before, after, outline))


@main.command()
@click.option("--skipped", is_flag=True, help="List every skipped file with its reason.")
@json_option
@click.pass_obj
def status(folder: Path | None, skipped: bool, as_json: bool) -> None:
    """Say what the hub holds, what is stale, and what was skipped."""
    from hub.terminal import status_text

    found = open_hub(folder).status()
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(status_text(found, with_files=skipped))


@main.command()
@click.option("--category", help="List the patterns of one category, best first.")
@json_option
@click.pass_obj
def annotate(folder: Path | None, category: str | None, as_json: bool) -> None:
    """Say what the patterns are about, and how good they are."""
    from hub.terminal import annotation_table, category_text

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


@main.command()
@click.option("--apply", is_flag=True, help="Leave them out of exports and datasets.")
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
    from hub.terminal import duplicates_text, index_progress

    with index_progress() as progress:
        report = open_hub(folder).duplicates(progress=progress, **options)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(duplicates_text(report, limit=limit))


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 if a row had a forbidden term.")
@json_option
@click.pass_obj
def export(folder: Path | None, out: Path, strict: bool, as_json: bool) -> None:
    """Write training examples (instruction to code) as JSON lines.

    Secrets and personal data are replaced by placeholders, rows with a forbidden term are dropped.
    """
    from hub.terminal import export_summary

    report = open_hub(folder).export(out)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(export_summary(report))
    if strict and report.forbidden:
        sys.exit(1)


@main.command()
@click.argument("dataset", type=click.Path(path_type=Path), required=False)
@json_option
@click.pass_obj
def gaps(folder: Path | None, dataset: Path | None, as_json: bool) -> None:
    """What the last built dataset lacks, and what would fill it; targets are in hub.toml."""
    from hub.terminal import gaps_text, index_progress

    with index_progress() as progress:
        found = open_hub(folder).gaps(dataset, progress=progress)
    if as_json:
        print_json([gap.to_json() for gap in found])
    else:
        click.echo(gaps_text(found))


@main.command()
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
    from hub.terminal import augment_summary, filled_text, index_progress, vary_summary

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


@main.group()
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
    from hub.terminal import build_summary, index_progress

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
    from hub.terminal import publish_summary

    report = upload(out, **options)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(publish_summary(report, sent=not options["dry_run"]))


@main.command()
@click.argument("dataset", required=False, type=click.Path(path_type=Path))
@click.option("--fix", is_flag=True, help="Mend what is safe to mend, drop what breaks a rule.")
@json_option
@click.pass_obj
def validate(folder: Path | None, dataset: Path | None, fix: bool, as_json: bool) -> None:
    """Check every row of a dataset; none given: what was built last.

    Exit status 1 if a row breaks a rule. --json prints a finding a line, the summary last.
    """
    from hub.terminal import index_progress, validation_text

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


@main.group()
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
    from hub.terminal import import_summary

    report = open_hub(folder).import_examples(source, name=name, category=category)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(import_summary(report))


@main.group(invoke_without_command=True)
@click.option("--tier", type=click.Choice(["fast", "best"]), help="Only this tier; default: both.")
@click.option(
    "--pairs", default="docs,sections", show_default=True, help="Kinds of pairs, comma-separated."
)
@click.option("--epochs", type=float, default=1, show_default=True, help="Of the best tier.")
@click.option("--lora/--full", default=True, show_default=True, help="An adapter, or all weights.")
@click.option("--hold-out", multiple=True, metavar="SOURCE", help="Learn nothing from a source.")
@click.option("--dry-run", is_flag=True, help="Count the pairs and train nothing.")
@json_option
@click.pass_context
def tune(
    ctx: click.Context,
    /,
    tier: Tier | None,
    pairs: str,
    lora: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Tune the retriever on this hub's own patterns; kept only if it finds more."""
    if ctx.invoked_subcommand:
        return
    from hub.terminal import index_progress, tune_summary

    with index_progress() as progress:
        report = open_hub(ctx.obj).tune(
            tiers=[tier] if tier else ["best", "fast"],
            kinds=[kind.strip() for kind in pairs.split(",")],
            method="lora" if lora else "full",
            progress=progress,
            **options,
        )
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(tune_summary(report))


@tune.command()
@json_option
@click.pass_obj
def compare(folder: Path | None, as_json: bool) -> None:
    """Base against tuned, on files and repositories that were held out."""
    from hub.terminal import compare_text, index_progress

    with index_progress() as progress:
        report = open_hub(folder).compare_tuned(progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(compare_text(report))


@main.command()
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

    from hub.dataset.export import write_rows
    from hub.terminal import history_summary, index_progress
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


@main.command()
@click.argument("source")
@click.pass_obj
def forget(folder: Path | None, source: str) -> None:
    """Remove a source and its patterns from the hub."""
    report = open_hub(folder).forget(source)
    click.echo(f"removed {report.patterns_removed} patterns of {report.files_removed} files")


@main.command()
@json_option
@click.pass_obj
def doctor(folder: Path | None, as_json: bool) -> None:
    """Check the set-up: packages, model, grammars, store, and what would be indexed."""
    from hub.doctor import checkup
    from hub.terminal import checks_text

    checks = list(checkup(folder))
    if as_json:
        print_json([check.to_json() for check in checks])
    else:
        click.echo(checks_text(checks))
    sys.exit(0 if all(check.ok for check in checks) else 1)


if __name__ == "__main__":
    main()
