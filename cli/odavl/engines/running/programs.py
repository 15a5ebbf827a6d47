"""Where programs are found, and which version they are."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from odavl.engines.running.processes import Command, DetectorFailed, Processes, safe_path
from odavl.wire import limits
from odavl.wire.encoding import visible

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_LONGEST_VERSION = 50
_TIMEOUT = 30.0
_MAX_OUTPUT_SIZE = 64 * limits.KIBIBYTE


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed program: how its command line starts, where it lies, which one it is."""

    command: tuple[str, ...]
    path: str
    version: str


def find_program(name: str, root: Path) -> Path | None:
    """A program beside our own interpreter, else on ``PATH`` outside of the project."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name, path=os.pathsep.join(safe_path(root)))
    return Path(found) if found else None


def python_tool(name: str, root: Path) -> Tool | None:
    """A tool that is a Python package of the same name; its version, if that is known unasked."""
    program = find_program(name, root)
    if program is None:
        return None
    is_beside_us = program.parent == Path(sys.executable).parent
    version = _installed_version(name) if is_beside_us else ""
    return Tool((str(program),), str(program), version)


def version_of(tool: Tool, processes: Processes, *, timeout: float = _TIMEOUT) -> str:
    """What is known, else what ``--version`` says within ``timeout`` seconds, or an empty text.

    Raises :class:`DetectorFailed` if ``processes`` are stopped.
    """
    if tool.version:
        return tool.version
    command = Command((*tool.command, "--version"), folder=Path(tool.command[0]).parent)
    deadline = time.monotonic() + min(timeout, _TIMEOUT)
    try:
        answer = processes.run(command, deadline=deadline, max_output=_MAX_OUTPUT_SIZE)
    except DetectorFailed:
        if processes.stopped:
            raise
        return ""
    match = _VERSION.search(f"{answer.stdout.decode('utf-8', 'replace')}\n{answer.stderr}")
    return visible(match[0])[:_LONGEST_VERSION] if match else ""


def _installed_version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
