"""Verbs that fill a hub, and read what is in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hub.commands.common import json_option, open_hub, print_json
from hub.errors import HubError


@click.command()
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


@click.command()
@click.argument("locations", nargs=-1, metavar="[PATH | GIT_URL]...")
@click.option("--tier", type=click.Choice(["fast", "best"]), help="Stop at static vectors, or not.")
@json_option
@click.pass_obj
def index(folder: Path | None, locations: tuple[str, ...], tier: Any, as_json: bool) -> None:
    """Bring the index up to date; nothing given: the sources in hub.toml."""
    from hub.terminal.indexing import index_summary
    from hub.terminal.progress import index_progress

    with index_progress() as progress:
        report = open_hub(folder).index(locations, tier=tier, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(index_summary(report))
    if report.failed:
        raise HubError("\n".join(f"{where}: {why}" for where, why in report.failed.items()))


@click.command()
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
    from hub.terminal.indexing import hits_text, read_queries

    if (query is None) == (queries is None):
        raise click.UsageError("give a QUERY, or a file with --queries")
    hub = open_hub(folder)
    for text in read_queries(queries) if queries else [query or ""]:
        hits = hub.search(text, **options)
        if as_json or queries:
            print_json({"query": text, "hits": [hit.to_json() for hit in hits]})
        else:
            click.echo(hits_text(hits))


@click.command()
@click.argument("id")
@json_option
@click.pass_obj
def show(folder: Path | None, id: str, as_json: bool) -> None:
    """Print a pattern whole, with its neighbours; a class with its methods' signatures."""
    from hub.terminal.indexing import pattern_text

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


@click.command()
@click.option("--skipped", is_flag=True, help="List every skipped file with its reason.")
@json_option
@click.pass_obj
def status(folder: Path | None, skipped: bool, as_json: bool) -> None:
    """Say what the hub holds, what is stale, and what was skipped."""
    from hub.terminal.indexing import status_text

    found = open_hub(folder).status()
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(status_text(found, with_files=skipped))


@click.command()
@click.argument("source")
@click.pass_obj
def forget(folder: Path | None, source: str) -> None:
    """Remove a source and its patterns from the hub."""
    report = open_hub(folder).forget(source)
    click.echo(f"removed {report.patterns_removed} patterns of {report.files_removed} files")


@click.command()
@json_option
@click.pass_obj
def doctor(folder: Path | None, as_json: bool) -> None:
    """Check the set-up: packages, model, grammars, store, and what would be indexed."""
    from hub.doctor import checkup
    from hub.terminal.indexing import checks_text

    checks = list(checkup(folder))
    if as_json:
        print_json([check.to_json() for check in checks])
    else:
        click.echo(checks_text(checks))
    sys.exit(0 if all(check.ok for check in checks) else 1)
