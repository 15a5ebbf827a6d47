"""Goals of what does not exist yet, or cannot be measured by this program."""

from __future__ import annotations

from benchmarks.corpus import Corpus
from benchmarks.hub import RunningHub
from benchmarks.table import Table

_BRANCHES = "a branch is not kept as its difference yet"
_ROWS = (
    ("first run of a branch that equals its base", "≤ 1.2 × the same again", _BRANCHES),
    ("rows written by it; 50 such branches", "< 20; ≤ 50 × 20", _BRANCHES),
    ("a branch's full list", "≤ 2 × the root's", _BRANCHES),
    ("analysis of an unchanged code base", "≤ 0.1 × the first", "results are not kept yet"),
    ("queries of one list", "≤ 12", "tests hold it: tests/insight/test_issues_api.py (6)"),
    (
        "pages in Lighthouse: performance, accessibility",
        "≥ 95, 100",
        "it takes a browser and Lighthouse, which nothing here installs",
    ),
)


def run(table: Table, _hub: RunningHub, _corpus: Corpus) -> None:
    for name, goal, why in _ROWS:
        table.not_run(name, goal, why)
