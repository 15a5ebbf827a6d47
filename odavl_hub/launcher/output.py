"""The children's output: each line to a log file and, with its child's name, to the terminal."""

from __future__ import annotations

import os
import select
import selectors
import sys
from contextlib import suppress
from pathlib import Path

_BLOCK = 65536
_LARGEST_LOG = 10 * 1024 * 1024
_NAME_WIDTH = 11
_LONGEST_LINE = 1000  # characters: at most the 4,096 bytes that a pipe called writable takes
_QUIET = frozenset({"postgres", "redis"})
"""Their logs are long and about their own affairs; they go to the file only."""


class ChildOutput:
    """One child's pipe and its log file ``logs/<name>.log`` (rotated once, at 10 MiB)."""

    def __init__(self, name: str, logs: Path) -> None:
        self.name = name
        self._path = logs / f"{name}.log"
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._log = self._opened()
        self._rest = b""

    def read(self) -> list[str]:
        """What has arrived, as whole lines; written to the log already."""
        arrived = self._rest
        with suppress(BlockingIOError):
            while block := os.read(self.reading, _BLOCK):
                arrived += block
        *lines, self._rest = arrived.split(b"\n")
        if len(self._rest) > _BLOCK:  # a child that writes no newlines must not fill our memory
            lines, self._rest = [*lines, self._rest], b""
        if lines:
            self._write(b"\n".join(lines) + b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # a full disk must not end the hub
            if os.fstat(self._log).st_size > _LARGEST_LOG:
                os.close(self._log)
                self._path.replace(self._path.with_suffix(".log.1"))
                self._log = self._opened()
            os.write(self._log, data)

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class Outputs:
    """All children's output, read when something has arrived."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._selector = selectors.DefaultSelector()
        self._outputs: dict[str, ChildOutput] = {}

    def of(self, name: str) -> int:
        """The descriptor that child ``name`` is to write to."""
        if name not in self._outputs:
            self._outputs[name] = ChildOutput(name, self._logs)
            self._selector.register(
                self._outputs[name].reading, selectors.EVENT_READ, self._outputs[name]
            )
        return self._outputs[name].writing

    def wake_on(self, descriptor: int) -> None:
        """Return from :meth:`pump` when ``descriptor`` (non-blocking) has something to read."""
        self._selector.register(descriptor, selectors.EVENT_READ, None)

    def pump(self, seconds: float = 0) -> None:
        """Pass on what arrives; wait at most ``seconds`` for the first of it."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(key.fd, _BLOCK)
                continue
            for line in key.data.read():
                if key.data.name not in _QUIET:
                    say(f"{key.data.name:<{_NAME_WIDTH}} | {line}")


def say(line: str) -> None:
    """Tell the person at the terminal, if it takes the line now.

    A terminal that was stopped, a full pipe or one that has gone away must not stop the hub; the
    log files have every line.
    """
    with suppress(OSError, ValueError):
        if select.select([], [sys.stderr], [], 0)[1]:
            sys.stderr.write(line[:_LONGEST_LINE] + "\n")
            sys.stderr.flush()
