"""The yardstick, and whether the machine had anything else to do."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import psutil

from benchmarks.table import Figure, measure

REFERENCE_SECONDS = 0.034
"""What the start of ``python -c "import click"`` took where the goals were set."""

_LOOK_SECONDS = 3.0
_MOST_BUSY = 0.1
"""Share of the processors that somebody else may use, and of the load average by processor."""
_MOST_LOAD = 0.5
_MOST_DRIFT = 1.15
"""The yardstick's second measurement by its first, or the other way round."""


@dataclass(frozen=True, slots=True)
class Machine:
    yardstick: Figure
    processors: int
    load: float
    """Of the last minute, as ``uptime`` tells it."""
    busy: float
    """Share of the processors that was used while nothing was measured, 0 to 1."""

    @property
    def scale(self) -> float:
        return self.yardstick.median / REFERENCE_SECONDS

    @property
    def is_idle(self) -> bool:
        return self.busy <= _MOST_BUSY and self.load <= _MOST_LOAD * self.processors

    def describe(self) -> str:
        """The lines that stand above everything."""
        goals = f"{REFERENCE_SECONDS * 1000:.0f} ms where the goals were set"
        lines = [
            f'yardstick: python -c "import click" takes {self.yardstick}, {goals}',
            f"so goals in seconds are × {self.scale:.2f}",
            f"processors: {self.processors}, load average {self.load:.2f}, {self.busy:.0%} in use",
        ]
        if not self.is_idle:
            lines.insert(0, "THE MACHINE IS NOT IDLE: the verdicts below are doubtful.")
        return "\n".join(lines)

    def drifted(self, later: Figure) -> bool:
        """Whether the machine was another one at the end: slowed down, or shared."""
        ratio = later.median / self.yardstick.median
        return not 1 / _MOST_DRIFT <= ratio <= _MOST_DRIFT


def look(*, runs: int = 15) -> Machine:
    """Look at the machine for some seconds, then measure its yardstick."""
    load = os.getloadavg()[0]
    busy = psutil.cpu_percent(_LOOK_SECONDS) / 100
    return Machine(measure_yardstick(runs=runs), len(os.sched_getaffinity(0)), load, busy)


def measure_yardstick(*, runs: int = 15) -> Figure:
    """The start of Python with the one package that every command line here needs."""
    command = [sys.executable, "-c", "import click"]
    return measure(lambda: subprocess.run(command, check=True), runs=runs, warm_up=3)
