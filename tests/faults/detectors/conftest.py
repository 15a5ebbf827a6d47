"""What every test of detectors that misbehave stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.detectors.commands import CODE, SCRIPT, SECRET
from tests.faults.detectors.misbehaving import (
    Machine,
    machine_in,
)


@pytest.fixture
def machine(tmp_path: Path, home: Path) -> Machine:
    return machine_in(tmp_path / "machine", home)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Something for every detector, in no Git work tree."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pay.py").write_text(CODE)
    (folder / "ship.js").write_text(SCRIPT)
    (folder / "settings.ini").write_text(SECRET)
    (folder / "ruff.toml").write_text('lint.select = ["F"]\n')
    return folder
