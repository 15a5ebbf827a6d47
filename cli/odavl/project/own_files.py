"""Reading and finding what a project keeps for ODAVL, whoever wrote it.

A project may be a stranger's: its files may be links, devices, or have no end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from odavl.wire.errors import LocalStorageFailed, UsageError

PROJECT_FOLDER = ".odavl"
LARGEST = 1024 * 1024
"""Bytes that a file of settings can have."""


def read_small(path: Path, *, follow: bool = True) -> bytes | None:
    """The content of a regular file of at most :data:`LARGEST` bytes; None where there is none.

    Raises :class:`UsageError` for anything else; a link counts as such unless ``follow``.
    """
    try:
        # O_NONBLOCK: a FIFO in the file's place must be refused, not waited for.
        flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path} is not a regular file.", hint="Remove it.")
            content = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        is_link = not follow and error.errno == errno.ELOOP
        told = (
            "is a link, which is not followed" if is_link else f"cannot be read: {error.strerror}"
        )
        raise UsageError(f"{path} {told}.") from error
    if len(content) > LARGEST:
        raise UsageError(f"{path} is larger than a configuration can be.")
    return content


def project_folder(root: Path, *, make: bool = False) -> Path:
    """``.odavl`` in ``root``, which is a folder of its own there, or absent unless ``make``.

    What a link leads to is not the project's, and where everybody may write, what somebody else
    laid down is not the person's. Raises :class:`UsageError` for both, and
    :class:`LocalStorageFailed` where it cannot be made.
    """
    folder = root / PROJECT_FOLDER
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        found = folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return folder
    except FileExistsError:
        found = folder.lstat()
    except OSError as error:
        raise LocalStorageFailed(f"{folder} cannot be used: {error.strerror}.") from error
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(
            f"{folder} is not a folder (a link elsewhere is not followed).", hint="Remove it."
        )
    if is_open_to_all(root) and found.st_uid not in trusted_owners(root):
        raise UsageError(
            f"{folder} belongs to another user, and everybody may write to {root}.",
            hint="Work in a folder of your own.",
        )
    return folder


def trusted_owners(folder: Path) -> frozenset[int]:
    """Whose settings hold in ``folder``: ours, its owner's, and those of who may do anything."""
    return frozenset({os.geteuid(), folder.stat().st_uid, 0})


def is_open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)
