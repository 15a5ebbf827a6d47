"""Figures: medians with their spread, and the one table that shows them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


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


@dataclass(frozen=True, slots=True)
class Row:
    """``limit`` is what ``ours`` may at most (or, ``at_least``, must at least) be."""

    name: str
    ours: Figure
    goal: str
    limit: float
    reference: Figure | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.ours.median >= self.limit if self.at_least else self.ours.median <= self.limit

    @property
    def ratio(self) -> str:
        if self.reference is None or self.reference.median == 0:
            return ""
        return f"{self.ours.median / self.reference.median:.2f}"


@dataclass(slots=True)
class Table:
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        sys.stderr.write(f"  {row.name}: {row.ours}{'' if row.met else '  (goal missed)'}\n")

    def add_ratio(self, name: str, ours: Figure, reference: Figure, times: float) -> None:
        """A row whose limit is ``times`` the reference's median."""
        limit = reference.median * times
        self.add(Row(name, ours, f"≤ {times:g} × reference", limit, reference))

    def __str__(self) -> str:
        head = ("what", "ours", "reference", "ratio", "goal", "met")
        lines = [
            (
                row.name,
                str(row.ours),
                str(row.reference or ""),
                row.ratio,
                row.goal,
                "yes" if row.met else "NO",
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


def measure(
    work: Callable[[], object], *, runs: int = 5, warm_up: int = 1, rest: float = 0
) -> Figure:
    """Wall time of ``work``, after a warm-up; runs are ``rest`` seconds apart."""
    for _ in range(warm_up):
        work()
    values = []
    for _ in range(runs):
        time.sleep(rest)
        values.append(_timed(work))
    return Figure(tuple(values))


def measure_each(works: Iterable[Callable[[], object]], *, rest: float = 0) -> Figure:
    """Wall time of works that can be done only once each, ``rest`` seconds apart.

    The first is the warm-up.
    """
    values = []
    for work in works:
        values.append(_timed(work))
        time.sleep(rest)
    return Figure(tuple(values[1:]))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
