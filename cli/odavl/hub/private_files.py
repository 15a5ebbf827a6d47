"""Files that only their owner reads, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from odavl.hub import locks
from odavl.wire.errors import LocalStorageFailed

FILE_MODE = 0o600
FOLDER_MODE = 0o700
TEMPORARY_PREFIX = ".new-"


def ensure_folder(folder: Path) -> None:
    """``folder`` exists, is a folder of its own (no link to elsewhere) and is its owner's alone.

    Where others could look into it, its files are made their owner's as well.
    """
    with _as_local_failure(folder, "cannot be used"):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=FOLDER_MODE)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise LocalStorageFailed(
                f"{folder} is not a folder (a link elsewhere is not followed).",
                hint="Remove it, or set ODAVL_HOME to another place.",
            )
        if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            folder.chmod(FOLDER_MODE)
            with os.scandir(folder) as entries:
                for entry in entries:
                    tighten(entry)


def write_private(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Put what ``write`` writes at ``path``: after a crash there is the old file or the new one.

    Temporary file, fsync, rename, fsync of the folder.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}")
    with _as_local_failure(path, "cannot be written"):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_private_bytes(path: Path, content: bytes) -> None:
    """:func:`write_private` for what is in memory."""

    def write(file: IO[bytes]) -> None:
        file.write(content)

    write_private(path, write)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_private(path: Path) -> bytes | None:
    """The content of ``path``; None if it is missing. As :func:`open_private` otherwise."""
    file = open_private(path)
    if file is None:
        return None
    with file, _as_local_failure(path, "cannot be read"):
        return file.read()


def open_private(path: Path) -> IO[bytes] | None:
    """``path`` open for reading, its mode tightened where others could read it; None if missing.

    Raises :class:`LocalStorageFailed` for anything but a regular file.
    """
    with _as_local_failure(path, "cannot be read"):
        try:
            # O_NONBLOCK: a FIFO in the file's place must be refused, not waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            raise LocalStorageFailed(f"{path} is not a regular file.")
        if stat.S_IMODE(mode) & 0o077:
            os.fchmod(descriptor, FILE_MODE)
        return os.fdopen(descriptor, "rb")


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """As :func:`odavl.hub.locks.file_lock`, with what stands against it told."""
    with contextlib.ExitStack() as held:
        with _as_local_failure(path, "cannot be locked"):
            mine = held.enter_context(locks.file_lock(path, wait=wait))
        yield mine


def touch(path: Path) -> None:
    """``path`` exists; empty where it was not there."""
    with _as_local_failure(path, "cannot be written"):
        path.touch(mode=FILE_MODE)


def tighten(entry: os.DirEntry[str]) -> None:
    """Take from group and others what they may do with a regular file."""
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        with contextlib.suppress(OSError):
            os.chmod(entry.path, FILE_MODE)  # noqa: PTH101 - one of ten thousand entries


def discard(path: Path) -> None:
    """Remove whatever lies at ``path``, a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # noqa: PLC0415 - a folder where a file belongs is rare

        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def empty_folder(folder: Path) -> None:
    """Remove all that is in ``folder``, if it exists."""
    with _as_local_failure(folder, "cannot be emptied"), contextlib.suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            discard(path)


@contextlib.contextmanager
def _as_local_failure(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Set ODAVL_HOME to a folder that can be written."
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "Free some space on that disk."
        raise LocalStorageFailed(f"{path} {what}: {error.strerror}.", hint=hint) from error
