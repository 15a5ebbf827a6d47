"""No test has a budget in seconds: a machine may be slow, and do something else besides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
LIMIT_OF_ITS_OWN = re.compile(r"mark\.timeout\((\d+)\)")
BUDGET = re.compile(r"(?:monotonic|perf_counter|process_time|time)\(\) - \w+ <=? [\d.]+\b")
GUARD = re.compile(r"(?:communicate|wait|wait_procs|join|run)\([^\n]*?timeout=(\d+)\)")
SHORTEST_GUARD = 60


def test_no_budget_in_seconds(pytestconfig: pytest.Config) -> None:
    whole = float(pytestconfig.getini("timeout"))
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        limits = [limit for limit in LIMIT_OF_ITS_OWN.findall(text) if float(limit) < whole]
        guards = [guard for guard in GUARD.findall(text) if float(guard) < SHORTEST_GUARD]
        found += [(path.name, each) for each in (*limits, *BUDGET.findall(text), *guards)]
    assert found == []
