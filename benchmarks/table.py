"""Figures: medians with their spread, what is asked of them, and the one table that shows it.

A goal is a ratio to something measured in the same run, an amount (memory, rows), or a time. Times
were set on a machine with the yardstick of :data:`benchmarks.machine.REFERENCE_SECONDS`; on another
they are scaled by its own. Only those that no processor makes shorter, as of a lease, stay.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Figure:
    """Several measurements of one thing, in seconds unless ``unit`` says otherwise."""

    values: tuple[float, ...]
    unit: str = "s"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        if self.unit == "s" and self.median < 1:
            scaled, unit = [value * 1000 for value in self.values], "ms"
        else:
            scaled, unit = list(self.values), self.unit
        middle = statistics.median(scaled)
        digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
        text = f"{middle:.{digits}f} {unit}"
        if len(scaled) > 1:
            text += f" ({min(scaled):.{digits}f}–{max(scaled):.{digits}f})"
        return text


class Verdict(Enum):
    MET = "yes"
    MISSED = "NO"
    TOLD = "told"
    """There is no goal: the figure is worth knowing."""
    NOT_RUN = "not run"
    CANNOT_HOLD = "cannot hold"
    """Missed, for a reason that is known and no fault of the code."""


@dataclass(frozen=True, slots=True)
class Row:
    """``limit`` is what ``ours`` may at most (or, ``at_least``, must at least) be.

    ``why`` tells why the row was not run, where ``ours`` is None, or why its goal cannot hold.
    ``is_fixed`` says of a time without a reference that it is the same on every machine.
    """

    name: str
    ours: Figure | None
    goal: str
    limit: float | None = None
    reference: Figure | None = None
    at_least: bool = False
    is_fixed: bool = False
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.ours is None:
            return Verdict.NOT_RUN
        if self.limit is None:
            return Verdict.TOLD
        is_met = self.ours.median >= self.limit if self.at_least else self.ours.median <= self.limit
        if is_met:
            return Verdict.MET
        return Verdict.CANNOT_HOLD if self.why else Verdict.MISSED

    @property
    def ratio(self) -> str:
        if self.ours is None or self.reference is None or self.reference.median == 0:
            return ""
        return f"{self.ours.median / self.reference.median:.2f}"

    def scaled(self, scale: float) -> Row:
        """The row on a machine that takes ``scale`` times as long as the one of the goals."""
        is_time = self.ours is not None and self.ours.unit == "s"
        if not is_time or self.limit is None or self.reference is not None or self.is_fixed:
            return self
        goal = f"{self.goal} × {scale:.2f}"
        return replace(self, limit=self.limit * scale, goal=goal)

    def told(self, *, is_doubtful: bool) -> str:
        """The verdict as it stands in the table."""
        verdict = self.verdict
        if verdict in {Verdict.NOT_RUN, Verdict.CANNOT_HOLD}:
            return f"{verdict.value}: {self.why}"
        is_judged = verdict in {Verdict.MET, Verdict.MISSED}
        return f"{verdict.value}?" if is_judged and is_doubtful else verdict.value


@dataclass(slots=True)
class Table:
    """``scale`` is this machine's yardstick by that of the goals. ``is_doubtful``: see ``why``."""

    scale: float = 1.0
    is_doubtful: bool = False
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Put ``row`` into the table, its time scaled, and tell it as progress."""
        row = row.scaled(self.scale)
        self.rows.append(row)
        figure = "" if row.ours is None else f"{row.ours} "
        sys.stderr.write(f"  {row.name}: {figure}[{row.told(is_doubtful=self.is_doubtful)}]\n")

    def add_ratio(
        self,
        name: str,
        ours: Figure,
        reference: Figure,
        times: float,
        *,
        at_least: bool = False,
        why: str = "",
    ) -> None:
        """A row whose limit is ``times`` the reference's median."""
        sign = "≥" if at_least else "≤"
        limit = reference.median * times
        goal = f"{sign} {times:g} × reference"
        self.add(Row(name, ours, goal, limit, reference, at_least=at_least, why=why))

    def not_run(self, name: str, goal: str, why: str) -> None:
        """A row that cannot be measured here or today. It is no failure, and no success."""
        self.add(Row(name, None, goal, why=why))

    def count(self, verdict: Verdict) -> int:
        return sum(row.verdict is verdict for row in self.rows)

    def summary(self) -> str:
        """One line: how many goals are met, missed, cannot hold, were not run."""
        words = {
            Verdict.MET: "met",
            Verdict.MISSED: "missed",
            Verdict.CANNOT_HOLD: "cannot hold here",
            Verdict.NOT_RUN: "not run",
        }
        counts = ", ".join(f"{self.count(verdict)} {word}" for verdict, word in words.items())
        return f"Goals: {counts}{'; the verdicts are doubtful' if self.is_doubtful else ''}."

    def __str__(self) -> str:
        head = ("what", "ours", "reference", "ratio", "goal", "met")
        lines = [
            (
                row.name,
                str(row.ours or ""),
                str(row.reference or ""),
                row.ratio,
                row.goal,
                row.told(is_doubtful=self.is_doubtful),
            )
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        rule = tuple("-" * width for width in widths)
        return "\n".join(
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            + " |"
            for line in (head, rule, *lines)
        )


ALL_MET, SOME_MISSED, DOUBTFUL = 0, 1, 3


def exit_code(table: Table) -> int:
    """0: all goals are met on an idle machine; 1: some are missed; 3: none is, but who knows."""
    if table.count(Verdict.MISSED):
        return SOME_MISSED
    return DOUBTFUL if table.is_doubtful else ALL_MET


def measure(
    work: Callable[[], object], *, runs: int = 5, warm_up: int = 1, rest: float = 0
) -> Figure:
    """Wall time of ``work``, after a warm-up; runs are ``rest`` seconds apart."""
    for _ in range(warm_up):
        work()
    values = []
    for _ in range(runs):
        time.sleep(rest)
        values.append(timed(work))
    return Figure(tuple(values))


def measure_each(works: Iterable[Callable[[], object]], *, rest: float = 0) -> Figure:
    """Wall time of works that can be done only once each, ``rest`` seconds apart.

    The first is the warm-up.
    """
    values = []
    for work in works:
        values.append(timed(work))
        time.sleep(rest)
    return Figure(tuple(values[1:]))


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
