"""The class Hub: everything a program can do with a hub, composed from the parts."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hub.config import VOTES, load_config
from hub.errors import HubError, OtherModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any, Self

    from hub.answering.arms import Arms
    from hub.answering.retriever import PatternRetriever
    from hub.config import Mode, Tier
    from hub.curate.annotate import AnnotateReport, Annotation
    from hub.curate.duplicates import DuplicatesReport
    from hub.curate.gaps import Gap
    from hub.curate.rules import Finding
    from hub.dataset.build import BuildReport
    from hub.dataset.checking import ValidationReport
    from hub.dataset.filling import Filled
    from hub.dataset.generating import GenerateReport
    from hub.dataset.importing import ImportReport
    from hub.dataset.varying import VaryReport
    from hub.evaluating import Evaluated
    from hub.reporting import IndexReport, Progress
    from hub.runs import Runs
    from hub.search.retrieval import Retriever
    from hub.serving.evaluations import Evaluations
    from hub.serving.gate import Verdict
    from hub.serving.pushing import PushReport
    from hub.serving.registry import Registry
    from hub.serving.votes import Votes
    from hub.status import Status
    from hub.store.encoders import Encoders
    from hub.tuning.tune import CompareReport, Method, TuneReport
    from hub.types import Generator, Pattern, SearchResult
    from hub.workspace import Workspace
    from training.export import Exported

T = TypeVar("T")
ATTEMPTS = 3  # to read, where vectors of another model take the place of those that were read


class Hub:
    """A team's patterns: indexed once, then searched, and made into training data.

    >>> hub = Hub.open(".")
    >>> report = hub.index(["src"])
    >>> hits = hub.search("retry with backoff", limit=10, language="python")
    """

    def __init__(
        self, workspace: Workspace, *, reload: Callable[[], Workspace] | None = None
    ) -> None:
        """A hub of finished parts; :meth:`open` builds them.

        ``reload`` makes them anew once the vectors are of another model.
        """
        self.workspace = workspace
        self._reload = reload
        self._retriever: Retriever | None = None

    @classmethod
    def open(cls, folder: str | Path = ".", *, encoders: Encoders | None = None) -> Self:
        """The hub in ``folder``: its ``hub.toml`` if there is one, defaults otherwise.

        ``encoders`` take the place of those that ``hub.toml`` names, and stay.

        Raises:
            HubError: ``folder`` is missing, or ``hub.toml`` is wrong.
        """
        try:
            path = Path(folder).expanduser().resolve()
        except (RuntimeError, ValueError) as error:  # links in a circle, nobody's home, a null byte
            raise HubError(f"{folder} is not a folder: {error}") from error
        if not path.is_dir():
            raise HubError(f"{folder} is not a folder; a hub lives in one")
        config = load_config(path)  # a wrong one is an error before anything heavy is loaded
        from hub.workspace import Workspace

        if encoders is not None:
            return cls(Workspace(path, config, encoders))
        reload = functools.partial(Workspace.from_folder, path)
        return cls(reload(), reload=reload)

    def index(
        self,
        locations: str | Path | Sequence[str | Path] = (),
        *,
        tier: Tier | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders, files and git URLs.

        Nothing given: the sources in ``hub.toml`` and every source indexed before. ``tier`` "fast"
        stops when every pattern is searchable by static vectors. A source that cannot be read is
        in the report's ``failed``; the others are indexed.

        Raises:
            HubError: no source, or none that can be read; or the store cannot be written.
        """
        from hub.indexing import index

        if isinstance(locations, str | Path):
            locations = [locations]
        self._follow_config()
        tier = tier or self.workspace.config.embedding.tier
        return index(self.workspace, locations, tier=tier, progress=progress)

    def forget(self, source: str) -> IndexReport:
        """Remove a source and its patterns.

        Raises:
            HubError: no source of that name; names the known ones. Or the patterns are another
                model's.
        """
        from hub.indexing import forget

        self._follow_config()
        return forget(self.workspace, source)

    def search(
        self,
        query: str,
        *,
        limit: int | None = None,
        language: str | None = None,
        kind: str | None = None,
        source: str | None = None,
        path: str | None = None,
        ids: Collection[str] | None = None,
        mode: Mode | None = None,
        tier: Tier | None = None,
    ) -> list[SearchResult]:
        """The patterns that answer ``query`` best, best first.

        Args:
            query: Words, a sentence, or an identifier.
            limit: How many hits; the default is in ``hub.toml``.
            language: Only this language, such as "python".
            kind: Only this kind, such as "function", "method", "class" or "section".
            source: Only this source, by name.
            path: Only paths that match this gitignore-style pattern, such as "src/**".
            ids: Only these patterns.
            mode: "hybrid", or one arm alone: "dense" or "lexical".
            tier: "fast" or "best"; by default the best tier that is complete.

        Raises:
            HubError: an empty query, an unknown filter value, or nothing indexed yet.
        """
        from hub.search.ranking import Filters

        defaults = self.workspace.config.search
        only = None if ids is None else frozenset(ids)
        filters = Filters(language=language, kind=kind, source=source, path=path, ids=only)
        return self._read(
            lambda retriever: retriever.search(
                query,
                limit=defaults.limit if limit is None else limit,
                mode=mode or defaults.mode,
                tier=tier,
                filters=filters,
            )
        )

    def as_retriever(self, **options: Any) -> PatternRetriever:
        """This hub as a retriever of LlamaIndex; ``options`` are those of :meth:`search`.

        Raises:
            MissingExtraError: LlamaIndex is not installed.
        """
        from hub.answering.opening import retriever_of

        return retriever_of(functools.partial(self.search, **options))

    def arms(
        self, *, model: str = "", adapter: str | None = None, generator: Generator | None = None
    ) -> Arms:
        """What answers questions: base, rag, adapter, rag+adapter, as far as there is a model and
        an adapter.

        Args:
            model: At the endpoint under ``[generator]``, or the folder or id of a base on this
                machine; by default as ``[answering]`` says.
            adapter: In the registry, a folder, or as the endpoint calls it; by default as
                ``[answering]`` says.
            generator: What answers instead.

        Raises:
            HubError: the model or the adapter is not there, or they do not belong together.
        """
        self._follow_config()
        limit = self.workspace.config.answering.patterns
        search = functools.partial(self.search, limit=limit)
        return self._arms(search, model, adapter, generator)

    def get(self, id: str) -> Pattern:
        """The pattern with this id, or with the only id that starts so.

        Raises:
            HubError: no pattern, or several, have such an id.
        """
        return self._read(lambda retriever: retriever.get(id))

    def patterns(self, ids: Sequence[str]) -> list[Pattern]:
        """The patterns with these whole ids, in their order; those that are gone are left out."""
        return self._read(lambda retriever: retriever.patterns(ids))

    def similar(self, pattern: Pattern, *, limit: int = 5) -> list[tuple[Pattern, float]]:
        """The patterns nearest to this one with their cosines in [-1, 1], nearest first."""
        return self._read(lambda retriever: retriever.similar(pattern, limit=limit))

    def generation(self) -> int:
        """A number that changes with what is indexed.

        Raises:
            HubError: nothing is.
        """
        return self._read(lambda retriever: retriever.current().snapshot.generation)

    def filters(self) -> dict[str, dict[str, int]]:
        """The values that "source", "language" and "kind" can take, with the patterns of each."""

        def read(retriever: Retriever) -> dict[str, dict[str, int]]:
            rows = retriever.current().snapshot.rows
            columns = {"source": rows.sources, "language": rows.languages, "kind": rows.kinds}
            return {name: labels.counts() for name, labels in columns.items()}

        return self._read(read)

    def neighbours(self, pattern: Pattern) -> tuple[Pattern | None, Pattern | None]:
        """The patterns before and after this one in its file."""
        return self._read(lambda retriever: retriever.neighbours(pattern))

    def outline(self, pattern: Pattern) -> list[Pattern]:
        """The methods of a class in its file, in order; none for any other kind."""
        return self._read(lambda retriever: retriever.outline(pattern))

    def status(self) -> Status:
        """What the hub holds, what was skipped and why, and what has changed since."""
        from hub.status import status

        return self._read(lambda retriever: status(self.workspace, retriever))

    def duplicates(
        self,
        *,
        kind: str | None = None,
        source: str | None = None,
        threshold: float | None = None,
        apply: bool = False,
        progress: Progress | None = None,
    ) -> DuplicatesReport:
        """Which patterns say the same, in clusters, and which one stands for each.

        Nothing is removed from the hub.

        Args:
            kind: Only this kind, such as "function", "method", "class" or "section".
            source: Only this source, by name.
            threshold: The least share of words that semantic duplicates have in common, from 0 to
                1. Exact and near-duplicates do not depend on it.
            apply: Datasets leave out what another stands for, from now on: until the
                file that the report names as ``applied`` is deleted, or this is done again.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: nothing is indexed, an unknown kind or source, a threshold out of range, or
                the file cannot be written.
        """
        from hub.curate.duplicates import find_duplicates
        from hub.curate.left_out import leave_out
        from hub.curate.semantic import SHARED
        from hub.reporting import silent
        from hub.search.ranking import Filters

        filters = Filters(kind=kind, source=source)
        patterns, vectors = self._read(lambda retriever: retriever.matching(filters))
        report = find_duplicates(
            patterns,
            vectors,
            threshold=SHARED if threshold is None else threshold,
            progress=progress or silent,
        )
        if apply:
            report.applied = str(leave_out(self.workspace.store_folder, report.dropped))
        return report

    def link_tests(self) -> dict[str, tuple[str, ...]]:
        """For each function and class that tests exercise, by id, the ids of those tests."""
        from hub.curate.linking import link_tests

        return link_tests(self._patterns())

    def annotate(self) -> AnnotateReport:
        """Category, technologies, intent, complexity and quality of every pattern.

        The categories are hub.toml's; nothing is stored.

        Raises:
            HubError: nothing is indexed, or no taxonomy has the name in hub.toml.
        """
        from hub.curate.annotate import AnnotateReport, annotate
        from hub.curate.taxonomy import taxonomy_of

        taxonomy = taxonomy_of(self.workspace.config)

        def read(retriever: Retriever) -> AnnotateReport:
            patterns, vectors, encoder = retriever.with_vectors()
            found = annotate(patterns, taxonomy=taxonomy, vectors=vectors, encoder=encoder)
            return AnnotateReport(
                taxonomy=taxonomy.name, patterns=tuple(patterns), annotations=found
            )

        return self._read(read)

    def build_dataset(
        self,
        out: str | Path,
        *,
        formats: Sequence[str] = (),
        strict: bool = False,
        progress: Progress | None = None,
    ) -> BuildReport:
        """Make a dataset of everything indexed, clean, balanced and split, in the folder ``out``.

        ``formats`` take the place of those that ``hub.toml`` names. A dataset that is there is
        replaced once the new one is whole.

        Raises:
            FailedCheckError: ``strict``, and a row has a forbidden term; names each. Nothing is
                written.
            HubError: nothing is indexed, a setting is wrong, no example is left, or ``out`` cannot
                be written.
        """
        from hub.building import build_dataset
        from hub.reporting import silent

        self._follow_config()
        return self._read(
            lambda retriever: build_dataset(
                self.workspace, retriever, Path(out), formats, progress or silent, strict=strict
            )
        )

    def gaps(
        self, dataset: str | Path | None = None, *, progress: Progress | None = None
    ) -> list[Gap]:
        """What a dataset lacks, the largest gap first: against ``[[targets]]`` in hub.toml, against
        the code there is, and in variety.

        Args:
            dataset: A folder that was built; by default what was built last.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: nothing is indexed, or there is no such dataset.
        """
        from hub.augmenting import find_gaps_in
        from hub.reporting import silent

        self._follow_config()
        folder = self._dataset(dataset)
        return self._read(
            lambda retriever: find_gaps_in(
                self.workspace, retriever, folder, progress=progress or silent
            )
        )

    def map(
        self,
        dataset: str | Path | None = None,
        *,
        annotations: Mapping[str, Annotation] | None = None,
    ) -> str:
        """Where the patterns lie and which of them a dataset shows, as HTML with a drawing in it.

        Args:
            dataset: A folder that was built; by default what was built last.
            annotations: As :meth:`annotate` found them before; by default they are found now.

        Raises:
            HubError: fewer than three patterns are indexed, or there is no such dataset.
        """
        from hub.augmenting import map_of

        folder = self._dataset(dataset)
        known = self.annotate().annotations if annotations is None else annotations
        return self._read(lambda retriever: map_of(retriever, folder, known))

    def augment(
        self,
        *,
        category: str = "",
        limit: int = 100,
        jobs: Sequence[str] = ("instruction", "tests"),
        model: str = "",
        generator: Generator | None = None,
        progress: Progress | None = None,
    ) -> GenerateReport:
        """Let a model write what functions without an example lack: what would ask for them, and
        tests. The next build has them.

        Args:
            category: Only functions of this category; empty: of any.
            limit: How many functions, the best by quality first.
            jobs: What to ask for.
            model: Its name at the endpoint under ``[generator]``; by default the one there.
            generator: Who is asked instead.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: nothing is indexed, no model is named, or it fails again and again.
        """
        from hub.augmenting import augment
        from hub.generator import EndpointGenerator
        from hub.reporting import silent

        self._follow_config()
        settings = self.workspace.config.generator
        settings = settings.model_copy(update={"model": model or settings.model})
        asked = generator or EndpointGenerator(settings, self.workspace.config.privacy)
        return self._read(
            lambda retriever: augment(
                self.workspace, retriever, asked, category=category, limit=limit, jobs=jobs,
                progress=progress or silent,
            )
        )  # fmt: skip

    def vary(
        self,
        ops: Sequence[str] = ("rename", "comments", "format", "bugs"),
        *,
        category: str = "",
        limit: int = 100,
        progress: Progress | None = None,
    ) -> VaryReport:
        """Vary functions of Python, TypeScript and JavaScript without a model: other names,
        comments and layout, and bugs to fix. The next build has examples of them.

        Args:
            ops: What to vary.
            category: Only functions of this category; empty: of any.
            limit: How many functions, the best by quality first.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: nothing is indexed, or an unknown operation.
        """
        from hub.augmenting import vary_patterns
        from hub.reporting import silent

        self._follow_config()
        return self._read(
            lambda retriever: vary_patterns(
                self.workspace, retriever, ops=ops, category=category, limit=limit,
                progress=progress or silent,
            )
        )  # fmt: skip

    def fill_gaps(
        self,
        dataset: str | Path | None = None,
        *,
        category: str = "",
        progress: Progress | None = None,
    ) -> list[Filled]:
        """Vary the functions nearest to each gap of a dataset, as many as it takes; each comes with
        the shortfall that is left. The next build has examples of them.

        Args:
            dataset: A folder that was built; by default what was built last.
            category: Only gaps of this category; empty: of any.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: nothing is indexed, or there is no such dataset.
        """
        from hub.augmenting import fill_gaps
        from hub.reporting import silent

        self._follow_config()
        folder = self._dataset(dataset)
        return self._read(
            lambda retriever: fill_gaps(
                self.workspace, retriever, folder, category=category, progress=progress or silent
            )
        )

    def validate(
        self,
        dataset: str | Path | None = None,
        *,
        fix: bool = False,
        on_finding: Callable[[Path, Finding], None] = lambda _path, _finding: None,
        progress: Progress | None = None,
    ) -> ValidationReport:
        """Check every row of a dataset against every rule; nothing need be indexed.

        Args:
            dataset: A file of JSON lines, or a folder of them; by default what was built last.
            fix: Mend what can be mended without a doubt, and drop rows that still break a rule.
            on_finding: Called with the file and each finding, in order.
            progress: Called with the bytes that are done.

        Raises:
            HubError: no dataset, one that cannot be read or written, or a convention or tokenizer
                in hub.toml that cannot be used.
        """
        from hub.curate.validate import Validator
        from hub.dataset.checking import check_dataset
        from hub.reporting import silent

        workspace = self.workspace
        return check_dataset(
            self._dataset(dataset),
            Validator.from_config(workspace.config, workspace.folder),
            fix=fix,
            on_finding=on_finding,
            progress=progress or silent,
        )

    def check_row(self, row: Mapping[str, Any]) -> list[Finding]:
        """What the rules say of one row alone, in their order.

        Raises:
            HubError: a convention or tokenizer in hub.toml that cannot be used.
        """
        from hub.curate.validate import Validator

        workspace = self.workspace
        return Validator.from_config(workspace.config, workspace.folder).findings(row, 1)

    def last_dataset(self) -> Path:
        """The folder of the dataset that was built last.

        Raises:
            HubError: none was.
        """
        return self._dataset(None)

    def import_examples(self, source: str, *, name: str = "", category: str = "") -> ImportReport:
        """Keep the sound rows of an existing dataset as examples of this hub.

        Args:
            source: A file of JSON lines, a folder, or ``owner/name[:config]`` on the Hub.
            name: What the hub calls it; by default after the source.
            category: Of rows that do not name one.

        Raises:
            HubError: nothing is there, it cannot be reached or read, or no row passes.
        """
        from hub.curate.validate import Validator
        from hub.dataset.importing import import_examples

        folder = self.workspace.folder
        validator = Validator.from_config(self.workspace.config, folder)
        return import_examples(source, folder, validator, name=name, category=category)

    def tune(
        self,
        *,
        tiers: Sequence[Tier] = ("best", "fast"),
        kinds: Sequence[str] = ("docs", "sections"),
        epochs: float = 1,
        method: Method = "lora",
        hold_out: Sequence[str] = (),
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> TuneReport:
        """Tune the configured retriever on this hub's own pairs, and use it if it finds more.

        What is kept is named in ``hub.toml`` and the patterns are embedded anew; searches go on
        with the old vectors until that is done. Needs the extra 'train'.

        Args:
            tiers: Which of the two encoders.
            kinds: Of pairs: "docs" (documentation to function), "sections" (heading to code).
            epochs: Times that the best tier's encoder sees each pair.
            method: "lora", an adapter, or "full", all weights.
            hold_out: Sources that nothing is learned from, to judge by.
            dry_run: Count the pairs and train nothing.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: nothing is indexed, too few pairs or files, an unknown source, or a model
                that cannot be tuned.
        """
        from hub.reporting import silent
        from hub.tuning.tune import recipe_of, tune, use_model

        self._follow_config()
        report = tune(
            self.workspace,
            self._patterns(),
            tiers=tiers,
            kinds=kinds,
            recipe=recipe_of(method, epochs),
            hold_out=hold_out,
            dry_run=dry_run,
            progress=progress or silent,
        )
        if report.model:
            use_model(self.workspace.folder, report.model)
            self.index(progress=progress)
        return report

    def compare_tuned(self, *, progress: Progress | None = None) -> CompareReport:
        """The configured tuned retriever and what it was tuned from, on files neither has seen.

        Raises:
            HubError: nothing is indexed, the model is not a tuned one, or no file was held out.
        """
        from hub.reporting import silent
        from hub.tuning.tune import compare

        self._follow_config()
        return compare(self.workspace, self._patterns(), progress=progress or silent)

    def push_adapters(
        self, reference: str = "", *, repository: str = "", private: bool = True
    ) -> PushReport:
        """Send the adapters that wait, or one, to a repository on the Hugging Face Hub; with all
        adapters go the newest checkpoints of runs here that have not ended well.

        Args:
            reference: Only this adapter; empty: all that were not sent there.
            repository: ``organisation/name``; by default hub.toml's, under ``[training]``.
            private: Whether a new repository is.

        Raises:
            HubError: no repository is named, or the Hub refuses or is not there; what was not sent
                waits.
        """
        from hub.serving.pushing import push

        repository = self._repository(repository)
        report = push(self.adapters, repository, reference=reference, private=private)
        if not reference:
            report.checkpoints.extend(self._runs().push(repository, private=private))
        return report

    def verify_adapters(
        self, reference: str = "", *, remote: bool = False, repository: str = ""
    ) -> dict[str, Sequence[str]]:
        """What is wrong with one adapter or all, by reference; nothing: every digest is right.

        With ``remote``, what differs on the Hub.

        Raises:
            HubError: no such adapter, or with ``remote`` as :meth:`push_adapters`.
        """
        if not remote:
            return self.adapters.verify(reference)
        from hub.serving.pushing import verify_remote

        return verify_remote(self.adapters, self._repository(repository), reference=reference)

    def ways_to_mend(self, found: dict[str, Sequence[str]]) -> dict[str, str]:
        """The command that puts each damaged adapter right, where a whole copy is known: its
        run's, else that on the Hub.

        Args:
            found: What is wrong with each, as :meth:`verify_adapters` says.
        """
        from hub.serving.folder import damage

        ways = {}
        for adapter in self.adapters.list():
            if not found.get(adapter.reference):
                continue
            copy = self._runs().folder / Path(adapter.run).name / "adapter"
            if not damage(copy, adapter.digest):
                place = shlex.quote(str(copy))
                ways[adapter.reference] = f"patternhub adapters take {place} --name {adapter.name}"
            elif repositories := self.adapters.repositories(adapter):
                ways[adapter.reference] = f"patternhub adapters pull {repositories[0]}"
        return ways

    def export_adapter(
        self, reference: str, out: str | Path, *, form: str, base: str = ""
    ) -> Exported:
        """Write an adapter for other programs into the folder ``out``, which must not be there.

        Args:
            reference: Which adapter; its digests are checked first.
            out: The new folder.
            form: "merged", "ollama" or "unsloth"; see :mod:`training.export`.
            base: Where the base lies now; by default where it lay at training.

        Raises:
            HubError: no such adapter, a damaged one, or it cannot be written so.
        """
        from training.errors import TrainingError
        from training.export import export

        adapter = self.adapters.get(reference)
        if wrong := self.adapters.verify(adapter.reference)[adapter.reference]:
            raise HubError(f"{adapter.reference} is damaged: {'; '.join(wrong)}")
        try:
            return export(self.adapters.path(adapter), Path(out), form=form, base=base)
        except TrainingError as error:
            raise HubError(str(error)) from error

    def _repository(self, given: str) -> str:
        if repository := given or self.workspace.config.training.repo:
            return repository
        raise HubError(
            "no repository on the Hub is named: give --repo ORG/NAME, or set repo under [training] "
            "in hub.toml"
        )

    def _patterns(self) -> list[Pattern]:
        return self._read(
            lambda retriever: [p for page, _ in retriever.store.pages() for p in page]
        )

    def evaluate(
        self,
        dataset: str | Path | None = None,
        *,
        arms: Sequence[str] = ("base", "rag"),
        adapter: str = "",
        model: str = "",
        n: int = 0,
        generator: Generator | None = None,
        progress: Progress | None = None,
    ) -> Evaluated:
        """Ask the arms what held-out rows ask, score the answers, and keep them with a page.

        Answers that were given before, by the same arm to the same question, are not asked again.

        Args:
            dataset: A file of rows, or a folder with test.jsonl; by default what was built last.
            arms: Of base, rag, adapter and rag+adapter.
            adapter: As for :meth:`arms`.
            model: As for :meth:`arms`.
            n: Rows to draw, each category by its share; 0: all.
            generator: What answers instead.
            progress: Called with what is being done and how far it is.

        Raises:
            HubError: no rows that can be asked, no such arm, another process is evaluating, the
                adapter is not shown to be loaded or has seen the rows, or the disk is full.
        """
        from hub.evaluating import evaluate
        from hub.reporting import silent

        self._follow_config()
        config = self.workspace.config
        called = generator.name if generator else model or config.answering.base
        named = adapter or config.answering.adapter
        at_endpoint = bool(config.generator.endpoint) and not config.answering.base
        return evaluate(
            self.workspace, self.search,
            lambda search: self._arms(search, model, named, generator),
            self.adapters, self.evaluations, dataset=self._dataset(dataset), names=arms,
            model=called or config.generator.model, adapter=named,
            is_local=not at_endpoint and generator is None,
            n=n, progress=progress or silent,
        )  # fmt: skip

    def gate(self, adapter: str) -> Verdict:
        """Judge an adapter of the registry by its newest evaluation; the registry keeps it.

        Raises:
            FailedCheckError: it was not evaluated as it is now: there is no verdict.
            HubError: there is no such adapter.
        """
        from hub.serving.gate import gate

        self._follow_config()
        return gate(adapter, self.adapters, self.evaluations, self.workspace.config.gate)

    @property
    def evaluations(self) -> Evaluations:
        """The evaluations that were finished, the newest first, with their pages."""
        from hub.serving.evaluations import Evaluations

        return Evaluations(self.workspace.store_folder / "evaluations")

    @property
    def votes(self) -> Votes:
        """What people preferred where arms answered side by side."""
        from hub.serving.votes import Votes

        return Votes(self.workspace.store_folder / VOTES)

    @functools.cached_property
    def adapters(self) -> Registry:
        """The adapters that were trained: versions, aliases, what is in production.

        Those of runs that have ended since are taken in first, whoever watched them.

        Raises:
            HubError: the registry cannot be read or written.
        """
        from hub.serving.registry import Registry

        registry = Registry.open(self.workspace.store_folder / "adapters")
        self._runs().collect(registry)
        return registry

    @property
    def runs(self) -> Runs:
        """Runs of training; the adapters of finished ones are in the registry by now."""
        runs = self._runs()
        runs.collect(self.adapters)
        return runs

    def _runs(self) -> Runs:
        from hub.runs import FOLDER, Runs

        return Runs(self.workspace.store_folder / FOLDER, self.workspace.config.training)

    @property
    def retriever(self) -> Retriever:
        """Search over the current generation, with the model whose vectors answer now."""
        if self._retriever is None:
            self._retriever = _retriever_of(self.workspace)
        return self._retriever

    def _read(self, use: Callable[[Retriever], T]) -> T:
        """What ``use`` finds; where its vectors gave way to another model's, in those."""
        for _ in range(ATTEMPTS - 1):
            try:
                return use(self.retriever)
            except OtherModelError:
                self._retriever = _retriever_of(self._readable())
        return use(self.retriever)

    def _arms(
        self,
        search: Callable[..., list[SearchResult]],
        model: str,
        adapter: str | None,
        generator: Generator | None,
    ) -> Arms:
        from hub.answering.opening import open_arms

        return open_arms(
            search, self._read, self.workspace.config, self._adapter_folder,
            model=model, adapter=adapter, generator=generator,
        )  # fmt: skip

    def _adapter_folder(self, reference: str) -> Path:
        """Where the registry keeps an adapter."""
        return self.adapters.path(self.adapters.get(reference))

    def _dataset(self, folder: str | Path | None) -> Path:
        """The dataset in ``folder``; None is what was built last."""
        from hub.dataset.checking import last_build

        return Path(folder) if folder else last_build(self.workspace.store_folder)

    def _readable(self) -> Workspace:
        """The workspace whose vectors answer; hub.toml is read again where none that is known does.

        Raises:
            OtherModelError: none does; names both models.
        """
        try:
            return self.workspace.readable()
        except OtherModelError:
            if self._reload is None:
                raise
        self.workspace = self._reload()
        return self.workspace.readable()

    def _follow_config(self) -> None:
        """Write as hub.toml says now: an older model would migrate everything back."""
        folder = self.workspace.folder
        if self._reload is not None and load_config(folder) != self.workspace.config:
            self.workspace, self._retriever = self._reload(), None


def _retriever_of(workspace: Workspace) -> Retriever:
    from hub.search.retrieval import Retriever

    return Retriever(
        workspace.store,
        workspace.encoders,
        workspace.derived,
        exact_limit=workspace.config.search.exact_limit,
    )
