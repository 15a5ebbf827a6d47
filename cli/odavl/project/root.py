"""Where a project begins, and where ODAVL keeps what belongs to the person."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from odavl.wire.errors import LocalStorageFailed

PROJECT_FOLDER = ".odavl"


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``ODAVL_HOME``, else ``~/.odavl``.

    Raises :class:`LocalStorageFailed` where neither can be told.
    """
    chosen = environ.get("ODAVL_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    try:
        return (Path.home() / PROJECT_FOLDER).resolve()
    except RuntimeError as error:
        raise LocalStorageFailed(
            "There is no home folder to keep credentials and the queue in.",
            hint="Set ODAVL_HOME to a folder of yours.",
        ) from error


def project_root(start: Path, home: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``.odavl``, a Git repository or settings.

    ``start`` itself (or its folder, for a file) where no such folder is found. The ``.odavl`` in a
    person's home is no project.
    """
    resolved = start.resolve()
    folder = resolved if resolved.is_dir() else resolved.parent
    for candidate in (folder, *folder.parents):
        if _is_root(candidate, home):
            return candidate
    return folder


def _is_root(folder: Path, home: Path) -> bool:
    marker = folder / PROJECT_FOLDER
    if marker.is_dir() and marker.resolve() != home.resolve():
        return True
    return (folder / ".git").exists() or _has_settings(folder / "pyproject.toml")


def _has_settings(pyproject: Path) -> bool:
    # A cheap look before anything parses it: every folder upwards is asked.
    try:
        return pyproject.is_file() and b"[tool.odavl" in pyproject.read_bytes()
    except OSError:
        return False
