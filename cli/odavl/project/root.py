"""Where a project begins, and where ODAVL keeps what belongs to the person."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from odavl.project.own_files import PROJECT_FOLDER, read_small, trusted_owners
from odavl.wire.errors import LocalStorageFailed, UsageError

__all__ = ["PROJECT_FOLDER", "home_folder", "project_root"]


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``ODAVL_HOME``, else ``~/.odavl``.

    Raises :class:`LocalStorageFailed` where neither can be told, and :class:`UsageError` for a
    relative one: every repository would bring a home of its own, with settings that count as ours.
    """
    chosen = environ.get("ODAVL_HOME")
    try:
        if chosen:
            path = Path(chosen).expanduser()
            if not path.is_absolute():
                raise UsageError(
                    f"ODAVL_HOME is {chosen}, which leads elsewhere in every folder.",
                    hint="Set it to a whole path, such as ~/.odavl.",
                )
            return path.resolve()
        return (Path.home() / PROJECT_FOLDER).resolve()
    except RuntimeError as error:
        raise LocalStorageFailed(
            "There is no home folder to keep credentials and the queue in.",
            hint="Set ODAVL_HOME to a folder of yours.",
        ) from error


def project_root(start: Path, home: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``.odavl``, a Git repository or settings.

    ``start`` itself (or its folder, for a file) where no such folder is found. The ``.odavl`` in a
    person's home is no project, and neither is what somebody else laid down in a folder above, as
    anybody may below ``/tmp``: its settings would hold for us, and our results would lie there.
    """
    resolved = start.resolve()
    folder = resolved if resolved.is_dir() else resolved.parent
    try:
        owners = trusted_owners(folder)
    except OSError:
        return folder
    for candidate in (folder, *folder.parents):
        if _is_root(candidate, home, owners):
            return candidate
    return folder


def _is_root(folder: Path, home: Path, owners: frozenset[int]) -> bool:
    own = folder / PROJECT_FOLDER
    is_one = _belongs_to(own, owners) and (own.is_symlink() or own.is_dir())
    if is_one and own.resolve() != home.resolve():
        return True
    if _belongs_to(folder / ".git", owners):
        return True
    pyproject = folder / "pyproject.toml"
    return _belongs_to(pyproject, owners) and _has_settings(pyproject)


def _belongs_to(path: Path, owners: frozenset[int]) -> bool:
    """Whether there is such an entry, made by one of ``owners``."""
    try:
        return path.lstat().st_uid in owners
    except OSError:
        return False


def _has_settings(pyproject: Path) -> bool:
    # A cheap look before anything parses it: every folder upwards is asked.
    try:
        return b"[tool.odavl" in (read_small(pyproject) or b"")
    except UsageError:
        return False
