"""Where programs are found, and which version they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from odavl.engines.insight.detectors.interface import Tool
from odavl.engines.insight.processes import clean_environment, safe_path

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_TIMEOUT = 30


def find_program(name: str, root: Path) -> Path | None:
    """A program beside our own interpreter, else on ``PATH`` outside of the project."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name, path=os.pathsep.join(safe_path(root)))
    return Path(found) if found else None


def python_tool(name: str, root: Path) -> Tool | None:
    """A tool that is a Python package of the same name."""
    program = find_program(name, root)
    if program is None:
        return None
    version = ""
    if program.parent == Path(sys.executable).parent:
        version = _installed_version(name)
    return Tool((str(program),), str(program), version or program_version((str(program),), root))


def program_version(command: tuple[str, ...], root: Path) -> str:
    """What ``--version`` says, or an empty text."""
    try:
        answer = subprocess.run(
            [*command, "--version"],
            cwd=Path(command[0]).parent,
            env=clean_environment(root),
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search((answer.stdout + answer.stderr).decode("utf-8", "replace"))
    return match[0] if match else ""


def _installed_version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
