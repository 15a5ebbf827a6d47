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

from odavl.engines.running.environment import safe_path
from odavl.engines.running.processes import Command, Processes, ProgramFailed
from odavl.wire import limits
from odavl.wire.encoding import visible

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_LONGEST_VERSION = 50
_TIMEOUT = 30.0
_MAX_OUTPUT_SIZE = 64 * limits.KIBIBYTE


@dataclass(frozen=True, slots=True)
class Program:
    """An installed program: how its command line starts, where it lies, which one it is."""

    command: tuple[str, ...]
    path: str
    version: str


def find_program(name: str, root: Path) -> Path | None:
    """A program beside our own interpreter, else on ``PATH`` outside of the project."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name, path=os.pathsep.join(safe_path(root)))
    return Path(found) if found else None


def python_program(name: str, root: Path) -> Program | None:
    """One that is a Python package of the same name; its version, if that is known unasked."""
    program = find_program(name, root)
    if program is None:
        return None
    is_beside_us = program.parent == Path(sys.executable).parent
    version = _installed_version(name) if is_beside_us else ""
    return Program((str(program),), str(program), version)


def version_of(program: Program, processes: Processes, *, timeout: float = _TIMEOUT) -> str:
    """What is known, else what ``--version`` says within ``timeout`` seconds, or an empty text.

    Raises :class:`ProgramFailed` if ``processes`` are stopped.
    """
    if program.version:
        return program.version
    command = Command((*program.command, "--version"), folder=Path(program.command[0]).parent)
    deadline = time.monotonic() + min(timeout, _TIMEOUT)
    try:
        answer = processes.run(command, deadline=deadline, max_output=_MAX_OUTPUT_SIZE)
    except ProgramFailed:
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
