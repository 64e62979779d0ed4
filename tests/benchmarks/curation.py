"""What does the curation find, what does it find by mistake, and how fast?

    python -m tests.benchmarks.curation [--megabytes 4] [--peer-megabytes 0.5] [--fakes 200]

On fakes of every type the detector knows, and on the running Python's standard library. Speeds are
megabytes per second of processor time; the peer, detect-secrets' own ``scan_file``, runs in the
same process on the first files of the same sample.
"""

from __future__ import annotations

import argparse
import sysconfig
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from hub.curate.forbidden import find_terms
from hub.curate.privacy import find, redact
from tests.fakes import MAKERS, every_fake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main() -> None:
    """Print recall, false positives and speeds."""
    parser = argparse.ArgumentParser(description="Privacy and forbidden terms.")
    parser.add_argument("--megabytes", type=float, default=4.0, help="of the standard library")
    parser.add_argument("--peer-megabytes", type=float, default=0.5, help="for detect-secrets")
    parser.add_argument("--fakes", type=int, default=200, help="per type")
    options = parser.parse_args()
    recall(options.fakes)
    sample = standard_library(options.megabytes)
    privacy_speed = false_positives(sample)
    forbidden(sample)
    peer(sample, options.peer_megabytes, privacy_speed)


def recall(count: int) -> None:
    """Each fake in a function of ordinary code; found is what does not survive."""
    random = Random(0)
    found: Counter[str] = Counter()
    for _ in range(count):
        for name, fake in every_fake(random).items():
            text = f"def f(rows):\n    total = 0\n    {fake.text}\n    return total\n"
            found[name] += fake.value not in redact(text)[0]
    print("| planted | recall |\n| --- | --- |")
    for name in MAKERS:
        print(f"| {name} | {found[name] / count:.3f} |")
    print(f"| all | {found.total() / (count * len(MAKERS)):.4f} |\n")


def standard_library(megabytes: float) -> list[tuple[Path, str]]:
    """Whole files in a seeded order, until there are as many megabytes."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in sorted(root.rglob("*.py")) if "site-packages" not in path.parts]
    Random(0).shuffle(paths)
    sample: list[tuple[Path, str]] = []
    size = 0
    for path in paths:
        if size >= megabytes * 1e6:
            break
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        size += path.stat().st_size
        sample.append((path, text))
    return sample


def false_positives(sample: Sequence[tuple[Path, str]]) -> float:
    """Print what is found in public code, by kind; the speed."""
    kinds: Counter[str] = Counter()
    find("")  # loads the rules

    def scan(path: Path, text: str) -> None:
        kinds.update(finding.kind for finding in find(text))

    speed = _speed(sample, scan)
    size = _megabytes(sample)
    print(f"standard library, {size:.2f} MB, {len(sample)} files: findings per MB")
    for kind, count in kinds.most_common():
        print(f"  {kind:30} {count / size:6.2f}")
    print(f"privacy: {speed:.2f} MB/s\n")
    return speed


def forbidden(sample: Sequence[tuple[Path, str]]) -> None:
    """Print every term found in the standard library: none of it was written by an assistant."""
    hits = []
    find_terms("claude", language="python")

    def scan(path: Path, text: str) -> None:
        hits.extend((path.name, hit) for hit in find_terms(text, language="python"))

    speed = _speed(sample, scan)
    for name, hit in hits:
        print(f"  {name}:{hit.line} {hit.rule}: {hit.term}")
    print(f"forbidden: {len(hits) / _megabytes(sample):.2f} false hits per MB, {speed:.2f} MB/s\n")


def peer(sample: Sequence[tuple[Path, str]], megabytes: float, privacy_speed: float) -> None:
    """Print the speed of detect-secrets' own scan of files, and what it reports there."""
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import default_settings

    some: list[tuple[Path, str]] = []
    for entry in sample:
        if _megabytes(some) >= megabytes:
            break
        some.append(entry)
    kinds: Counter[str] = Counter()

    def scan(path: Path, text: str) -> None:
        kinds.update(secret.type for secret in scan_file(str(path)))

    ours = _speed(some, lambda _, text: find(text))
    with default_settings() as settings:
        settings.disable_filters(
            "detect_secrets.filters.common.is_ignored_due_to_verification_policies"
        )
        theirs = _speed(some, scan)
    found = ", ".join(f"{kind} {count / _megabytes(some):.1f}" for kind, count in kinds.items())
    print(f"on the same {_megabytes(some):.2f} MB: scan_file {theirs:.3f} MB/s, ours {ours:.2f}")
    print(f"ratio {ours / theirs:.1f}; scan_file reports per MB: {found}")
    print(f"(ours on the whole sample: {privacy_speed:.2f} MB/s)")


def _speed(sample: Sequence[tuple[Path, str]], scan: Callable[[Path, str], object]) -> float:
    begin = time.process_time()
    for path, text in sample:
        scan(path, text)
    return _megabytes(sample) / (time.process_time() - begin)


def _megabytes(sample: Sequence[tuple[Path, str]]) -> float:
    return sum(len(text.encode("utf-8", "surrogatepass")) for _, text in sample) / 1e6


if __name__ == "__main__":
    main()
