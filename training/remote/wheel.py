"""This project as a wheel, from whatever it is running from: a checkout or an installation.

A Space or Job has to run the program that launched it, not the newest on an index. The files are
zipped as they are, so that the same program is the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from training.errors import TrainingError

DISTRIBUTION = "pattern-hub"
PACKAGES = ("hub", "indexers", "training", "space_app")
STAMP = (2020, 1, 1, 0, 0, 0)


def build_wheel(folder: Path) -> Path:
    """Write the wheel into ``folder``.

    Raises:
        TrainingError: the project is not installed, so that its dependencies are unknown.
    """
    try:
        known = distribution(DISTRIBUTION)
    except PackageNotFoundError as error:
        raise TrainingError(
            f"{DISTRIBUTION} is not installed here, so it cannot be sent elsewhere: pip install it"
        ) from error
    name = f"{DISTRIBUTION.replace('-', '_')}-{known.version}"
    info = f"{name}.dist-info"
    metadata = known.read_text("METADATA") or known.read_text("PKG-INFO") or ""
    files = {f"{info}/METADATA": metadata.encode()}
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = (known.read_text("entry_points.txt") or "").encode()
    for package in PACKAGES:
        files |= _files(package)
    record = f"{info}/RECORD"
    lines = [f"{path},sha256={_hash(data)},{len(data)}" for path, data in sorted(files.items())]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, STAMP), data, zipfile.ZIP_DEFLATED)
    return wheel


def _files(package: str) -> dict[str, bytes]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise TrainingError(f"the package {package!r} is not here: install {DISTRIBUTION} whole")
    root = Path(spec.origin).parent
    return {
        f"{package}/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
