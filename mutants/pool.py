"""Runs tasks side by side, each in a forked process with a time limit of its own."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants.isolation import fresh_folder

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """How a task ended: what its work returned, or by which exit code or time limit not."""

    slot: int
    result: Any
    exit_code: int
    is_late: bool
    seconds: float
    output: str


@dataclass(frozen=True)
class Task:
    """``work`` is done in a process of its own, given the number and the folder of its slot.

    ``finish`` is told the outcome in ours; a task that it returns is the next to be done.
    """

    work: Callable[[int, Path], Any]
    finish: Callable[[Outcome], Task | None]
    limit: float


@dataclass(frozen=True)
class _Running:
    task: Task
    slot: int
    folder: Path
    began: float


class Pool:
    """So many slots, each with a number and a folder."""

    def __init__(self, slots: int, folder: Path) -> None:
        self._free = list(range(1, slots + 1))
        self._folder = folder
        self._running: dict[int, _Running] = {}

    def run(self, tasks: Iterable[Task]) -> None:
        """Until all are done; whatever ends this early ends the processes, too."""
        waiting = deque(tasks)
        try:
            while waiting or self._running:
                while waiting and self._free:
                    self._start(waiting.popleft())
                for task in self._ended():
                    waiting.appendleft(task)
                time.sleep(_LOOK_SECONDS)
        finally:
            for pid in list(self._running):
                _kill_group(pid)
                os.waitpid(pid, 0)

    def _start(self, task: Task) -> None:
        slot = self._free.pop()
        folder = self._folder / f"slot{slot}"
        fresh_folder(folder)
        pid = _fork(task.work, slot, folder)
        self._running[pid] = _Running(task, slot, folder, time.monotonic())

    def _ended(self) -> list[Task]:
        following = []
        for pid, running in list(self._running.items()):
            seconds = time.monotonic() - running.began
            is_late = seconds > running.task.limit
            if is_late:
                _kill_group(pid)
            ended, status = os.waitpid(pid, 0 if is_late else os.WNOHANG)
            if not ended:
                continue
            _kill_group(pid)  # whom it left behind
            del self._running[pid]
            self._free.append(running.slot)
            exit_code = os.waitstatus_to_exitcode(status)
            outcome = Outcome(
                slot=running.slot,
                result=_result(running.folder),
                exit_code=exit_code,
                is_late=is_late,
                seconds=seconds,
                output=_output(running.folder),
            )
            task = running.task.finish(outcome)
            if task is not None:
                following.append(task)
        return following


def _fork(work: Callable[[int, Path], Any], slot: int, folder: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    exit_code = 1
    try:
        os.setsid()
        _die_with(parent)
        log = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        result = work(slot, folder)
        (folder / "result").write_text(json.dumps(result), encoding="utf-8")
        exit_code = 0
    except BaseException:  # noqa: BLE001 - nothing may return into what the parent does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _die_with(parent: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _result(folder: Path) -> Any:
    path = folder / "result"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _output(folder: Path) -> str:
    path = folder / "output"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
