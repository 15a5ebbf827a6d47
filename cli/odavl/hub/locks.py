"""Locks between processes: ``flock`` where it holds, a lease where it does not."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from odavl.hub.leases import lease
from odavl.wire.errors import LocalStorageFailed

fcntl: Any
try:
    import fcntl
except ImportError:  # not on this operating system
    fcntl = None

_NOT_HERE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.")


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold ``path`` against other processes; yields False where it is taken and ``wait`` is False.

    The operating system lets go of the lock when its holder dies, however it dies; where it
    cannot, or another machine may hold the same folder, a lease beside it ends by itself.
    Raises :class:`LocalStorageFailed` for what is no regular file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise LocalStorageFailed(f"{path} is not a regular file.")
        mine = _flocked(descriptor, wait=wait)
        if mine is None or (mine and _is_shared(os.fstat(descriptor).st_dev)):
            with lease(path.with_name(f"{path.name}.lease"), wait=wait) as leased:
                yield leased
        else:
            yield mine
    finally:
        os.close(descriptor)


def _flocked(descriptor: int, *, wait: bool) -> bool | None:
    """Whether we hold it; None where such locks do not exist."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NOT_HERE:
            return None
        raise
    return True


def _is_shared(device: int, table: str = "/proc/self/mountinfo") -> bool:
    """Whether the file system of that number is one that other machines may write to."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(table, encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123 - half the time of Path.open
            for line in mounts:
                # 36 35 0:52 / /home rw,noatime - nfs4 server:/home rw
                if line.split(" ", 3)[2] == number:
                    return line.partition(" - ")[2].startswith(_NETWORK)
    except (OSError, IndexError):
        return False
    return False
