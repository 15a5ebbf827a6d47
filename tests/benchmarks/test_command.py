"""``python -m benchmarks``: the parts by name, without running any."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.corpus import Corpus
from benchmarks.parts import PARTS, Part
from benchmarks.table import Table, Verdict

REPOSITORY = Path(__file__).parents[2]
NOT_YET = {"scale"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_the_list_names_every_part_and_runs_none() -> None:
    result = run("--list")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [part.name for part in PARTS]


def test_an_unknown_part_is_refused_and_the_known_ones_named() -> None:
    result = run("speed")
    assert result.returncode == 2
    assert "there is no part speed; there are starting, ingest" in result.stderr


def test_every_part_is_there_or_known_to_come() -> None:
    missing = {part.name for part in PARTS if find_spec(part.module) is None}
    assert missing <= NOT_YET


def test_a_part_that_is_not_there_is_a_row_and_no_failure(tmp_path: Path) -> None:
    table = Table()
    part = Part("none", "benchmarks.none", "what is to come")
    part.run(table, None, Corpus(tmp_path))
    (row,) = table.rows
    assert (row.verdict, row.why) == (Verdict.NOT_RUN, "benchmarks.none is not there yet")


def test_a_part_without_a_small_size_is_left_out_of_a_quick_run(tmp_path: Path) -> None:
    table = Table()
    part = Part("starting", "benchmarks.starting", "large", has_small_size=False)
    part.run(table, None, Corpus(tmp_path, is_quick=True))
    assert [row.why for row in table.rows] == ["it has no small size"]
