"""``python -m benchmarks``: the parts by name, without running any."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from benchmarks.corpus import Corpus
from benchmarks.parts import PARTS, Part
from benchmarks.table import Table, Verdict

REPOSITORY = Path(__file__).parents[2]


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


def test_every_part_is_there() -> None:
    assert [part.name for part in PARTS if find_spec(part.module) is None] == []


def started_under(folder: Path) -> list[psutil.Process]:
    """Everything alive whose files are put below ``folder``."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE:
                named = (*process.cmdline(), process.environ().get("ODAVL_DATA", ""))
                found += [process] if any(str(folder) in each for each in named) else []
    return found


def test_the_hub_of_benchmarks_ends_with_them(tmp_path: Path) -> None:
    benchmarks = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "benchmarks",
            "--quick",
            "--corpus",
            str(tmp_path / "corpus"),
            "small",
        ],
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob("odavl-bench-*/hub/home/credentials.json")):
        assert benchmarks.poll() is None
        with suppress(subprocess.TimeoutExpired):
            benchmarks.wait(0.1)
    assert len(started_under(tmp_path)) > 1
    benchmarks.send_signal(signal.SIGTERM)
    benchmarks.wait()
    assert started_under(tmp_path) == []


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
