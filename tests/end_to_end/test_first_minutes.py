"""From nothing to a tracked run: one command, then an edit, then the same command again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.hub_process import HubProcess

pytestmark = [pytest.mark.end_to_end]

# ruff alone, so that the numbers are known: F401 for each import that nothing uses.
FIRST = "import os\nimport sys\n"
SECOND = "\n\n\nimport json\nimport sys\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / ".odavl").mkdir(parents=True)
    (folder / ".odavl" / "config.toml").write_text('detectors = ["ruff"]\n')
    (folder / "cart.py").write_text(FIRST)
    return folder


class Session:
    """The command line and the API of one hub."""

    def __init__(self, hub: HubProcess) -> None:
        self.hub = hub
        self.key = json.loads(self.odavl("keys", "create", "test", "--scopes", "all", "--json"))[
            "key"
        ]

    def odavl(self, *arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "odavl", *arguments, "--hub", self.hub.url],
            env=os.environ | {"ODAVL_HOME": str(self.hub.data.parent / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    def get(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.hub.url}/api/v1/{path}", headers={"Authorization": f"Bearer {self.key}"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            document: dict[str, Any] = json.load(answer)
            return document


def run_in(text: str) -> str:
    """The id of the run whose address is printed in ``text``."""
    return re.findall(r"/runs/([0-9a-f-]{36})", text)[-1]


def test_one_command_tracks_a_run_and_the_next_tells_what_changed(tmp_path, project):
    home = tmp_path / "hub"
    home.mkdir()
    hub = HubProcess(home / "data", "--analyze", str(project))
    try:
        hub.wait_for(r"Sign in as owner@localhost with the password \S+ ")
        hub.wait_for(r"/runs/[0-9a-f-]{36}/")
        session = Session(hub)
        first = session.get(f"insight/runs/{run_in(hub.output)}")
        (project / "cart.py").write_text(SECOND)

        printed = session.odavl("insight", "analyze", str(project), "--upload", "--project", "shop")

        second = session.get(f"insight/runs/{run_in(printed)}")
        assert first["counts"]["total"] == first["counts"]["new"] == 2
        assert {
            name: second["counts"][name] for name in ("total", "new", "fixed", "unchanged")
        } == {
            "total": 2,
            "new": 1,
            "fixed": 1,
            "unchanged": 1,
        }
        assert hub.stop() == 0

        hub = HubProcess(home / "data", "--analyze", str(project), PORT=str(hub.port))
        hub.wait_for(r"password of the first start")
        hub.wait_for(r"/runs/[0-9a-f-]{36}/")
        session.hub = hub
        third = session.get(f"insight/runs/{run_in(hub.output)}")
        assert (third["sequence"], third["counts"]["unchanged"]) == (3, 2)
    finally:
        hub.kill_all()
