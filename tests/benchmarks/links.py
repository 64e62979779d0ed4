"""The links benchmark: do tests link to what they call?

    python -m tests.benchmarks.links --role dev|report [--work FOLDER]

For each project: its source distribution is installed into an environment of its own, its tests run
under a tracer (own_frame.py) that writes down what each test calls from its own frame, and the
links of the patterns of the same files are held against that. Needs a package index.
"""

from __future__ import annotations

from dataclasses import dataclass

_CONSTRUCTORS = (".__init__", ".__new__", ".__post_init__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A distribution at one version, and what its tests need."""

    requirement: str
    role: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.requirement.partition("==")[0]


PROJECTS = (
    Project(requirement="click==8.5.1", role="dev"),
    Project(
        requirement="requests==2.34.2",
        role="dev",
        needs=("pytest-httpbin", "pytest-mock", "trustme", "PySocks", "httpbin~=0.10.0"),
        arguments=("--deselect", "tests/test_requests.py::TestTimeout"),
    ),
    Project(requirement="marshmallow==4.4.0", role="report", needs=("simplejson",)),
    Project(requirement="more-itertools==11.2.1", role="report"),
    Project(requirement="scrapy==2.19.0", role="report"),
)
