"""Programs of others run within bounds: time, output, surroundings, and all of them stoppable."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from odavl.engines.running.environment import clean_environment
from odavl.wire import limits
from odavl.wire.encoding import visible

MAX_OUTPUT_SIZE = 256 * limits.MEBIBYTE
MAX_ERROR_SIZE = 64 * limits.KIBIBYTE
_STEP = 64 * limits.KIBIBYTE

GRACE = 1.0
"""Seconds that what was killed, and what is still in a pipe, gets before nobody waits any more."""

_MARK = "ODAVL_STARTED_AS"
"""Names the start that a process stems from: the environment is inherited, a process group left."""

_LAST_WORDS_LENGTH = 300

_HUNTS = 5
"""Searches for what a program has left behind: what is found may be starting something else."""


class ProgramFailed(Exception):
    """A program came to no result. Caught by its engine, which reports it: never leaves it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One start of a program; ``success`` are the exit codes that mean "looked at everything"."""

    arguments: tuple[str, ...]
    success: frozenset[int] = frozenset({0, 1})
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    """Where it runs; None: in the tree's root."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended by itself. A negative ``exit_code`` is the signal that ended it."""

    exit_code: int
    stdout: bytes | bytearray
    stderr: str


@dataclass(frozen=True, slots=True)
class _Started:
    """A program under way, and the mark by which all that stems from it is known."""

    process: subprocess.Popen[bytes]
    mark: bytes

    def kill(self) -> None:
        """Kill its process group, also when its leader is gone, and what has left the group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self.process.kill()
            else:
                os.killpg(self.process.pid, signal.SIGKILL)
        _hunt(self.mark)


class Processes:
    """The programs under way in one tree. Threads may run and stop them at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._environment = clean_environment(root)
        self._lock = threading.Lock()
        self._running: set[_Started] = set()
        self._stopped = False

    def run(
        self, command: Command, *, deadline: float, max_output: int = MAX_OUTPUT_SIZE
    ) -> Finished:
        """Run to the end; ``deadline`` is a time of :func:`time.monotonic`.

        Raises :class:`ProgramFailed` if the program cannot be started, is late, writes more than
        ``max_output`` bytes, or is stopped. Nothing that it started is left behind: neither its
        process group nor, on Linux, what has left that (a daemon), even if it holds a pipe open.
        """
        started = self._start(command)
        process = started.process
        output = _Reader(process.stdout, max_output, on_excess=started.kill)
        errors = _Reader(process.stderr, MAX_ERROR_SIZE, keep_end=True)
        writer = _feed(process.stdin, command.stdin)
        late = False
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            late = True
        finally:
            started.kill()
            _wait_a_little(process, (output, errors, writer))
            with self._lock:
                self._running.discard(started)
        self._check(process, late=late, output=output)
        return Finished(process.returncode, output.data, errors.data.decode("utf-8", "replace"))

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Kill all that runs; what is started from now on fails."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for started in running:
            started.kill()

    def _start(self, command: Command) -> _Started:
        mark = secrets.token_hex(16)
        with self._lock:
            if self._stopped:
                raise ProgramFailed("It was stopped.")
            try:
                process = subprocess.Popen(
                    command.arguments,
                    cwd=command.folder or self.root,
                    env={**self._environment, **command.environment, _MARK: mark},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                name = Path(command.arguments[0]).name
                raise ProgramFailed(f"{name} could not be started: {error.strerror}.") from error
            started = _Started(process, f"{_MARK}={mark}".encode())
            self._running.add(started)
        return started

    def _check(self, process: subprocess.Popen[bytes], *, late: bool, output: _Reader) -> None:
        if output.excess:
            raise ProgramFailed(f"It wrote more than {output.limit // limits.MEBIBYTE} MiB.")
        if self._stopped:
            raise ProgramFailed("It was stopped.")
        if late:
            raise ProgramFailed("It did not end in time.")
        if process.returncode is None:
            raise ProgramFailed("It could not be ended.")


class _Reader(threading.Thread):
    """Reads a pipe to its end, keeping at most ``limit`` bytes of it."""

    def __init__(
        self,
        pipe: IO[bytes] | None,
        limit: int,
        *,
        keep_end: bool = False,
        on_excess: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self.limit = limit
        self._keep_end = keep_end
        self._on_excess = on_excess
        self.data = bytearray()
        """Grown in place: two copies of a large output would be held otherwise."""
        self.excess = False
        self.start()

    def run(self) -> None:
        if self._pipe is None:
            return
        with self._pipe:
            # Not `read`, which would wait until there is as much as it was asked for.
            while piece := os.read(self._pipe.fileno(), _STEP):
                self._take(piece)

    def _take(self, piece: bytes) -> None:
        if self.excess:
            return
        self.data += piece
        if len(self.data) <= self.limit:
            return
        if self._keep_end:
            del self.data[: -self.limit]
            return
        self.excess = True
        self.data = bytearray()
        if self._on_excess is not None:
            self._on_excess()


def _feed(pipe: IO[bytes] | None, data: bytes) -> threading.Thread:
    def write() -> None:
        if pipe is None:
            return
        # A program may end without reading: its exit code tells, not the broken pipe.
        with contextlib.suppress(OSError), pipe:
            pipe.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def _wait_a_little(process: subprocess.Popen[bytes], threads: tuple[threading.Thread, ...]) -> None:
    """Let a killed program and its pipes end; who hangs in the kernel is not waited for."""
    end = time.monotonic() + GRACE
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE)
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _hunt(mark: bytes) -> None:
    """Kill every process whose environment holds ``mark``. Where there is no ``/proc``, none."""
    for _ in range(_HUNTS):
        found = [number for number in _process_numbers() if mark in _environment_of(number)]
        if not found:
            return
        for number in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def _process_numbers() -> list[int]:
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    except OSError:
        return []


def _environment_of(number: int) -> bytes:
    """Empty for processes of others, for those that are gone and for zombies."""
    try:
        return Path(f"/proc/{number}/environ").read_bytes()
    except OSError:
        return b""


def ending_of(finished: Finished, reason: str) -> str:
    """How a program ended that did not do all it was started for, and why, as far as it told."""
    reason = reason or "It gave no reason."
    if finished.exit_code < 0:
        with contextlib.suppress(ValueError):
            return f"Ended by {signal.Signals(-finished.exit_code).name}: {reason}"
    return f"Exit code {finished.exit_code}: {reason}"


def last_words(text: str) -> str:
    """The last line that says something, short enough for a report."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return visible(lines[-1])[:_LAST_WORDS_LENGTH] if lines else ""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of its own for a program's settings and output, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="odavl-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
