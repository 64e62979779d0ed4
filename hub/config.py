"""``hub.toml`` as a typed schema: every field is documented once, here.

``patternhub init`` prints this schema as a commented file, so the two cannot drift apart.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.errors import HubError

CONFIG_NAME = "hub.toml"
STORE_DIR = ".patternhub"
VOTES = "votes.jsonl"  # in the store's folder
EXAMPLES = "examples"  # what people wrote for datasets, in a hub's folder
# Of a dataset.
CARD, MANIFEST, COMPLIANCE, REPORT = (
    "README.md", "manifest.json", "compliance.json", "report.html",
)  # fmt: skip

Tier = Literal["fast", "best"]
Mode = Literal["hybrid", "dense", "lexical"]
TIERS: tuple[str, ...] = get_args(Tier)
MODES: tuple[str, ...] = get_args(Mode)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Files(_Section):
    """Which files of a source are indexed, beyond what git ignores."""

    include: list[str] = Field(
        default=[],
        description="gitignore-style patterns; when given, only matching files are indexed, also "
        "generated or vendored ones",
    )
    exclude: list[str] = Field(default=[], description="gitignore-style patterns to leave out")
    max_bytes: int = Field(
        default=1_000_000, gt=0, description="larger files are skipped and counted"
    )


class Chunks(_Section):
    """How files are cut."""

    max_chars: int = Field(
        default=2000, ge=200, description="a longer function is split at syntax nodes; characters"
    )


class Embedding(_Section):
    """The model of the best tier; the fast tier is distilled from it."""

    model: str = Field(
        default="pattern-hub-minilm",
        min_length=1,
        description="the packaged retriever, tuned for code; all-MiniLM-L6-v2, which it was tuned "
        "from; a local folder with a model or a tuned retriever; a sentence-transformers model id "
        "(extra 'train'); or the model's name at the endpoint",
    )
    endpoint: str = Field(
        default="",
        description="base URL of an OpenAI-compatible API, such as http://localhost:8000/v1; "
        "empty: the model runs here",
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="environment variable that holds the endpoint's key"
    )
    max_tokens: int = Field(
        default=128, ge=16, le=512, description="where a chunk is cut for the model"
    )
    tier: Tier = Field(
        default="best", description="how far `patternhub index` goes: fast stops at static vectors"
    )


class Store(_Section):
    """Where the Chroma collections live."""

    url: str = Field(
        default="", description="a Chroma server, such as http://localhost:8000; empty: embedded"
    )
    cloud: bool = Field(
        default=False, description="use Chroma Cloud; the key is read from CHROMA_API_KEY"
    )
    tenant: str = Field(default="", description="tenant on a Chroma server or Chroma Cloud")
    database: str = Field(default="", description="database on a Chroma server or Chroma Cloud")
    name: str = Field(
        default="patterns",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{1,60}[a-zA-Z0-9]$",
        description="prefix of this hub's collections; change it when hubs share a server",
    )


class Search(_Section):
    """How results are found and ranked."""

    mode: Mode = Field(default="hybrid", description="hybrid, dense or lexical")
    limit: int = Field(default=10, ge=1, le=1000, description="hits per search")
    exact_limit: int = Field(
        default=300_000,
        ge=0,
        description="up to this many patterns the dense arm is exact; beyond it Chroma's "
        "approximate index answers",
    )


class Generator(_Section):
    """The model at an endpoint that answers questions, and writes for `patternhub augment`."""

    endpoint: str = Field(
        default="",
        description="base URL of an OpenAI-compatible API, such as http://localhost:8000/v1",
    )
    model: str = Field(default="", description="the model's name there")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="environment variable that holds the endpoint's key"
    )
    timeout: float = Field(default=120, gt=0, description="seconds that one answer may take")
    context: int = Field(
        default=8192, ge=512, description="tokens that a question and its answer may have together"
    )


class Answering(_Section):
    """How `patternhub ask` and `compare` answer."""

    base: str = Field(
        default="",
        description="a model on this machine that answers, with its adapters: a folder, or an id "
        "that was downloaded before (extra 'train'); empty: the endpoint under [generator]",
    )
    revision: str = Field(default="", description="branch, tag or commit of the base")
    bits: Literal[0, 4, 8] = Field(
        default=0, description="4 or 8: the base's weights are quantised so; 0: as they are"
    )
    adapter: str = Field(
        default="",
        description="the adapter of the arms that have one, such as team@1.2.0 or team@production; "
        "at an endpoint, the name that it is served under",
    )
    system: str = Field(
        default="", description="system prompt of the arms base and adapter; empty: none"
    )
    patterns: int = Field(default=8, ge=1, le=50, description="most patterns an answer rests on")
    budget: int = Field(default=3000, ge=100, description="most tokens of them in a prompt")
    max_tokens: int = Field(default=512, ge=1, description="most tokens of an answer")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0: the likeliest token")
    seed: int = Field(default=0, ge=0, description="of an answer, where temperature is not 0")
    stop: list[str] = Field(default=[], description="texts that end an answer")
    abstain: bool = Field(
        default=True, description="say so where no pattern is near, instead of answering"
    )


class Training(_Section):
    """What `patternhub train` does where its options say nothing."""

    preset: str = Field(
        default="llama-3.2-1b-qlora",
        min_length=1,
        description="a shipped preset, or a YAML file; scratch-tiny needs no download and no GPU",
    )
    base: str = Field(
        default="",
        description="base model instead of that of the preset here: a folder, or an id on the Hub",
    )
    name: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,95})?$",
        description="of the adapter; empty: this folder's",
    )
    where: Literal["local", "space", "job"] = Field(
        default="local", description="local, or with Hugging Face: space or job"
    )
    repo: str = Field(
        default="", description="repository on the Hub that adapters are pushed to; empty: none"
    )
    space: str = Field(
        default="",
        description="organisation/name of the Space that trains; a Job is its organisation's",
    )
    bucket: str = Field(
        default="", description="organisation/name of its bucket; empty: the Space's with -runs"
    )
    hardware: str = Field(
        default="cpu-basic", description="flavour of the Space or Job, as a10g-small or zero-a10g"
    )
    minutes: float = Field(
        default=60, gt=0, description="after which a Space or Job stops, with a checkpoint"
    )


class Dataset(_Section):
    """What `patternhub dataset build` makes of the patterns."""

    system: str = Field(default="", description="system prompt of every example; empty: none")
    tasks: list[str] = Field(default=[], description="only these tasks; empty: every task")
    formats: list[str] = Field(
        default=["prompt-completion"],
        min_length=1,
        description="the first is written to the folder itself, each other to a folder of its "
        "own: prompt-completion, messages, alpaca, text, fim",
    )
    held_out: list[str] = Field(
        default=[],
        description="benchmarks and other datasets that training must not see: files of JSON "
        "lines or folders, relative to this file; an example whose answer resembles one of "
        "theirs is dropped",
    )
    seed: int = Field(default=0, description="of phrasings, cuts and the split")
    test_share: float = Field(default=0.1, ge=0, lt=1, description="of files, held out to test by")
    validation_share: float = Field(default=0.0, ge=0, lt=1, description="of files, to tune by")
    min_test: int = Field(
        default=50, ge=0, description="test rows a category should have; more files are held out"
    )
    commits: int = Field(
        default=1000,
        ge=0,
        description="of each local checkout, newest first, for refactorings; 0: none",
    )
    max_chars: int = Field(
        default=12_000, ge=200, description="a longer example is dropped; characters"
    )
    max_tokens: int = Field(
        default=2048, ge=1, description="a longer example is dropped, where a tokenizer is named"
    )
    caps: dict[str, int] = Field(
        default={}, description="most examples of a category, by its name; '*' is every other"
    )
    floors: dict[str, int] = Field(
        default={}, description="examples a category should have; the report names what is short"
    )
    task_share: float = Field(
        default=0.3, gt=0, le=1, description="largest share of the examples for one task"
    )
    fim_family: str = Field(
        default="qwen-coder", description="model whose fill-in-the-middle tokens are written"
    )
    tokenizer: str = Field(
        default="",
        description="folder or name of the tokenizer of the model to train, on this machine",
    )

    @model_validator(mode="after")
    def _leaves_some_to_train(self) -> Self:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share leave nothing to train on")
        return self


Action = Literal["replace", "drop", "keep"]


class Privacy(_Section):
    """What becomes of private data in a dataset: replace (by <EMAIL>, ...), drop the row, keep."""

    secrets: Action = Field(
        default="replace", description="passwords, tokens, keys in URLs, private keys"
    )
    email: Action = Field(default="replace", description="e-mail addresses")
    phone: Action = Field(default="replace", description="phone numbers")
    ip: Action = Field(
        default="replace", description="IP addresses, but for those that every house has"
    )
    anonymize: bool = Field(
        default=False, description="rename what the code of a row defines (Python, TypeScript)"
    )


class Forbidden(_Section):
    """Which terms drop a row of a dataset, beside trailers of co-authors and assistants' names."""

    terms: list[Annotated[str, Field(pattern=r"\w")]] = Field(
        default=[], description="further terms, as whole words in prose, comments and strings"
    )
    everywhere: bool = Field(
        default=False, description="an assistant's name drops a row in identifiers of code as well"
    )


class Convention(_Section):
    """A rule of the team's own about the code in examples; as many as there are."""

    name: str = Field(min_length=1, description="what findings call it")
    kind: Literal["require", "forbid"] = Field(default="forbid", description="require or forbid")
    regex: str = Field(default="", description="a regular expression; or")
    ast_grep: str | dict[str, Any] = Field(
        default="", description="an ast-grep pattern or rule, which needs a language"
    )
    language: str = Field(default="", description="only code in this language")
    category: str = Field(default="", description="only examples of this category")
    level: Literal["error", "warning"] = Field(default="error", description="error or warning")
    message: str = Field(default="", description="what to tell who breaks it")

    @model_validator(mode="after")
    def _one_pattern(self) -> Self:
        if bool(self.regex) == bool(self.ast_grep):
            raise ValueError("give it either a regex or an ast_grep rule")
        if self.ast_grep and not self.language:
            raise ValueError("an ast_grep rule needs a language")
        return self


class Evaluation(_Section):
    """When an answer is right, for `patternhub eval`."""

    similarity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="chrF of an answer against the reference that a pass takes; unrelated "
        "functions reach .3, one under other names .8",
    )
    seed: int = Field(default=0, description="of the sample that --n draws")


class Gate(_Section):
    """What an adapter must reach on held-out rows, for `patternhub gate`."""

    arm: Literal["adapter", "rag+adapter"] = Field(
        default="adapter", description="the arm that is judged: adapter or rag+adapter"
    )
    overall: float = Field(default=0.7, ge=0, le=1, description="share of all rows that pass")
    category: float = Field(default=0.6, ge=0, le=1, description="of the rows of each category")
    by: Literal["share", "lower bound"] = Field(
        default="share",
        description="what must reach it: the share itself, or the lower bound of its one-sided 95% "
        "interval, which luck reaches once in twenty",
    )
    rows: int = Field(
        default=50, ge=1, description="rows that a category takes; with fewer there is no verdict"
    )
    forbidden: int = Field(
        default=0, ge=0, description="most answers with forbidden terms or secrets"
    )
    incomplete: float = Field(
        default=0.02, ge=0, le=1, description="most of the rows that got no whole answer"
    )
    latency: float = Field(
        default=60.0, gt=0, description="seconds that 95% of the answers may take at most"
    )
    memory: float = Field(
        default=24.0, gt=0, description="GB that answering may take, where it is known"
    )


class Taxonomy(_Section):
    """Which categories patterns may have."""

    name: str = Field(
        default="default",
        description="a shipped taxonomy: default, platform or typescript-library; tables "
        "[[categories]] take its place; see the shipped ones for their fields",
    )


class Category(_Section):
    """One category: what it is, and what it is recognised by."""

    name: str = Field(min_length=1, description="what reports and examples call it")
    description: str = Field(
        min_length=1, description="a sentence; where rules leave it open, the nearest one decides"
    )
    paths: list[str] = Field(default=[], description="gitignore-style patterns of files")
    imports: list[str] = Field(
        default=[], description="modules and packages; what is below them counts too"
    )
    symbols: list[str] = Field(
        default=[], description="shell-style patterns of function, method and class names"
    )
    words: list[str] = Field(
        default=[], description="words or phrases in names, paths, documentation and code"
    )
    kinds: list[str] = Field(
        default=[],
        description="kinds of chunk that are always of it, such as test, section or class, and "
        "beside those: imports (a chunk of nothing else), exception (a class that is one)",
    )
    decisive: bool = Field(
        default=False, description="whether one of its paths settles it, whatever else is found"
    )
    examples: list[str] = Field(
        default=[], description="sentences that document such code, beside the description"
    )


class Target(_Section):
    """How many examples there should be of a category, for `patternhub gaps`."""

    category: str = Field(min_length=1, description="its name")
    task: str = Field(default="", description="only of this task; empty: of any")
    language: str = Field(default="", description="only in this language; empty: in any")
    examples: int = Field(gt=0, description="how many")


class Config(_Section):
    """The whole of ``hub.toml``."""

    sources: list[str] = Field(
        default=[],
        description="what `patternhub index` without arguments indexes: folders, files, git URLs; "
        "relative to this file",
    )
    files: Files = Files()
    chunks: Chunks = Chunks()
    embedding: Embedding = Embedding()
    store: Store = Store()
    search: Search = Search()
    generator: Generator = Generator()
    answering: Answering = Answering()
    dataset: Dataset = Dataset()
    training: Training = Training()
    privacy: Privacy = Privacy()
    forbidden: Forbidden = Forbidden()
    conventions: list[Convention] = Field(default=[], description=str(Convention.__doc__))
    targets: list[Target] = Field(default=[], description=str(Target.__doc__))
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    taxonomy: Taxonomy = Taxonomy()
    categories: list[Category] = Field(
        default=[],
        description="categories of your own, a table each, instead of a shipped taxonomy's",
    )


def load_config(folder: Path) -> Config:
    """The configuration in ``folder``, or the defaults where there is no ``hub.toml``.

    Raises:
        HubError: the file cannot be read, is not TOML, or has a wrong key or value; the message
            names the key and the nearest right one.
    """
    path = folder / CONFIG_NAME
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path} cannot be read: {error}") from error
    try:
        return Config.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise HubError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(problem)}" for problem in error.errors())
        raise HubError(f"{path}:\n{problems}") from error


def find_hub(start: Path) -> Path:
    """The nearest folder upward from ``start`` that holds a hub, or ``start`` itself."""
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file() or (folder / STORE_DIR).is_dir():
            return folder
    return start


def _explain(problem: Any) -> str:
    """One line for one pydantic error: the key, the value, and what would be right."""
    location = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"{location} = {problem['input']!r}: {problem['msg']}"
    known = _keys(problem["loc"][:-1])
    close = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
    return f"unknown key {location!r}; {hint}"


def _keys(section: tuple[Any, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for name in section:
        if isinstance(name, int):  # which of several tables
            continue
        annotation: Any = model.model_fields[str(name)].annotation
        annotation = _tables(annotation) or annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def config_template(sources: list[str], *, taxonomy: str = "default") -> str:
    """A ``hub.toml`` for ``sources`` and a taxonomy; every other field at its default."""
    lines = ["# Pattern Hub: what to index, and how. Every other value is the default.", ""]
    lines += [f"# {Config.model_fields['sources'].description}", f"sources = {_toml(sources)}", ""]
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            given = {"name": taxonomy} if section is Taxonomy else {}
            lines += [f"# {section.__doc__}", f"[{name}]", *_fields(section, given)]
        elif tables := _tables(field.annotation):
            given = _EXAMPLE if tables is Category else {}
            lines += [f"# {field.description}", f"# [[{name}]]"]
            lines += [f"# {line}" for line in _fields(tables, given) if line]
    return "\n".join(lines) + "\n"


def _tables(annotation: Any) -> type[BaseModel] | None:
    """The section that a list of tables repeats."""
    inner = next(iter(get_args(annotation)), None)
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


_EXAMPLE: dict[str, Any] = {
    "name": "payments",
    "description": "Charging customers, refunds and invoices.",
    "paths": ["billing/", "*payment*"],
    "imports": ["stripe"],
    "symbols": ["*Invoice", "charge_*"],
    "words": ["invoice", "refund", "credit card"],
    "examples": ["Charge the customer and send an invoice."],
}


def _fields(section: type[BaseModel], given: dict[str, Any]) -> list[str]:
    """Every field with its description and its value: the one given, or the default."""
    lines = []
    for name, field in section.model_fields.items():
        value = given.get(name, "" if field.is_required() else field.default)
        lines += [f"# {field.description}", f"{name} = {_toml(value)}", ""]
    return lines


def _toml(value: Any) -> str:
    """A default as TOML; for these types JSON is the same."""
    return json.dumps(value, ensure_ascii=False)
