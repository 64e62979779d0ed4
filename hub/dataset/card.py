"""The dataset card: what the Hub shows, and what a colleague reads before training on it."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hub.dataset.build import BuildReport
    from hub.types import Example

_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(
    sides: Mapping[str, Sequence[Example]],
    report: BuildReport,
    manifest: Mapping[str, Any],
    formats: Sequence[str],
) -> str:
    """README.md: the Hub's front matter, then composition, quality, provenance, and how it was
    made."""
    examples = [example for side in sides.values() for example in side]
    licences = {manifest.get("licences", {}).get(e.source) or "" for e in examples}
    licence = licences.pop() if len(licences) == 1 else ""
    head = {
        "language": ["en"],
        "license": licence.lower() if re.fullmatch(r"[\w.+-]+", licence) else "other",
        "task_categories": ["text-generation"],
        "size_categories": [next((s for n, s in _SIZES if len(examples) < n), "n>1M")],
        "tags": ["code", *sorted({e.language for e in examples})],
        "configs": [_config(name, nth, sides) for nth, name in enumerate(formats)],
    }
    parts = [
        "---\n" + "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items()) + "\n---",
        f"# {report.out.rstrip('/').rpartition('/')[2]}",
        f"{len(examples)} examples made of a team's own code by `{manifest['command']}` (Pattern "
        f"Hub {manifest['version']}). The same index, settings and seed give the same bytes.",
        "## Composition",
        _table(["side", "rows"], report.rows.items()),
        _crossed("category", sides, lambda e: e.category),
        _crossed("task", sides, lambda e: e.task),
        _crossed("language", sides, lambda e: e.language),
        "## Quality",
        _table(
            ["", "lowest", "median", "highest"],
            [
                ["quality", *_spread([e.quality for e in examples], 2)],
                ["characters of the prompt", *_spread([_length(e.prompt) for e in examples], 0)],
                [
                    "characters of the answer",
                    *_spread([_length(e.completion) for e in examples], 0),
                ],
            ],
        ),
        "What each step kept and dropped:",
        _table(
            ["step", "kept", "dropped", "why"],
            [
                [stage.name, stage.kept, count, why]
                for stage in report.stages
                for why, count in (sorted(stage.dropped.items()) or [("", 0)])
            ],
        ),
        *_short("rows to its share", "side", report.side_shortfall),
        *_short("test rows", "category", report.test_shortfall),
        *_short("examples", "category", report.floor_shortfall),
        "## Provenance",
        "Each row names its source, path, lines, the patterns it was made from, and its commit "
        "where it has one. No file, commit or near-duplicate is on two sides.",
        _table(
            ["source", "rows", "licence"],
            [
                [source, count, manifest.get("licences", {}).get(source) or "not found"]
                for source, count in sorted(Counter(e.source for e in examples).items())
            ],
        ),
        "## Compliance",
        "What became of secrets and personal data is in the manifest under `privacy`; rows that "
        "say which assistant wrote them were dropped. `compliance.json` names what was found "
        "where, what is private by a keyed hash.",
        _table(["private", "found"], manifest["private"].items() or [("nothing", 0)]),
        "## Files",
        _table(["file", "sha256"], [(f"`{p}`", f"`{d}`") for p, d in manifest["files"].items()]),
    ]
    return "\n\n".join(parts) + "\n"


def _config(name: str, nth: int, sides: Mapping[str, Sequence[Example]]) -> dict[str, Any]:
    folder = f"{name}/" if nth else ""
    files = [{"split": s, "path": f"{folder}{s}.jsonl"} for s, rows in sides.items() if rows]
    return {"config_name": name, "data_files": files} | ({} if nth else {"default": True})


def _crossed(name: str, sides: Mapping[str, Sequence[Example]], of: Any) -> str:
    counts = {side: Counter(of(e) for e in rows) for side, rows in sides.items() if rows}
    total = sum(counts.values(), Counter())
    rows = [
        [value, *(count[value] for count in counts.values()), f"{100 * n / total.total():.1f}%"]
        for value, n in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    ]
    return _table([name, *counts, "share"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _spread(values: Sequence[float], digits: int) -> list[str]:
    found = (min(values), statistics.median(values), max(values))
    return [f"{value:.{digits}f}" for value in found]


def _length(turns: Iterable[Any]) -> int:
    return sum(len(turn.content) for turn in turns)


def _short(what: str, of: str, shortfall: Mapping[str, int]) -> list[str]:
    if not shortfall:
        return []
    return [f"Short of {what}:", _table([of, "missing"], sorted(shortfall.items()))]
