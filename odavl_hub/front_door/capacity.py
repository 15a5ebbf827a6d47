"""How much a web process takes on at once, and what it asks of the kernel and of the C library."""

from __future__ import annotations

import ctypes
import resource
from dataclasses import dataclass

from odavl.wire.limits import MEBIBYTE
from odavl_hub import env

_CONNECTIONS_PER_PLACE = 4
"""Most connections only lie open; those that count are bounded by themselves."""
_OTHER_FILES = 256
"""Descriptors for everything else: the database, objects that are read and written."""
_ENOUGH_FILES = 65_536
# Their numbers in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


@dataclass(frozen=True, slots=True)
class Capacity:
    """``threads`` make answers and ``fetching`` go on with large ones.

    ``places`` requests may be received and made at once, and as many large answers be sent;
    ``connections`` may be open. Each thread of either kind may hold a database connection.
    """

    threads: int
    fetching: int
    places: int
    connections: int


def capacity() -> Capacity:
    """What ``WEB_THREADS`` and ``WEB_BACKPRESSURE`` say, as far as there are descriptors."""
    threads = env.integer("WEB_THREADS", 4, at_least=1)
    places = env.integer("WEB_BACKPRESSURE", 256, at_least=1)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = places * _CONNECTIONS_PER_PLACE
    most = wanted if files == resource.RLIM_INFINITY else files - _OTHER_FILES
    return Capacity(
        threads=threads,
        fetching=max(2, threads // 2),
        places=places,
        connections=max(places, min(wanted, most)),
    )


def allow_many_files() -> None:
    """Raise this process's limit of descriptors as far as it may: 1024 are few for connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def keep_freed_memory() -> None:
    """Have it keep some of what was freed for what comes next; elsewhere than on glibc do nothing.

    Bodies come in pieces of half a MiB. The default is to give each back to the kernel as soon as
    it is done with, and the kernel clears every page of the next one: a seventh of what a chunk
    costs. Two arenas bound what is kept.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, 8 * MEBIBYTE)
    mallopt(_TRIM_THRESHOLD, 16 * MEBIBYTE)
    mallopt(_ARENA_MAX, 2)
