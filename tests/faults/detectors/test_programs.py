"""Row 64 of what must go wrong without harm: programs that misbehave.

All of it through the real command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.detectors.commands import analyze, reports
from tests.faults.detectors.misbehaving import (
    DETECTORS,
    HANGS,
    IGNORES_SIGNALS,
    LEAVES_THE_GROUP,
    TEN_MINUTES,
    Machine,
)

LATE = "did not end in time"

# What a program does → what is told of it.
MISBEHAVIOUR = {
    "hangs": (HANGS, LATE),
    "hangs and ignores signals": (IGNORES_SIGNALS + HANGS, LATE),
    "hangs with a child that left its group": (LEAVES_THE_GROUP + HANGS, LATE),
    "ends, and a child that left its group keeps the pipes": (
        LEAVES_THE_GROUP + "print('garbage'); sys.exit(1)",
        "",
    ),
    "ends with 1 and garbage": ("print('[{garbage'); sys.exit(1)", ""),
    "ends with 1 and garbage among the errors": (
        "print('garbage: (', file=sys.stderr); sys.exit(1)",
        "",
    ),
    "ends with 1 and says nothing": ("sys.exit(1)", ""),
    "dies half-way": (
        'print(\'[{"filename": "pay.py", \', flush=True); os.kill(os.getpid(), signal.SIGKILL)',
        "SIGKILL",
    ),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "prints bytes that are no UTF-8": (
        'sys.stdout.buffer.write(b\'[{"filename": "\\xff\\xfe"}]\\n\' * 9); sys.exit(1)',
        "",
    ),
    "prints without an end": (
        "while True: os.write(1, b'x' * 65536)",
        "wrote more than 256 MiB",
    ),
    "nests without an end": ("sys.stdout.write('[' * 1_000_000); sys.exit(1)", ""),
}


@pytest.mark.parametrize("what", MISBEHAVIOUR)
def test_row_64_only_the_detector_that_misbehaves_is_lost(
    machine: Machine, project: Path, what: str
) -> None:
    """Six do, ruff does its work; then the other way round."""
    source, told = MISBEHAVIOUR[what]
    # Those that end by themselves are given the time of a machine that has much to do.
    seconds = 5 if told == LATE else 240
    for name in DETECTORS[1:]:
        machine.puts(name, source)
    machine.links("ruff")
    found = analyze(machine, project, *DETECTORS, timeout=seconds)
    assert (found["ruff"]["status"], found["ruff"]["findings"]) == ("ran", 1)
    lost = {name: each for name, each in found.items() if name != "ruff"}
    (machine.folder / "tools" / "ruff").unlink()
    (machine.folder / "tools" / "bandit").unlink()
    machine.puts("ruff", source)
    machine.links("bandit")
    found = analyze(machine, project, "ruff", "bandit", timeout=seconds)
    assert (found["bandit"]["status"], found["bandit"]["findings"]) == ("ran", 2)
    lost["ruff"] = found["ruff"]
    assert len(lost) == len(DETECTORS)
    for each in lost.values():
        assert (each["status"], each["findings"]) == ("failed", 0)
        assert told in each["detail"]
        assert each["detail"]
    assert machine.left_behind() == []


def test_row_64_a_program_that_never_tells_its_version_is_lost_within_its_time(
    machine: Machine, project: Path
) -> None:
    for name in ("bandit", "vulture"):
        machine.puts(name, LEAVES_THE_GROUP + HANGS)
    started = time.monotonic()
    found = analyze(machine, project, "bandit", "vulture", timeout=2)
    assert {each["detail"] for each in found.values()} == {"It did not end in time."}
    waited = time.monotonic() - started
    assert waited < TEN_MINUTES / 2, "each of these sleeps ten minutes"
    assert machine.left_behind() == []


def test_row_64_who_hides_from_us_and_keeps_the_pipes_is_not_waited_for(
    machine: Machine, project: Path
) -> None:
    """A daemon without our environment cannot be told from any other process."""
    hides = LEAVES_THE_GROUP.replace(
        "time.sleep(600)",
        "os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)'], {})",
    )
    machine.wraps("ruff", hides)
    try:
        found = analyze(machine, project, "ruff", timeout=120)
        assert (found["ruff"]["status"], found["ruff"]["findings"]) == ("ran", 1)
    finally:
        for each in machine.notes.iterdir():
            if psutil.pid_exists(int(each.name)):
                os.kill(int(each.name), signal.SIGKILL)


PEAK_OF = """
import os, resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
"""In a small process of its own: a fork begins with the size of what it was forked from."""


def test_row_64_much_output_takes_its_own_size_and_no_more(machine: Machine, project: Path) -> None:
    machine.puts("ruff", "for _ in range(200): os.write(1, b'x' * 1024 * 1024)")
    done = subprocess.run(
        [sys.executable, "-c", PEAK_OF, *machine.command("insight", "analyze", "--json",
                                                         "--detectors", "ruff")],
        cwd=project,
        env=machine.environment(),
        capture_output=True,
        check=True,
    )  # fmt: skip
    assert reports(done.stdout.decode())["ruff"]["status"] == "failed"
    assert int(done.stderr.split()[-1]) < 400 * 1024, "KiB; 200 MiB of it are the output"


_AS_BY_DEFAULT = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
AT_A_TERMINAL = [sys.executable, "-c", _AS_BY_DEFAULT]
"""Whatever the suite itself was started with: a shell cannot take an ignored signal back."""
IN_THE_BACKGROUND = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh"]


@pytest.mark.parametrize(
    ("number", "is_in_background"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGTERM, True),
    ],
    ids=["Ctrl-C", "SIGTERM", "the terminal is closed", "SIGTERM under nohup"],
)
def test_row_64_a_signal_ends_all_that_was_started(
    machine: Machine, project: Path, number: signal.Signals, is_in_background: bool
) -> None:
    """As `nohup odavl … &` in a script is started: SIGHUP and SIGINT are ignored."""
    for name in ("ruff", "bandit", "eslint"):
        machine.puts(name, IGNORES_SIGNALS + LEAVES_THE_GROUP + HANGS)
    process = subprocess.Popen(
        [
            *(IN_THE_BACKGROUND if is_in_background else AT_A_TERMINAL),
            *machine.command("insight", "analyze", "--detectors", "ruff,bandit,eslint"),
        ],
        cwd=project,
        env=machine.environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(list(machine.notes.iterdir())) >= 2, process)
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert told == b"Interrupted.\n"
    assert machine.left_behind() == []


def test_row_64_a_signal_ends_git_too(machine: Machine, project: Path) -> None:
    """Git waits for who never writes to this FIFO."""
    subprocess.run(["git", "init", "-q", project], check=True)
    os.mkfifo(project / ".gitignore")
    process = subprocess.Popen(
        machine.command("insight", "analyze", "--detectors", "ruff"),
        cwd=project,
        env=machine.environment(),
        stderr=subprocess.PIPE,
    )

    def children() -> list[psutil.Process]:
        return psutil.Process(process.pid).children()

    try:
        wait_until(lambda: any("ls-files" in each.cmdline() for each in children()), process)
        (git,) = children()
        process.terminate()
        process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert psutil.wait_procs([git], timeout=60)[1] == []


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < deadline
        time.sleep(0.02)
