"""The parts of the table, in its order. A new one is a module with ``run``, and a line here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.corpus import Corpus
from benchmarks.hub import RunningHub
from benchmarks.table import Table

Run = Callable[[Table, RunningHub, Corpus], None]


@dataclass(frozen=True, slots=True)
class Part:
    """``has_small_size`` says whether it can be run with ``--quick`` in bearable time."""

    name: str
    module: str
    what: str
    has_small_size: bool = True

    def run(self, table: Table, hub: RunningHub, corpus: Corpus) -> None:
        """Add its rows, or why there are none."""
        if find_spec(self.module) is None:
            table.not_run(self.what, "", f"{self.module} is not there yet")
        elif corpus.is_quick and not self.has_small_size:
            table.not_run(self.what, "", "it has no small size")
        else:
            run: Run = importlib.import_module(self.module).run
            run(table, hub, corpus)


PARTS = (
    Part("starting", "benchmarks.starting", "starts of commands and of the hub, the hub at rest"),
    Part("ingest", "benchmarks.ingest", "findings taken in: time, rows written, memory"),
    Part("peers", "benchmarks.peers", "odavl insight import beside CodeChecker"),
    Part("small", "benchmarks.small_uploads", "envelopes of 50 findings from 16 clients"),
    Part("waiting", "benchmarks.waiting", "uploads while a run of their branch is taken in"),
    Part("reading", "benchmarks.reading", "lists, differences and pages with 100,000 issues"),
    Part(
        "scale",
        "benchmarks.scale",
        "200k open, 1M fixed issues, 100k runs, 3,000 branches in one project",
        has_small_size=False,
    ),
    Part("transfers", "benchmarks.transfers", "uploads in chunks: rate, memory, what is resent"),
    Part("analysing", "benchmarks.analysing", "detectors side by side over a code base"),
    Part("jobs", "benchmarks.recovering", "dispatch of jobs, recovery after kills"),
    Part("later", "benchmarks.later", "goals of what does not exist yet"),
)
