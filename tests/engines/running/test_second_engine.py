"""A second engine, as small as one can be, runs programs of others by the one way there is."""

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

import odavl.engines
from odavl.engines.running.processes import Command, Processes, ProgramFailed, ending_of
from odavl.engines.running.programs import Program, find_program, version_of
from odavl.engines.running.side_by_side import Ended, Event, Work, side_by_side

MEBIBYTE = 1024 * 1024
HANGS = "import time; time.sleep(600)"


@dataclass(frozen=True, slots=True)
class Counting:
    """Counts with Python: one start for each source text, the number it prints is the result."""

    root: Path
    processes: Processes
    seconds: float = 300

    def count(self, source: str) -> int:
        command = Command((sys.executable, "-c", source), success=frozenset({0}))
        finished = self.processes.run(
            command, deadline=time.monotonic() + self.seconds, max_output=MEBIBYTE
        )
        if finished.exit_code not in command.success:
            raise ProgramFailed(ending_of(finished, finished.stderr.strip()))
        return int(finished.stdout)

    def count_all(
        self, *sources: str, on_event: Callable[[Event[int]], None] = lambda _event: None
    ) -> list[Ended[int]]:
        works = [
            Work(f"{place}", partial(self.count, source)) for place, source in enumerate(sources)
        ]
        return side_by_side(works, self.processes, on_event)


@pytest.fixture
def engine(tmp_path: Path) -> Counting:
    return Counting(tmp_path, Processes(tmp_path))


def has_ended(number: int) -> bool:
    try:
        psutil.Process(number).wait(300)
    except psutil.NoSuchProcess:
        return True
    return not psutil.pid_exists(number)


def starts_another(note: Path) -> str:
    """A program that starts a second one, notes its number and waits for it."""
    return (
        "import subprocess, sys, pathlib\n"
        f"p = subprocess.Popen([sys.executable, '-c', {HANGS!r}])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(p.pid))\n"
        "p.wait()"
    )


def number_in(note: Path) -> int:
    """The number of the process, once it is noted."""
    while not (note.exists() and note.read_text()):
        threading.Event().wait(0.01)
    return int(note.read_text())


def test_results_come_in_the_order_given_with_the_time_each_took(engine):
    first, second = engine.count_all("import time; time.sleep(0.2); print(1)", "print(2)")
    assert (first.result, second.result) == (1, 2)
    assert (first.failure, second.failure) == ("", "")
    assert first.milliseconds >= 200


def test_what_starts_and_ends_is_told_in_the_callers_thread(engine):
    told: list[Event[int]] = []
    threads = set()

    def note(event: Event[int]) -> None:
        told.append(event)
        threads.add(threading.current_thread())

    engine.count_all("print(1)", "print(2)", "print(3)", on_event=note)
    assert threads == {threading.main_thread()}
    assert sorted(each.name for each in told if each.state == "running") == ["0", "1", "2"]
    assert [each.finished for each in told if each.state == "finished"] == [1, 2, 3]
    assert {each.total for each in told} == {3}
    assert all((each.ended is None) == (each.state == "running") for each in told)


def test_the_longest_starts_first(engine, monkeypatch):
    monkeypatch.setattr("odavl.engines.running.side_by_side._slots", lambda: 1)
    works = [Work(name, lambda: 0, weight) for name, weight in (("a", 1), ("b", 3), ("c", 2))]
    started: list[str] = []

    def note(event: Event[int]) -> None:
        if event.state == "running":
            started.append(event.name)

    side_by_side(works, engine.processes, note)
    assert started == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("while True: print('x' * 1000)", "It wrote more than 1 MiB."),
        ("raise SystemExit('no such thing')", "Exit code 1: no such thing"),
        ("import os; os.kill(os.getpid(), 11)", "Ended by SIGSEGV: It gave no reason."),
        ("print('many')", "A defect in odavl: ValueError:"),
    ],
)
def test_who_fails_costs_nobody_else_anything(engine, source, failure):
    failed, other = engine.count_all(source, "print(2)")
    assert failed.result is None
    assert failed.failure.startswith(failure)
    assert other.result == 2


def test_what_cannot_be_read_is_told_in_the_systems_words(engine):
    def read() -> int:
        return len((engine.root / "none").read_bytes())

    (ended,) = side_by_side([Work("a", read)], engine.processes, lambda _event: None)
    assert "No such file" in ended.failure
    assert "defect" not in ended.failure


def test_who_is_late_is_killed_with_all_it_started(tmp_path):
    note = tmp_path / "number"
    for seconds in (3, 30, 300):  # a slow machine needs longer until there is something to kill
        engine = Counting(tmp_path, Processes(tmp_path), seconds)
        (ended,) = engine.count_all(starts_another(note))
        assert ended.failure == "It did not end in time."
        if note.exists():
            break
    assert has_ended(number_in(note))


def test_an_error_of_who_listens_stops_all_and_is_raised_again(engine):
    def fail(event: Event[int]) -> None:
        raise ZeroDivisionError(event.name)

    with pytest.raises(ZeroDivisionError):
        engine.count_all(HANGS, HANGS, HANGS, HANGS, on_event=fail)
    assert engine.processes.stopped
    with pytest.raises(ProgramFailed, match="stopped"):
        engine.count("print(1)")


SCRIPT = """
import signal, sys, time
from pathlib import Path
from odavl.engines.running.processes import Command, Processes
from odavl.engines.running.side_by_side import Work, side_by_side

def end(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, end)
processes = Processes(Path.cwd())
command = Command((sys.executable, "-c", sys.argv[1]))
work = Work("one", lambda: processes.run(command, deadline=time.monotonic() + 600))
try:
    side_by_side([work], processes, lambda event: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("wish", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_engine_and_all_it_started(tmp_path, wish):
    note = tmp_path / "number"
    engine = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, starts_another(note)], cwd=tmp_path, start_new_session=True
    )
    number = number_in(note)
    engine.send_signal(wish)
    assert engine.wait(300) == 130
    assert has_ended(number)


SECRETS = {
    "ODAVL_API_KEY": "k",
    "GITHUB_TOKEN": "k",
    "CI_JOB_TOKEN": "k",
    "AWS_SECRET_ACCESS_KEY": "k",
    "DB_PASSWORD": "k",
    "STRIPE_API_KEY": "k",
    "STRIPE_APIKEY": "k",
    "GOOGLE_APPLICATION_CREDENTIALS": "k",
    "deploy_token": "k",
    "DATABASE_URL": "postgres://shop:hunter2@db/shop",  # pragma: allowlist secret
}
PLAIN = {
    "LANG": "C",
    "TOKENIZERS_PARALLELISM": "1",
    "HTTP_PROXY": "http://proxy:3128",
    "KEYBOARD": "de",
    "MONKEY": "1",
}


def test_no_secret_is_in_the_surroundings(tmp_path, monkeypatch):
    for name, value in (SECRETS | PLAIN).items():
        monkeypatch.setenv(name, value)
    engine = Counting(tmp_path, Processes(tmp_path))
    source = "import os; print(len([n for n in {!r} if n in os.environ]))"
    assert engine.count(source.format(sorted(SECRETS))) == 0
    assert engine.count(source.format(sorted(PLAIN))) == len(PLAIN)


def test_a_program_is_found_outside_of_the_project_only(tmp_path, monkeypatch):
    inside, outside = tmp_path / "project" / "bin", tmp_path / "tools"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        tool = folder / "odavl-counter"
        tool.write_text("#!/bin/sh\necho counter 4.5.6\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{inside}{os.pathsep}{outside}{os.pathsep}/usr/bin:/bin")
    root = tmp_path / "project"
    found = find_program("odavl-counter", root)
    assert found == outside / "odavl-counter"
    program = Program((str(found),), str(found), "")
    assert version_of(program, Processes(root)) == "4.5.6"
    assert find_program("odavl-none", root) is None


def test_no_engine_starts_a_program_by_another_way():
    folder = Path(odavl.engines.__file__).parent
    starters = {"subprocess", "multiprocessing", "pty"}
    found = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Import) and starters & {each.name for each in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module in starters)
        or (isinstance(node, ast.Attribute) and node.attr in {"system", "popen", "fork", "execv"})
    }
    assert found == {"running/processes.py"}
