"""Everything that can fail away from this machine is tried before money is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints import digest
from training.data import tokenize
from training.errors import TrainingError
from training.hugging_face import asking, may_write
from training.memory import adapter_bytes, estimate
from training.preflight import SPARE, Check, base_of
from training.prepare import evaluation_of, parameters_of, read_template_file, unfit
from training.remote.bucket import Bucket
from training.remote.hardware import Flavour, flavour
from training.remote.run import ZERO_GPU
from training.remote.slices import LIMITS, SECONDS
from training.template import template_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingface_hub import HfApi

    from training.config import Config
    from training.memory import Memory
    from training.remote.run import Remote

PROBE = "preflight.txt"
INSTALLED = 12e9  # bytes of PyTorch and its companions
MARGIN = 0.95  # of the time limit: the rest is for saving


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a run takes, of any hardware; ``weights`` are counted, ``tokens`` of all epochs."""

    rows: str
    weights: int
    tokens: int
    memory: Memory


def remote_preflight(config: Config, where: str, remote: Remote, api: HfApi) -> list[Check]:
    """Try all of it, in the order of what it costs to find out; changes nothing but a probe.

    Args:
        config: Of the run.
        where: space or job.
        remote: Where, and within which limits.
        api: The Hub.
    """
    checks: list[Check] = []

    def tried(name: str, call: Callable[[], str]) -> bool:
        try:
            checks.append(Check(name, True, call()))
        except TrainingError as error:
            checks.append(Check(name, False, str(error)))
        return checks[-1].passed

    found: list[Any] = [None, None]

    def hardware() -> str:
        found[0] = flavour(api, where, remote.hardware)
        return _described(found[0])

    def rows() -> str:
        found[1] = measure(config)
        return str(found[1].rows)

    tried("settings", lambda: _settings(where, remote))
    if not all(check.passed for check in checks) or not tried("token", lambda: may_write(api)):
        return checks
    tried("storage", lambda: _storage(api, remote))
    if remote.push_to:
        tried("push", lambda: _push(api, remote))
    if remote.dataset_repo:
        tried("dataset", lambda: _dataset(api, remote, config))
    tried("hardware", hardware)
    base = config.scratch is not None or tried("base", lambda: _base(api, config))
    if base and tried("rows", rows) and found[0]:
        checks += limits(config, found[1], found[0], remote, api)
    return checks


def measure(config: Config) -> Needs:
    """Tokenize the dataset here, and count the base's weights.

    Raises:
        TrainingError: the base or the rows cannot be used.
    """
    tokenizer, architecture = base_of(config)
    given = config.data.chat_template
    template = template_of(tokenizer, text=read_template_file(given) if given else "", origin=given)
    path = Path(config.dataset) / config.data.train
    sequences, report = tokenize(path, tokenizer, template, config.data)
    if not sequences:
        raise TrainingError(f"{path} has nothing to learn from: {dict(report.dropped)}")
    if wrong := unfit(config, sequences, evaluation_of(config, tokenizer, template), architecture):
        raise TrainingError(f"{config.dataset}: {wrong}")
    run = config.train
    epoch = sum(len(sequence.input_ids) for sequence in sequences)
    per_step = epoch / len(sequences) * run.batch_size * run.accumulation
    needed = estimate(
        config,
        architecture,
        precision="bf16" if run.precision == "auto" else run.precision,
        longest=max(len(sequence.input_ids) for sequence in sequences),
        device="cuda",
    )
    return Needs(
        rows=f"{report.kept} of {report.rows} rows, {epoch:,} tokens an epoch",
        weights=parameters_of(architecture),
        tokens=int(min(epoch * run.epochs, per_step * (run.max_steps or math.inf))),
        memory=needed,
    )


def limits(
    config: Config, needs: Needs, on: Flavour, remote: Remote, api: HfApi
) -> Iterator[Check]:
    """Memory, disk, time and cost; what is unknown is said, and stops nobody."""
    total = needs.memory.total
    known = f"{on.memory / 1e9:.0f} GB" if on.memory else "an unknown amount"
    yield Check(
        "memory",
        on.memory is None or total <= on.memory,
        f"needs about {needs.memory}; {on.name} has {known}",
    )
    saves = adapter_bytes(needs.memory) * (config.train.keep + 3) * SPARE
    disk = int(INSTALLED + 2 * needs.weights + saves)
    known = f"{on.disk / 1e9:.0f} GB" if on.disk else "an unknown amount"
    yield Check(
        "disk",
        on.disk is None or disk <= on.disk,
        f"needs about {disk / 1e9:.0f} GB; {on.name} has {known}",
    )
    if on.name == ZERO_GPU:
        yield _quota(api)
        return
    seconds, limit = on.seconds(needs.weights, needs.tokens), remote.minutes * 60
    about = f"about {seconds / 60:.0f} minutes" if seconds else "unknown on this hardware"
    short = seconds is not None and seconds > limit * MARGIN
    way = f"; set minutes to {seconds / 60 / MARGIN + 1:.0f}" if seconds and short else ""
    yield Check("time", not short, f"{about}, the limit is {remote.minutes:g} minutes{way}")
    yield Check("cost", True, f"about {on.cost(seconds)}, at most {on.cost(limit)}")


def _settings(where: str, remote: Remote) -> str:
    remote.check(where)
    return f"{where} {remote.repo}, bucket {remote.storage}"


def _storage(api: HfApi, remote: Remote) -> str:
    """A tiny write, read again: rights and space are what they are, not what they seem."""
    bucket = Bucket(api, remote.storage)
    bucket.create(private=remote.private)
    bucket.write({PROBE: b"Pattern Hub may write here.\n"})
    if bucket.read(PROBE) is None:
        raise TrainingError(f"the bucket {remote.storage} does not give back what it was given")
    return f"the bucket {remote.storage} takes and gives"


def _push(api: HfApi, remote: Remote) -> str:
    with asking(f"the model repository {remote.push_to}"):
        api.create_repo(remote.push_to, private=remote.private, exist_ok=True)
        api.upload_file(
            path_or_fileobj=b"Pattern Hub may write here.\n",
            path_in_repo=PROBE,
            repo_id=remote.push_to,
            commit_message="Check that adapters can be pushed",
        )
    return f"{remote.push_to} can be written"


def _dataset(api: HfApi, remote: Remote, config: Config) -> str:
    name, repo = config.data.train, remote.dataset_repo
    with asking(f"the dataset {repo}"):
        path = api.hf_hub_download(
            repo, name, repo_type="dataset", revision=remote.dataset_revision or None
        )
    if digest(Path(path)) != digest(Path(config.dataset) / name):
        raise TrainingError(
            f"{name} in the dataset {repo} is not the one in {config.dataset}: publish it again, "
            "or name the revision that it is"
        )
    return f"{repo} has the rows of {config.dataset}"


def _base(api: HfApi, config: Config) -> str:
    if Path(config.base).is_dir():
        raise TrainingError(
            f"the base {config.base} is a folder of this machine: push it to the Hub with "
            "`hf upload`, and name its id"
        )
    with asking(f"the base {config.base}"):
        api.auth_check(config.base)
    return f"{config.base} may be read"


def _described(on: Flavour) -> str:
    price = on.cost(3600)
    kind = on.accelerator or "no GPU of its own"
    return f"{on.name}, {kind}, {price}{'' if price == 'free' else ' an hour'}"


def _quota(api: HfApi) -> Check:
    """ZeroGPU's limits, and what is left of today's quota."""
    said = LIMITS.format(seconds=SECONDS)
    try:
        with asking("the ZeroGPU quota"):
            left = api.get_zero_gpu_quota().remaining
    except TrainingError:
        return Check("time", True, f"{said}; what is left of the quota is unknown")
    return Check("time", left > SECONDS, f"{said}; {left / 60:.0f} minutes of it are left")
