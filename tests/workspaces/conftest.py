from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accounts.models import Project
from tests.cast import Person
from tests.workspaces.machines import Machine


@pytest.fixture
def laptop(live_server: Any, alice: Person, website: Project, tmp_path: Path) -> Machine:
    return Machine.at(tmp_path / "laptop", live_server.url, alice.token)


@pytest.fixture
def desk(live_server: Any, bob: Person, website: Project, tmp_path: Path) -> Machine:
    return Machine.at(tmp_path / "desk", live_server.url, bob.token)
