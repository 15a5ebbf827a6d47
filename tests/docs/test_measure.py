"""What `make measure` counts: comments and not words in strings, code and not migrations."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.measure import measure

CODE = '''"""A module that speaks of # noqa in its first line."""

from typing import Any

SILENT: dict[str, Any] = {}  # noqa: E501
LOUD = "# noqa and # type: ignore"
OTHER: Any = 1  # type: ignore[misc]


def one() -> None:
    return None
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "room/code.py": CODE,
        "room/migrations/0001_initial.py": CODE,
        "tests/test_code.py": "assert True\n" * 5,
        "room/templates/page.html": "x" * 201 + "\n" + "x" * 200 + "\n",
        "requirements/hub.in": "# ours\n-r client.in\ncelery[redis]\nDjango>=5.2,<5.3\n",
        "requirements/client.in": "httpx>=0.28\n",
        "untracked.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", *list(files)[:-1]], cwd=tmp_path, check=True)
    return tmp_path


def test_each_figure_counts_what_it_says(checkout: Path) -> None:
    assert dict(measure(checkout)) == {
        "file lines median/p95/max": "11/11/11",
        "function lines median/p95/max": "2/2/2",
        "test lines for a code line": "0.45 (5/11)",
        "noqa": "1",
        "type: ignore": "1",
        "Any": "2",
        "modules of one small definition": "1 (1 with a name of ours)",
        "direct runtime dependencies": "3",
        "template lines over 200 of all": "1 of 2",
    }
