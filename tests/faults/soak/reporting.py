"""The line that moves while a soak runs, and the table at its end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.soak.journal import Told
from tests.faults.soak.judging import Settled

_MEBIBYTE = 1 << 20
_LINE_SECONDS = 15.0
_SHOWN = 20


class LiveLine:
    """On a terminal one line that moves; elsewhere a line now and then."""

    def __init__(self, payloads: int) -> None:
        self._payloads = payloads
        self._started = self._last = time.monotonic()
        self._moves = sys.stderr.isatty()

    def show(self, told: int, kills: Counter[str]) -> None:
        now = time.monotonic()
        if not self._moves and now - self._last < _LINE_SECONDS:
            return
        self._last = now
        text = f"{now - self._started:5.0f} s  {told}/{self._payloads} payloads, "
        text += f"{sum(kills.values())} kills"
        sys.stderr.write(f"\r{text} " if self._moves else f"{text}\n")
        sys.stderr.flush()

    def say(self, text: str) -> None:
        start = "\n" if self._moves else ""
        sys.stderr.write(f"{start}{time.monotonic() - self._started:5.0f} s  {text}\n")


@dataclass(kw_only=True)
class Outcome:
    """All that is to be told of a soak. ``deviations`` is empty where every promise was kept."""

    seed: int
    folder: Path
    told: list[Told]
    kills: Counter[str]
    slowest: dict[str, float]
    answers: Counter[str]
    peaks: dict[str, int]
    client_peak: int
    settled: Settled
    deviations: list[str]
    seconds: float = 0

    def table(self) -> str:
        """For a person, line by line."""
        return "\n".join(f"{name:<22}{value}" for name, value in self._rows()) + "\n"

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield "seed", str(self.seed)
        yield "duration", f"{self.seconds:.0f} s"
        yield "payloads", f"{len(self.told)}, {_mebibytes(self.told)}"
        for way in ("envelope", "raw", "chunks"):
            some = [entry for entry in self.told if entry.way == way]
            yield f"  as {way}", f"{len(some)}, {_mebibytes(some)}"
        yield "told", _counted(Counter(entry.state for entry in self.told))
        yield "queued because", _counted(Counter(e.code for e in self.told if e.code))
        yield "answers", _counted(self.answers)
        yield "kills", f"{sum(self.kills.values())}"
        for victim, count in sorted(self.kills.items()):
            seconds = self.slowest.get(victim)
            back = "" if seconds is None else f", back within {seconds:.1f} s"
            yield f"  {victim}", f"{count}{back}"
        yield "memory", _counted(Counter(self.peaks | {"client": self.client_peak})) + " MiB"
        yield "settled", f"{self.settled.seconds:.0f} s after the last kill"
        yield "attempts of jobs", _counted(self.settled.attempts)
        yield "lost", str(self.settled.lost)
        yield "double", str(self.settled.double)
        yield "digests that differ", str(self.settled.different)
        yield "deviations", str(len(self.deviations))
        for deviation in self.deviations[:_SHOWN]:
            yield "", deviation
        if self.deviations:
            yield "details", str(self.folder)


def _mebibytes(told: list[Told]) -> str:
    return f"{sum(entry.size for entry in told) / _MEBIBYTE:.1f} MiB"


def _counted(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items())) or "-"
