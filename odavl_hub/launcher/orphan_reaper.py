"""Ends the hub's processes when the supervisor was killed and can no longer do so.

A tiny process that holds the reading end of a pipe. The supervisor writes down which process
groups live; when the pipe breaks, the supervisor is gone, and the groups still written down are
ended with everything in them, tools that a worker started included. On Linux the kernel's death
signal does the same for the direct children, and covers for an orphan reaper killed along with us.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

_QUIT_SECONDS = 8
_POLL_SECONDS = 0.05


class OrphanReaper:
    """The supervisor's side. Forks at once; fork it while the process is still small."""

    def __init__(self) -> None:
        self._groups: dict[int, signal.Signals] = {}
        self.pid, self._pipe = _start()

    def watch(self, group: int, last_signal: signal.Signals) -> None:
        """End process group ``group`` with ``last_signal`` when we are gone."""
        self._groups[group] = last_signal
        self._write(f"+ {group} {int(last_signal)}\n")

    def release(self, group: int) -> None:
        if self._groups.pop(group, None) is not None:
            self._write(f"- {group} 0\n")

    def replace(self) -> None:
        """Start another one after this one was killed."""
        os.close(self._pipe)
        self.pid, self._pipe = _start()
        for group, last_signal in self._groups.items():
            self._write(f"+ {group} {int(last_signal)}\n")

    def dismiss(self) -> None:
        """Let it end; what is still written down dies."""
        os.close(self._pipe)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _write(self, line: str) -> None:
        with suppress(BrokenPipeError):  # killed; the supervisor replaces it
            os.write(self._pipe, line.encode())


def _start() -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(reading)
        return pid, writing
    try:
        os.close(writing)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        # Whoever reads the hub's output through a pipe is to see its end.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _reap(_read_to_the_end(reading))
    finally:
        os._exit(0)


def _read_to_the_end(reading: int) -> dict[int, signal.Signals]:
    groups: dict[int, signal.Signals] = {}
    with os.fdopen(reading, encoding="ascii") as lines:
        for line in lines:
            sign, group, number = line.split()
            if sign == "+":
                groups[int(group)] = signal.Signals(int(number))
            else:
                groups.pop(int(group), None)
    return groups


def _reap(groups: dict[int, signal.Signals]) -> None:
    for group, last_signal in groups.items():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, last_signal)
    deadline = time.monotonic() + _QUIT_SECONDS
    while any(_is_alive(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
