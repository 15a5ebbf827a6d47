"""How much a web process takes on at once."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from odavl_hub import env

_CONNECTIONS_PER_PLACE = 4
"""Most connections only lie open; those that count are bounded by themselves."""
_OTHER_FILES = 256
"""Descriptors for everything else: the database, objects that are read and written."""
_ENOUGH_FILES = 65_536


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
