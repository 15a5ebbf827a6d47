"""Programs are held within bounds, and none survives."""

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from odavl.engines.running.environment import clean_environment, safe_path
from odavl.engines.running.processes import (
    Command,
    Processes,
    ProgramFailed,
)


def python(source: str, **fields) -> Command:
    return Command((sys.executable, "-c", source), **fields)


def soon() -> float:
    return time.monotonic() + 60


def gone(pid: int) -> bool:
    try:
        psutil.Process(pid).wait(300)
    except psutil.NoSuchProcess:
        return True
    return not psutil.pid_exists(pid)


def test_exit_code_and_both_outputs_come_back(tmp_path):
    source = "import sys; print(sys.stdin.read() + 'o'); print('e', file=sys.stderr); sys.exit(7)"
    finished = Processes(tmp_path).run(python(source, stdin=b"i" * 100_000), deadline=soon())
    assert finished.exit_code == 7
    assert finished.stdout == b"i" * 100_000 + b"o\n"
    assert finished.stderr == "e\n"


def test_a_program_that_does_not_read_its_input_is_no_trouble(tmp_path):
    finished = Processes(tmp_path).run(python("", stdin=b"i" * 10_000_000), deadline=soon())
    assert finished.exit_code == 0


def test_a_late_program_is_killed_with_all_it_started(tmp_path):
    note = tmp_path / "pid"
    child = "import time; time.sleep(600)"
    source = (
        "import subprocess, sys, pathlib\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(p.pid))\n"
        "p.wait()"
    )
    for seconds in (3, 30, 300):  # a slow machine needs longer until there is something to kill
        with pytest.raises(ProgramFailed, match="did not end in time"):
            Processes(tmp_path).run(python(source), deadline=time.monotonic() + seconds)
        if note.exists():
            break
    assert gone(int(note.read_text()))


def test_what_a_program_leaves_behind_is_killed_too(tmp_path):
    child = "import time; time.sleep(600)"
    source = (
        "import subprocess, sys\n"
        f"print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid, flush=True)"
    )
    finished = Processes(tmp_path).run(python(source), deadline=soon())
    assert gone(int(finished.stdout))


def test_endless_output_is_cut_off(tmp_path):
    source = "while True: print('x' * 1000)"
    with pytest.raises(ProgramFailed, match="wrote more than 1 MiB"):
        Processes(tmp_path).run(python(source), deadline=soon(), max_output=1024 * 1024)


def test_of_endless_complaints_the_last_are_kept(tmp_path):
    source = "import sys; [print('x' * 1000, file=sys.stderr) for _ in range(999)]; sys.exit('end')"
    finished = Processes(tmp_path).run(python(source), deadline=soon())
    assert finished.stderr.endswith("end\n")
    assert len(finished.stderr) <= 64 * 1024


def test_a_program_that_is_not_there_is_a_failure(tmp_path):
    with pytest.raises(ProgramFailed, match="could not be started"):
        Processes(tmp_path).run(Command((str(tmp_path / "none"),)), deadline=soon())


def test_stop_kills_what_runs_and_refuses_what_follows(tmp_path):
    processes = Processes(tmp_path)
    note = tmp_path / "started"
    source = f"import pathlib, time; pathlib.Path({str(note)!r}).touch(); time.sleep(600)"
    failures: list[str] = []

    def run() -> None:
        try:
            processes.run(python(source), deadline=soon())
        except ProgramFailed as failure:
            failures.append(str(failure))

    thread = threading.Thread(target=run)
    thread.start()
    while not note.exists():
        thread.join(0.01)
    processes.stop()
    thread.join(300)
    assert failures == ["It was stopped."]
    with pytest.raises(ProgramFailed, match="stopped"):
        processes.run(python("pass"), deadline=soon())


def test_nothing_in_the_environment_leads_to_the_project(tmp_path, monkeypatch):
    tools = tmp_path / "node_modules" / ".bin"
    tools.mkdir(parents=True)
    outside = Path(sys.executable).parent
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), ".", "", str(outside)]))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NODE_OPTIONS", f"--require={tmp_path}/x.js")
    monkeypatch.setenv("ODAVL_API_KEY", "secret")
    monkeypatch.setenv("RUFF_OUTPUT_FILE", "x")
    environment = clean_environment(tmp_path)
    assert safe_path(tmp_path) == [str(outside)]
    assert environment["PATH"] == str(outside)
    left = {"PYTHONPATH", "NODE_OPTIONS", "ODAVL_API_KEY", "RUFF_OUTPUT_FILE"} & environment.keys()
    assert not left


def test_a_module_of_the_project_is_not_what_tools_import(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the project')")
    finished = Processes(tmp_path).run(python("import json; print('ok')"), deadline=soon())
    assert finished.stdout == b"ok\n"
