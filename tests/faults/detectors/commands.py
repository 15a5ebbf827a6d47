"""Analyses by the real command line, and the small code base that they look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from odavl.engines.insight.detectors.eslint import Eslint
from tests.faults.detectors.misbehaving import (
    Machine,
)

Report = dict[str, Any]
HAS_ESLINT = Eslint().find(Path("/nowhere")) is not None
CODE = "import os\npassword = 'hunter2-hunter2'\nassert True\n"  # pragma: allowlist secret
SCRIPT = "const unused = 1;\n"
SECRET = 'aws = "AKIAQ3EGRIPZ4XKJH7TT"\n'  # pragma: allowlist secret


def reports(text: str) -> dict[str, Report]:
    return {each["name"]: each for each in json.loads(text)["detectors"]}


def analyze(
    machine: Machine, project: Path, *detectors: str, timeout: int, before: tuple[str, ...] = ()
) -> dict[str, Report]:
    result = machine.run(
        project, "insight", "analyze", "--json", "--detectors", ",".join(detectors),
        "--timeout", str(timeout), before=before,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return reports(result.stdout)
