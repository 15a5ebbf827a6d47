"""``odavl insight import`` beside CodeChecker, from the command's start to "stored".

CodeChecker's figures are kept: it takes minutes to install and to run. They are those of version
6.29 with SQLite, the faster of its databases, for the same file of 10,000 findings, measured where
the yardstick was 34 ms, and are scaled by this machine's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.corpus import Corpus, sarif_of_size, source_tree
from benchmarks.hub import RunningHub, clean_environment
from benchmarks.table import Figure, Table, measure, measure_each

_FINDINGS = 10_000
_FIRST_SECONDS = 20.0
_AGAIN_SECONDS = 10.0
_NOT_KEPT = "of CodeChecker there is no kept figure; it is not installed here"


def run(table: Table, hub: RunningHub, corpus: Corpus) -> None:
    report = sarif_of_size(corpus.folder, corpus.size(_FINDINGS))
    with tempfile.TemporaryDirectory(prefix="odavl-bench-") as name:

        def imported(project: str) -> Callable[[], object]:
            return _import(hub, Path(name), report, source_tree(corpus.folder), project)

        first = measure_each([imported(f"peers-{number}") for number in range(corpus.runs + 1)])
        again = measure(imported("peers-0"), runs=corpus.runs)
    what = f"odavl insight import of {_FINDINGS:,}"
    share = corpus.size(_FINDINGS) / _FINDINGS * table.scale
    kept = Figure((_FIRST_SECONDS * share,)), Figure((_AGAIN_SECONDS * share,))
    table.add_ratio(f"{what}, beside CodeChecker's kept figure", first, kept[0], 0.01)
    table.add_ratio(f"{what}, the same again", again, kept[1], 0.01)
    table.not_run(f"{what}, drifted", "≤ 1/80 of CodeChecker's", _NOT_KEPT)
    table.not_run("odavl insight import of 100,000", "≤ 1/100, 1/100, 1/80", _NOT_KEPT)


def _import(
    hub: RunningHub, folder: Path, report: Path, tree: Path, project: str
) -> Callable[[], object]:
    """The real command line, with the files that the findings are in."""
    environment = clean_environment(folder) | {
        "ODAVL_CLOUD_API": hub.url,
        "ODAVL_API_KEY": hub.key,
    }
    command = [sys.executable, "-m", "odavl", "insight", "import", str(report), "--upload"]
    return lambda: subprocess.run(
        [*command, "--project", project, "--branch", "main", "--quiet"],
        cwd=tree,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
