"""The build as one HTML page: what is in the dataset, what was left out, and where the gaps are.

Plain HTML and SVG, so that the page opens anywhere, offline, and is the same in every build.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.page import BLUE, document, table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hub.curate.annotate import Annotation
    from hub.dataset.build import BuildReport, Ingredients
    from hub.types import Example, Pattern, Vectors

LEAST = 3  # patterns that make a map
POINTS = 4000  # on the map: more are a blot
WIDTH, HEIGHT = 900, 560
BINS = 24
FORBIDDEN = 50  # terms in the table
COLOURS = (
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7",
    "#9c755f", "#86bcb6", "#d37295", "#8cd17d", "#b6992d", "#499894", "#79706e", "#a0cbe8",
)  # fmt: skip


def page(
    title: str,
    ingredients: Ingredients,
    examples: Sequence[Example],
    report: BuildReport,
    vectors: Vectors | None,
    *,
    compliance: Mapping[str, Any],
) -> str:
    """The whole page.

    ``vectors`` of the patterns, shape (patterns, dimension) in their order, draw the map; without
    them there is none.
    """
    lengths = [sum(len(turn.content) for turn in e.completion) for e in examples]
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(report, len(ingredients.patterns)),
        "<h2>What each step kept and dropped</h2>",
        _steps(report),
        "<h2>Categories, before balancing and after</h2>",
        _bars(report.before, report.after),
        _lacking(report),
        "<h2>Tasks</h2>",
        _bars({}, Counter(e.task for e in examples)),
        "<h2>Length of the answers</h2>",
        _histogram(lengths, "characters, logarithmic", log=True),
        "<h2>Quality</h2>",
        _histogram([e.quality for e in examples], "0 to 1"),
        "<h2>Private data, forbidden terms, licences</h2>",
        _compliance(compliance),
        "<h2>Largest groups of patterns that resemble each other</h2>",
        _clusters(ingredients),
    ]
    if vectors is not None and len(vectors) >= LEAST:
        covered = {id_ for example in examples for id_ in example.patterns}
        shown = pattern_map(ingredients.patterns, ingredients.annotations, covered, vectors)
        parts += ["<h2>Map of patterns and examples</h2>", shown]
    return document(title, parts)


def _summary(report: BuildReport, patterns: int) -> str:
    sides = ", ".join(f"{side} {count:,}" for side, count in report.rows.items() if count)
    total = sum(report.rows.values())
    return (
        f"<p>{total:,} examples ({sides}) of {patterns:,} patterns. Since the dataset "
        f"that was there: {report.added:,} added, {report.changed:,} changed, "
        f"{report.removed:,} removed.</p>"
    )


def _steps(report: BuildReport) -> str:
    rows = []
    for stage in report.stages:
        reasons = sorted(stage.dropped.items(), key=lambda item: (-item[1], item[0])) or [("", 0)]
        for nth, (why, count) in enumerate(reasons):
            rows.append(("" if nth else stage.name, "" if nth else stage.kept, count or "", why))
    return table(("step", "kept", "dropped", "why"), rows)


def _lacking(report: BuildReport) -> str:
    rows = [
        *((c, n, "rows, to its share") for c, n in report.side_shortfall.items()),
        *((c, n, "test rows") for c, n in report.test_shortfall.items()),
        *((c, n, "examples, to its floor") for c, n in report.floor_shortfall.items()),
    ]
    if not rows:
        return "<p class=note>No side is short of its share, no category of its rows.</p>"
    head = ("category or side", "missing", "what")
    return "<p>Short of what was asked for:</p>" + table(head, rows)


def _bars(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    most = max([*before.values(), *after.values(), 1])
    rows = []
    for name in sorted({*before, *after}, key=lambda n: (-after.get(n, 0), n)):
        bars = "".join(
            f'<div><span class="bar {kind}" style=width:{400 * n / most:.0f}px></span> {n:,}</div>'
            for kind, n in (("was", before.get(name)), ("", after.get(name, 0)))
            if n is not None
        )
        rows.append(f"<tr><td>{escape(name)}<td>{bars}")
    return f"<table>{''.join(rows)}</table>"


def _histogram(values: Sequence[float], unit: str, *, log: bool = False) -> str:
    data = np.asarray(values, dtype=float)
    edges = np.histogram_bin_edges(np.log10(np.maximum(data, 1)) if log else data, BINS)
    counts, _ = np.histogram(np.log10(np.maximum(data, 1)) if log else data, edges)
    ends = 10**edges if log else edges
    width, top = WIDTH / BINS, max(int(counts.max()), 1)
    bars = "".join(
        f'<rect x="{i * width:.1f}" y="{150 - 140 * n / top:.1f}" width="{width - 1:.1f}" '
        f'height="{140 * n / top:.1f}" fill="{BLUE}"><title>{ends[i]:,.6g} to {ends[i + 1]:,.6g}: '
        f"{n:,}</title></rect>"
        for i, n in enumerate(counts)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} 152" width="100%">{bars}</svg>'
        f"<p class=note>{unit}; from {ends[0]:,.4g} to {ends[-1]:,.4g}, median "
        f"{np.median(data):,.4g}</p>"
    )


def _compliance(found: Mapping[str, Any]) -> str:
    """What was found, how often; each row with a forbidden term; the licence of each source."""
    actions = found["actions"]
    private = [
        (kind, count, actions.get(kind, actions["secrets"]))
        for kind, count in found["private_kinds"].items()
    ]
    terms = [
        (each["where"], f"{each['place']}, line {each['line']}", each["rule"])
        for each in found["forbidden"]
    ]
    licences = [
        (source, ", ".join(f"{each['spdx'] or 'unknown'} ({each['file']})" for each in licences))
        for source, licences in found["licences"].items()
    ]
    parts = ["<p class=note>compliance.json says where each stands, what is private by hash.</p>"]
    if private:
        parts.append(table(("private", "found", "action"), private))
    if terms:
        parts.append(f"<p>{len(terms):,} forbidden terms; their rows were dropped:</p>")
        parts.append(table(("row", "where", "what"), terms[:FORBIDDEN]))
    parts.append(table(("source", "licence"), [(s, told or "not found") for s, told in licences]))
    return "".join(parts)


def _clusters(ingredients: Ingredients) -> str:
    members: dict[int, list[str]] = {}
    by_id = {p.id: p for p in ingredients.patterns}
    for id_, cluster in ingredients.clusters.items():
        members.setdefault(cluster, []).append(id_)
    groups = sorted(members.values(), key=lambda ids: (-len(ids), ids))
    if not groups:
        return "<p class=note>None.</p>"
    rows = []
    for ids in groups[:12]:
        kept = next((id_ for id_ in ids if id_ not in ingredients.stand_ins), ids[0])
        stands = by_id[kept]
        rows.append((len(ids), stands.symbol or stands.kind, f"{stands.source}: {stands.location}"))
    total = sum(map(len, groups))
    return f"<p>{len(groups):,} groups of {total:,} patterns.</p>" + table(
        ("patterns", "kept", "where"), rows
    )


def pattern_map(
    patterns: Sequence[Pattern],
    annotations: Mapping[str, Annotation],
    covered: Collection[str],
    vectors: Vectors,
) -> str:
    """The first two principal components as SVG: filled where an example was made of the pattern.

    Args:
        patterns: All that are indexed, :data:`LEAST` or more.
        annotations: Of the patterns, by id, as far as they are known.
        covered: The ids of those that an example was made of.
        vectors: Of the patterns, shape (patterns, dimension), in their order.
    """
    step = -(-len(vectors) // POINTS)
    rows = range(0, len(vectors), step)
    chosen = vectors[::step].astype(np.float64)
    centred = chosen - chosen.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    flat = centred @ axes[:, -2:][:, ::-1]
    flat *= np.sign(flat[np.abs(flat).argmax(axis=0), [0, 1]])  # eigenvectors have no sign
    low, high = np.quantile(flat, [0.005, 0.995], axis=0)
    at = np.clip((flat - low) / np.maximum(high - low, 1e-9), 0, 1)
    categories = Counter(known.category for p in patterns if (known := annotations.get(p.id)))
    named = [name for name, _ in sorted(categories.items(), key=lambda c: (-c[1], c[0]))]
    colours = dict(zip(named, COLOURS, strict=False))
    points = []
    for row, (x, y) in zip(rows, at, strict=True):
        p = patterns[row]
        known = annotations.get(p.id)
        category = known.category if known else "unclassified"
        colour = colours.get(category, "#bbb")
        fill = colour if p.id in covered else "none"
        told = ", ".join((p.symbol or p.kind, p.location, category))
        points.append(
            f'<circle cx="{10 + x * (WIDTH - 20):.1f}" cy="{10 + y * (HEIGHT - 20):.1f}" r="3" '
            f'fill="{fill}" stroke="{colour}" data-pattern="{escape(p.id)}"><title>'
            f"{escape(told)}</title></circle>"
        )
    key = " ".join(
        f'<span><i style="color:{colour}">&#9679;</i> {escape(name)}</span>'
        for name, colour in colours.items()
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" aria-label="Map of patterns">'
        f"{''.join(points)}</svg>"
        f"<p class=key>{key}</p><p class=note>{len(at):,} of {len(vectors):,} patterns by their "
        "vectors' first two principal components. Filled: an example was made of it. Rings alone: "
        "a gap.</p>"
    )
