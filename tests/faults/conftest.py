"""What the fault tests share: the command line's surroundings, and a report to upload."""

from __future__ import annotations

from pathlib import Path

import pytest

from odavl.hub.queue.store import UploadQueue
from tests.client.fixtures import home, odavl, project, small_hub
from tests.faults.queueing import SARIF

__all__ = ["home", "odavl", "project", "small_hub"]


@pytest.fixture
def sarif(project: Path) -> Path:
    path = project / "in.sarif"
    path.write_text(SARIF)
    return path


@pytest.fixture
def queue(home: Path) -> UploadQueue:
    return UploadQueue(home)
