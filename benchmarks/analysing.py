"""Insight over a code base: detectors side by side against each by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import django

from benchmarks.corpus import Corpus
from benchmarks.hub import REPOSITORY, RunningHub
from benchmarks.table import Figure, Row, Table, measure
from odavl.engines.insight.analyze import analyze
from odavl.wire.analysis import DetectorReport

_FAST = ("ruff", "bandit", "vulture")
_MAY_BE_SHARED = 1.1
"""Of the slowest's own time, or of what all of them take of the processors there are."""
_FAST_TIMES = 1.3


def run(table: Table, _hub: RunningHub, corpus: Corpus) -> None:
    processors = len(os.sched_getaffinity(0))
    tree = _copy(Path(django.__file__).parent, corpus, "http" if corpus.is_quick else ".")
    alone = _alone(tree, _FAST, corpus)
    together = measure(lambda: analyze(tree, detectors=_FAST), runs=corpus.runs)
    halves = Figure((sum(alone.values()) / min(processors, 2),))
    name = f"Django's package: {', '.join(_FAST)}, beside half of their sum"
    table.add_ratio(name, together, halves, _FAST_TIMES)
    tree = _copy(REPOSITORY / "cli" / "odavl", corpus, "wire" if corpus.is_quick else ".")
    ran = [each.name for each in _reports(tree) if each.status == "ran"]
    alone = _alone(tree, ran, corpus)
    together = measure(lambda: analyze(tree), runs=corpus.runs)
    least = max(*alone.values(), sum(alone.values()) / processors)
    goal = f"≤ {_MAY_BE_SHARED} × the slowest, or the sum ÷ {processors}"
    name = f"cli/odavl: {', '.join(ran)} side by side"
    table.add(Row(name, together, goal, _MAY_BE_SHARED * least, Figure((least,))))


def _copy(source: Path, corpus: Corpus, part: str) -> Path:
    """A tree of its own: no settings above it, nothing compiled in it."""
    target = corpus.folder / "trees" / source.name / part
    if not target.exists():
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.mo")
        shutil.copytree(source / part, target, ignore=ignored)
    return target


def _alone(tree: Path, names: Iterable[str], corpus: Corpus) -> dict[str, float]:
    """Seconds that each detector takes when nothing runs beside it: the median."""
    return {
        name: measure(lambda name=name: analyze(tree, detectors=[name]), runs=corpus.runs).median
        for name in names
    }


def _reports(tree: Path) -> list[DetectorReport]:
    scope = analyze(tree).scope
    return scope.detectors if scope else []
