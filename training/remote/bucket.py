"""A bucket on the Hub: where datasets lie, and what runs make is kept.

Files are written through the Hub's API and not through the mount: what the API has confirmed is
there, while a mount writes when it likes, and the machine may be gone by then.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from training.checkpoints import MANIFEST, problems
from training.hugging_face import asking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from huggingface_hub import HfApi

PARTIAL = ".partial-"


class Bucket:
    """The files of one bucket, by path."""

    def __init__(self, api: HfApi, name: str) -> None:
        self.api = api
        self.name = name

    def create(self, *, private: bool) -> None:
        """Make it; one that is there stays as it is."""
        with asking(f"the bucket {self.name}"):
            self.api.create_bucket(self.name, private=private, exist_ok=True)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of each file below a folder, by path in the bucket."""
        with asking(f"the bucket {self.name}"):
            found = self.api.list_bucket_tree(self.name, prefix=f"{prefix}/", recursive=True)
            return {file.path: file.size for file in found if file.type == "file"}

    def write(self, files: Mapping[str, Path | bytes]) -> None:
        """Put files; returns when the Hub has confirmed all of them."""
        if not files:
            return
        first = next(iter(files))
        with asking(f"writing {first} to the bucket {self.name}"):
            self.api.batch_bucket_files(
                self.name, add=[(source, path) for path, source in files.items()]
            )

    def delete(self, paths: Iterable[str]) -> None:
        if listed := list(paths):
            with asking(f"deleting {listed[0]} in the bucket {self.name}"):
                self.api.batch_bucket_files(self.name, delete=listed)

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""
        with tempfile.TemporaryDirectory() as folder:
            with asking(f"reading {path} in the bucket {self.name}"):
                if not list(self.api.get_bucket_paths_info(self.name, [path])):
                    return None
                self.api.download_bucket_files(self.name, [(path, f"{folder}/file")])
            return Path(folder, "file").read_bytes()

    def download(self, paths: Mapping[str, Path]) -> None:
        """Bring files to where each should be."""
        if paths:
            for target in paths.values():
                target.parent.mkdir(parents=True, exist_ok=True)
            with asking(f"reading {next(iter(paths))} in the bucket {self.name}"):
                self.api.download_bucket_files(
                    self.name, list(paths.items()), raise_on_missing_files=True
                )

    def bring(self, prefix: str, target: Path) -> list[str]:
        """A published folder, whole or not at all; returns what is wrong with it there.

        One that is here already, and is the same, is not read again.
        """
        manifest = self.read(f"{prefix}/{MANIFEST}")
        if manifest is None:
            return [f"{prefix} has no {MANIFEST} yet"]
        here = target / MANIFEST
        if here.is_file() and here.read_bytes() == manifest and not problems(target):
            return []
        partial = target.with_name(f"{PARTIAL}{target.name}")
        shutil.rmtree(partial, ignore_errors=True)
        files = self.sizes(prefix)
        self.download({path: partial / path.removeprefix(f"{prefix}/") for path in files})
        if wrong := problems(partial):
            shutil.rmtree(partial)
            return wrong
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        return []
