"""The folder of a run and its image in the bucket: sent at each save, brought back to go on.

Folders that were published (base, checkpoints, adapter) are sent once, their manifest last: where
the bucket has the manifest, it has the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.checkpoints import MANIFEST, saved
from training.output import ADAPTER, BASE, CHECKPOINTS, CONFIG
from training.runlog import FILE as LOG

if TYPE_CHECKING:
    from pathlib import Path

    from training.remote.bucket import Bucket

LOOSE = (CONFIG, LOG)


class Mirror:
    """Keeps ``prefix`` of a bucket like ``folder``."""

    def __init__(self, folder: Path, bucket: Bucket, prefix: str) -> None:
        self.folder = folder
        self.bucket = bucket
        self.prefix = prefix
        self._there: set[str] = set()
        self._damaged: set[str] = set()
        self._sent: dict[str, tuple[int, int]] = {}

    def bring(self) -> None:
        """What an earlier machine saved; a checkpoint that is damaged there stays there."""
        paths = self.bucket.sizes(self.prefix)
        ends = {path.removeprefix(f"{self.prefix}/") for path in paths}
        for name in sorted(end.removesuffix(f"/{MANIFEST}") for end in ends if MANIFEST in end):
            wrong = self.bucket.bring(f"{self.prefix}/{name}", self._local(name))
            (self._damaged if wrong else self._there).add(name)
        loose = [name for name in LOOSE if name in ends and not (self.folder / name).exists()]
        self.bucket.download({f"{self.prefix}/{n}": self.folder / n for n in loose})

    def send(self) -> None:
        """What is new; then forget the checkpoints that the run has dropped."""
        for part in self._parts():
            name = part.relative_to(self.folder).as_posix()
            if name not in self._there:
                self._send_part(part, name)
                self._there.add(name)
        self.send_log()
        kept = {f"{CHECKPOINTS}/{p.name}" for p in saved(self.folder / CHECKPOINTS)}
        gone = {name for name in self._there if name.startswith(CHECKPOINTS)} - kept
        for name in gone:
            self.bucket.delete(self.bucket.sizes(f"{self.prefix}/{name}"))
        self._there -= gone

    def send_log(self) -> None:
        """The log and the settings, where they have changed."""
        files = {name: self.folder / name for name in LOOSE if (self.folder / name).is_file()}
        stamps = {n: (p.stat().st_size, p.stat().st_mtime_ns) for n, p in files.items()}
        new = {n: p for n, p in files.items() if self._sent.get(n) != stamps[n]}
        # As bytes: the log grows while it is sent.
        self.bucket.write({f"{self.prefix}/{n}": p.read_bytes() for n, p in new.items()})
        self._sent |= stamps

    def _send_part(self, part: Path, name: str) -> None:
        manifest = f"{self.prefix}/{name}/{MANIFEST}"
        there = self.bucket.read(manifest)
        if there == (part / MANIFEST).read_bytes() and name not in self._damaged:
            return
        if there is not None:
            self.bucket.delete([manifest])
        files = {p.relative_to(part).as_posix(): p for p in part.rglob("*") if p.is_file()}
        last = files.pop(MANIFEST)
        self.bucket.write({f"{self.prefix}/{name}/{n}": p for n, p in files.items()})
        self.bucket.write({manifest: last})

    def _parts(self) -> list[Path]:
        places = [self.folder / BASE, *saved(self.folder / CHECKPOINTS), self.folder / ADAPTER]
        return [place for place in places if (place / MANIFEST).is_file()]

    def _local(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
