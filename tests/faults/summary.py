"""Prints each row of the fault suite with what showed it, at the end of a run with fault tests."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from tests.faults.rows import MISSING, ROWS

_TEST = re.compile(r"::test_row_(\d+)_")
_OUTCOMES = ("failed", "error", "passed", "skipped")
_WIDTH = 70


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    outcomes, reasons = _seen(terminalreporter)
    if not outcomes:
        return
    terminalreporter.section("what must go wrong without harm")
    idle = []
    for number, what in ROWS.items():
        told = [f"{count} {outcome}" for outcome, count in outcomes[number].items()]
        told += [f"skipped: {reason}" for reason in sorted(reasons[number])]
        if number in MISSING:
            told.append(f"not run, {MISSING[number].what}: {MISSING[number].why}")
        if told:
            terminalreporter.write_line(f"{number:3} {what:{_WIDTH}} {'; '.join(told)}")
        else:
            idle.append(str(number))
    if idle:
        terminalreporter.write_line(f"Not chosen this time: {', '.join(idle)}")


def _seen(
    reporter: pytest.TerminalReporter,
) -> tuple[dict[int, Counter[str]], dict[int, set[str]]]:
    """By row: how many tests ended how, and why some were skipped."""
    outcomes: dict[int, Counter[str]] = defaultdict(Counter)
    reasons: dict[int, set[str]] = defaultdict(set)
    for outcome in _OUTCOMES:
        for report in reporter.stats.get(outcome, ()):
            found = _TEST.search(report.nodeid)
            if found is None:
                continue
            number = int(found[1])
            outcomes[number][outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[number].add(report.longrepr[2].removeprefix("Skipped: "))
    return outcomes, reasons
