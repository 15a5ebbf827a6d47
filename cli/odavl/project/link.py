"""``.odavl/project.json``: which project on which hub this folder belongs to."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from odavl.project.own_files import project_folder, read_small
from odavl.wire.errors import LocalStorageFailed, UsageError

FILE_NAME = "project.json"


@dataclass(frozen=True, kw_only=True)
class ProjectLink:
    """A project of a hub. It holds only while ``hub`` is the hub in use."""

    hub: str
    projectId: str
    projectName: str
    organizationId: str


def read_link(root: Path) -> ProjectLink | None:
    """The link in ``root``, or None. Raises :class:`UsageError` for a file that is not one."""
    path = project_folder(root) / FILE_NAME
    content = read_small(path, follow=False)
    if content is None:
        return None
    try:
        document = json.loads(content)
        known = {key: document[key] for key in ProjectLink.__dataclass_fields__}
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be used: {error}.", hint="Run: odavl link") from error
    if not all(isinstance(value, str) for value in known.values()):
        raise UsageError(f"{path} holds something else than texts.", hint="Run: odavl link")
    return ProjectLink(**known)


def write_link(root: Path, link: ProjectLink) -> Path:
    """Replace the link in ``root`` at once, and give its path."""
    folder = project_folder(root, make=True)
    path = folder / FILE_NAME
    try:
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".project-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(link), file, indent=2)
            file.write("\n")
        Path(temporary).replace(path)
    except OSError as error:
        raise LocalStorageFailed(f"{path} cannot be written: {error.strerror}.") from error
    return path


def remove_link(root: Path) -> bool:
    """Whether there was a link to remove."""
    path = project_folder(root) / FILE_NAME
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LocalStorageFailed(f"{path} cannot be removed: {error.strerror}.") from error
    return True
