"""A lock without the operating system's help: a file that its holder keeps fresh.

For places where ``flock`` is missing, or holds within one machine only (network file systems).
The file is made with O_EXCL, which is atomic there too. Its holder touches it every few seconds;
one that has not been touched for :data:`LEASE` is dead and may be broken by anybody. Both times
are the file system's own, so that the clocks of two machines need not agree; one that lies ahead
is set to now.

A holder that slept longer than its lease cannot be stopped from going on. What this lock guards
must bear that: the queue's items are files of their own, replaced whole, and its index is rebuilt.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

LEASE = 20.0
"""Seconds without a sign of life until a holder counts as dead."""

BEAT = 4.0
_POLL = 0.05
_PREFIX = ".new-"  # swept with what other killed processes left half-made


@contextlib.contextmanager
def lease(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold ``path`` against everybody; yields False where it is taken and ``wait`` is False."""
    while (descriptor := _taken(path)) is None:
        if _broken_if_dead(path):
            continue
        if not wait:
            yield False
            return
        time.sleep(_POLL)
    stopped = threading.Event()
    beating = threading.Thread(target=_beat, args=(descriptor, stopped), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        stopped.set()
        beating.join()
        own = os.fstat(descriptor).st_ino
        os.close(descriptor)
        with contextlib.suppress(OSError):
            if path.lstat().st_ino == own:
                path.unlink()


def _taken(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return None


def _beat(descriptor: int, stopped: threading.Event) -> None:
    while not stopped.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _broken_if_dead(path: Path) -> bool:
    """Break the lease of a dead holder; True where it is worth trying to take it at once."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    age = _time_there(path.parent) - found.st_mtime
    if age < -BEAT:
        # Dated ahead, by a clock that was set back or by hand: it counts from now on, else nobody
        # would get it until then. A holder that lives dates it anew in any case.
        with contextlib.suppress(OSError):
            os.utime(path)
    if age < LEASE:
        return False
    grave = path.with_name(f"{_PREFIX}{os.urandom(8).hex()}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(grave)
        if grave.lstat().st_ino != found.st_ino:
            # Another was quicker, and this is the new holder's: give it back.
            with contextlib.suppress(FileExistsError):
                os.link(grave, path)
        grave.unlink()
    return True


def _time_there(folder: Path) -> float:
    """The time by the clock that stamps the files of ``folder``."""
    probe = folder / f"{_PREFIX}{os.urandom(8).hex()}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        probe.unlink()
