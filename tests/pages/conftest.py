"""Runs that were really uploaded, for pages to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Project
from tests.cast import Person
from tests.insight.documents import finding, upload

SECRET = {
    "severity": "critical",
    "source": "bandit",
    "code": "B105",
    "message": "Possible hardcoded password\nThe value is in the history, too.",
    "snippet": "PASSWORD = ***\nUSER = None",
    "endLine": 8,
    "fix": "Read it from the environment.",
    "url": "https://bandit.readthedocs.io/en/latest/plugins/b105.html",
}
DETECTORS = [
    {"name": "ruff", "version": "0.12.0", "status": "ran", "findings": 2, "durationMs": 340},
    {"name": "bandit", "version": "1.8.0", "status": "ran", "findings": 1, "durationMs": 4200},
    {"name": "eslint", "status": "not-installed", "detail": "npm install eslint"},
    {"name": "vulture", "status": "failed", "detail": "it ended with code 3"},
]


@pytest.fixture
def two_runs(alice: Person, website: Project) -> list[dict[str, Any]]:
    """The first finds unused, long and secret; in the second long is fixed and late is new."""
    scope = {"detectors": DETECTORS, "files": None}
    git = {"branch": "main", "commit": "0123456789abcdef0123456789abcdef01234567"}
    unused = finding("unused", line=3)
    secret = finding("secret", line=7, **SECRET)
    first = {"src/app.py": [unused, finding("long", line=9, severity="low")], "src/db.py": [secret]}
    second = {"src/app.py": [unused], "src/db.py": [secret, finding("late", line=20)]}
    return [upload(alice.api, found, scope=scope, git=git) for found in (first, second)]


@pytest.fixture
def many_issues(alice: Person, website: Project) -> Callable[[int], dict[str, Any]]:
    """Uploads one run with as many issues as asked for."""

    def make(number: int) -> dict[str, Any]:
        found = [finding(f"f{at}", line=at + 1, message=f"finding {at:04}") for at in range(number)]
        return upload(alice.api, {"src/app.py": found})

    return make
