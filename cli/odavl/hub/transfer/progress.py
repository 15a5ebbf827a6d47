"""How far a transfer is, how fast it goes and how long it will take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

Progress = Callable[[str, float], None]
"""Told what goes on ("reading", "uploading…", "processing") and how far, from 0 to 1."""

_WINDOW = 10.0
"""Seconds over which the rate is taken: short enough to follow, long enough to be calm."""

_FEWEST = 2
"""Samples that a rate is taken between."""

_KILOBYTE, _MEGABYTE, _GIGABYTE = 1_000, 1_000_000, 1_000_000_000
_MINUTE, _HOUR = 60, 3600
_LONGEST = 100 * _HOUR


class TransferProgress(NamedTuple):
    """``done`` of ``total`` bytes of the payload are with the hub; ``rate`` in bytes a second.

    ``seconds_left`` is None while there is no telling.
    """

    done: int
    total: int
    rate: float
    seconds_left: float | None

    def __str__(self) -> str:
        if self.seconds_left is None:
            return "uploading"
        return f"uploading, {_speed(self.rate)}, {_duration(self.seconds_left)} left"


def followed(
    pieces: Iterable[bytes], what: str, total: int | None, on_progress: Progress | None
) -> Iterator[bytes]:
    """``pieces``, of ``total`` bytes together; ``on_progress`` is told how many are through.

    Where nobody knows the total, the share stays 0 until the end.
    """
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if on_progress:
            on_progress(what, done / max(total, 1) if total is not None else 0.0)


OnTransfer = Callable[[TransferProgress], None]


class Meter:
    """Sums up what several threads send. ``total`` is the payload's size."""

    def __init__(
        self,
        total: int,
        on_progress: Progress | None,
        on_transfer: OnTransfer | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._on_progress = on_progress
        self._on_transfer = on_transfer
        self._now = now
        self._lock = threading.Lock()
        self._known = 0
        self._sent: dict[str, int] = {}
        self._sum = 0
        self._samples: deque[tuple[float, int]] = deque()

    def begin(self, known: int) -> None:
        """``known`` bytes need not be sent."""
        with self._lock:
            self._known, self._sum = known, 0
            self._sent.clear()
            self._samples.clear()
            self._samples.append((self._now(), 0))
        self._tell()

    def note(self, name: str, sent: int) -> None:
        """So many bytes of the chunk ``name`` are out, in this attempt."""
        with self._lock:
            self._sum += sent - self._sent.get(name, 0)
            self._sent[name] = sent
            now = self._now()
            self._samples.append((now, self._sum))
            while len(self._samples) > _FEWEST and now - self._samples[1][0] > _WINDOW:
                self._samples.popleft()
        self._tell()

    def progress(self) -> TransferProgress:
        with self._lock:
            done = min(self._known + self._sum, self.total)
            (began, first), (ended, last) = self._samples[0], self._samples[-1]
        rate = (last - first) / (ended - began) if ended > began else 0.0
        left = (self.total - done) / rate if rate > 0 else None
        return TransferProgress(done, self.total, max(rate, 0.0), left)

    def _tell(self) -> None:
        found = self.progress()
        if self._on_transfer:
            self._on_transfer(found)
        if self._on_progress:
            self._on_progress(str(found), found.done / max(found.total, 1))


def _speed(rate: float) -> str:
    """``rate`` in bytes a second, for people."""
    if rate < _MEGABYTE:
        return f"{rate / _KILOBYTE:.1f} kB/s"
    return f"{rate / _MEGABYTE:.1f} MB/s" if rate < _GIGABYTE else f"{rate / _GIGABYTE:.1f} GB/s"


def _duration(seconds: float) -> str:
    if seconds >= _LONGEST:
        return f"over {_LONGEST // _HOUR} hours"
    whole = round(seconds)
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
