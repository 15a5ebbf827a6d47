"""The folder ``.odavl/``, read and written from its own descriptor, no link ever followed.

Whatever is named by the hub or changed by others meanwhile: nothing outside of the folder is
touched, and a file is replaced whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from odavl.wire.errors import LocalStorageFailed, UsageError

TEMPORARY_PREFIX = ".sync-new-"
FILE_MODE = 0o600
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Signature(NamedTuple):
    """What tells that a file is still the one that was looked at."""

    inode: int
    size: int
    modified_ns: int


class Tree:
    """Paths are relative to ``folder``, with ``/`` between the steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Raises :class:`UsageError` where the folder is a link or something else."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(self.folder.lstat().st_mode):
                raise UsageError(f"{self.folder} is not a folder (a link is not followed).")

    @contextlib.contextmanager
    def opened(self, path: str = "", *, create: bool = False) -> Iterator[int]:
        """A descriptor of the folder at ``path``; ``create`` makes what lacks. Raises OSError."""
        if create:
            self.folder.mkdir(exist_ok=True)
        descriptor = os.open(self.folder, _FOLDER_FLAGS)
        try:
            for step in filter(None, path.split("/")):
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(step, dir_fd=descriptor)
                below = os.open(step, _FOLDER_FLAGS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def read(self, path: str) -> IO[bytes]:
        """Open a file. Raises OSError, also for what is no regular file."""
        parent, name = _divided(path)
        with self.opened(parent) as folder:
            # O_NONBLOCK: a FIFO in the file's place must be refused, not waited for.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(name, flags, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.fdopen(descriptor, "rb")

    def signature(self, path: str) -> Signature | None:
        """None where there is nothing."""
        parent, name = _divided(path)
        try:
            with self.opened(parent) as folder:
                return _signature(os.stat(name, dir_fd=folder, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def has_room(self, path: str) -> bool:
        """Whether every folder above ``path`` is one, or can be made. Raises OSError."""
        steps = path.split("/")[:-1]
        for count in range(1, len(steps) + 1):
            parent, name = _divided("/".join(steps[:count]))
            try:
                with self.opened(parent) as folder:
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return True
            if not stat.S_ISDIR(found.st_mode):
                return False
        return True

    def write_beside(self, path: str, pieces: Iterable[bytes]) -> str:
        """Write ``pieces`` to a hidden file in the folder of ``path``, made to last; its path."""
        parent, _ = _divided(path)
        name = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
        temporary = f"{parent}/{name}" if parent else name
        with self.told(path, "cannot be written"), self.opened(parent, create=True) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            descriptor = os.open(name, flags, FILE_MODE, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.writelines(pieces)
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)
                raise
        return temporary

    def place(self, temporary: str, path: str, expected: Signature | None) -> bool:
        """Put what lies at ``temporary`` at ``path``, if that is still as ``expected``.

        None expects nothing there but a folder that is empty. False, and nothing is done, where it
        is something else.
        """
        parent, name = _divided(path)
        _, hidden = _divided(temporary)
        with self.told(path, "cannot be written"), self.opened(parent) as folder:
            if expected is None:
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=folder)
            if _signature_at(name, folder) != expected:
                return False
            if expected is None and (linked := _linked(hidden, name, folder)) is not None:
                return linked
            os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        return True

    def replace(self, path: str, content: bytes) -> None:
        """Write a file of our own, whatever was there."""
        temporary = self.write_beside(path, (content,))
        _, name = _divided(path)
        with self.told(path, "cannot be written"), self.opened() as folder:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def remove(self, path: str, expected: Signature | None) -> bool:
        """Remove a file if it is still as ``expected``, and folders that are empty then.

        True as well where its folder went in the meantime.
        """
        parent, name = _divided(path)
        with self.told(path, "cannot be removed"):
            try:
                with self.opened(parent) as folder:
                    if _signature_at(name, folder) != expected:
                        return False
                    os.unlink(name, dir_fd=folder)
            except (FileNotFoundError, NotADirectoryError):
                return True
        while parent:
            above, name = _divided(parent)
            try:
                with self.opened(above) as folder:
                    os.rmdir(name, dir_fd=folder)
            except OSError:
                break
            parent = above
        return True

    def discard(self, temporary: str) -> None:
        """Remove a hidden file of ours; no error where it is gone."""
        parent, name = _divided(temporary)
        with contextlib.suppress(OSError), self.opened(parent) as folder:
            os.unlink(name, dir_fd=folder)

    @contextlib.contextmanager
    def told(self, path: str, what: str) -> Iterator[None]:
        """Tell what the operating system says as :class:`LocalStorageFailed`."""
        try:
            yield
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            hint = "Free some space on that disk." if full else ""
            raise LocalStorageFailed(
                f"{self.folder / path} {what}: {error.strerror}.", hint=hint
            ) from error


def signature_of(file: IO[bytes]) -> Signature:
    """Of an open file."""
    return _signature(os.fstat(file.fileno()))


def _signature_at(name: str, folder: int) -> Signature | None:
    try:
        return _signature(os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _signature(found: os.stat_result) -> Signature:
    return Signature(found.st_ino, found.st_size, found.st_mtime_ns)


def _linked(hidden: str, name: str, folder: int) -> bool | None:
    """Give the hidden file its name unless somebody took it this moment; None where links lack."""
    try:
        os.link(hidden, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:
        return None
    os.unlink(hidden, dir_fd=folder)
    os.fsync(folder)
    return True


def _divided(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition("/")
    return parent, name
