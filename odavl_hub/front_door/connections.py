"""The connections of this process as the kernel sees them: who takes nothing, who only sits there.

granian has no time-out for answers, and at its limit it accepts nobody: clients that read nothing
would keep their connections for ever, and enough of them would keep everybody out. A connection
can be found from outside of granian, by its client's port, and shut down.

Only the kernel knows what a client took: between us and it lie megabytes of buffers. Where it does
not tell (elsewhere than on Linux) nothing here is looked at; an answer then has a clock of its own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from odavl_hub.front_door.request_body import ClientDeadline

_log = logging.getLogger(__name__)
ARE_MONITORED = sys.platform.startswith("linux")
EVERY = 1.0
"""Seconds between two looks."""
_FULL, _ROOMY = 0.9, 0.75
"""Shares of the places: from the first on, who only sits there goes until the second is reached."""
_DESCRIPTORS = Path("/dev/fd")
# Where they stand in the kernel's struct tcp_info, which only ever grows at its end.
_LAST_SENT, _LAST_RECEIVED, _ACKNOWLEDGED, _TCP_INFO_SIZE = 44, 52, 120, 128
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection: ``waiting`` bytes lie here, ``taken`` have reached its client so far."""

    client: Address
    waiting: int
    taken: int
    idle_seconds: float


@dataclass(slots=True)
class _Reading:
    """What a client took since bytes began to wait for it."""

    taken_before: int
    taken: int
    started: float
    moved: float

    def is_too_slow(self, deadline: ClientDeadline, now: float) -> bool:
        """As for bodies: neither silence nor a drip."""
        drip = self.started + (self.taken - self.taken_before) / deadline.rate
        return min(self.moved, drip) + deadline.seconds < now


class ConnectionMonitor:
    """Hangs up on clients that take too little and, where places become few, on idle ones.

    ``is_answered`` tells whether a request of a client is being received or answered.
    """

    def __init__(
        self, *, places: int, deadline: ClientDeadline, is_answered: Callable[[Address], bool]
    ) -> None:
        self._places = places
        self._client_deadline = deadline
        self._is_answered = is_answered
        self._readings: dict[Address, _Reading] = {}

    def check(self, now: float) -> None:
        """To be called every :data:`EVERY` seconds; ``now`` in seconds of any one clock."""
        connections = list(accepted())
        self._readings = {
            connection.client: self._reading(connection, now)
            for connection in connections
            if connection.waiting
        }
        for client, reading in self._readings.items():
            if reading.is_too_slow(self._client_deadline, now):
                hang_up(client)
        for client in self._superfluous(connections):
            hang_up(client)

    def _reading(self, connection: Connection, now: float) -> _Reading:
        reading = self._readings.get(connection.client)
        if reading is None:
            return _Reading(connection.taken, connection.taken, now, now)
        if connection.taken != reading.taken:
            reading.taken, reading.moved = connection.taken, now
        return reading

    def _superfluous(self, connections: list[Connection]) -> list[Address]:
        if len(connections) < _FULL * self._places:
            return []
        _log.warning(
            "%s of %s connections are taken: idle ones go.", len(connections), self._places
        )
        idle = [
            connection for connection in connections if not self._is_answered(connection.client)
        ]
        idle.sort(key=lambda connection: connection.idle_seconds, reverse=True)
        return [
            connection.client
            for connection in idle[: len(connections) - int(_ROOMY * self._places)]
        ]


def accepted() -> Iterator[Connection]:
    """The connections that this process has accepted."""
    listening = {found.getsockname()[1] for found in _sockets() if _is_open_to_all(found)}
    for found in _sockets():
        # Whoever ends it at this moment may.
        with suppress(OSError):
            if found.getsockname()[1] in listening and not _is_open_to_all(found):
                yield _measured(found)


def hang_up(client: Address) -> None:
    """Shut the connection of ``client``, whatever still lies in it, if there is one."""
    for found in _sockets():
        with suppress(OSError):
            if found.getpeername()[:2] == client:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                found.shutdown(socket.SHUT_RDWR)


def _sockets() -> Iterator[socket.socket]:
    """Those of the network that this process has, each under another number while it is used.

    Its own number may at any moment be closed and stand for something else.
    """
    for entry in _DESCRIPTORS.iterdir():
        found = _opened_again(int(entry.name))
        if found is not None:
            with found:
                yield found


def _opened_again(number: int) -> socket.socket | None:
    try:
        copy = os.dup(number)
    except OSError:  # it was closed in this moment
        return None
    if not stat.S_ISSOCK(os.fstat(copy).st_mode):
        os.close(copy)
        return None
    found = socket.socket(fileno=copy)
    if found.family in {socket.AF_INET, socket.AF_INET6}:
        return found
    found.close()
    return None


def _is_open_to_all(found: socket.socket) -> bool:
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _measured(found: socket.socket) -> Connection:
    info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    (waiting,) = struct.unpack("i", fcntl.ioctl(found, termios.TIOCOUTQ, bytes(4)))
    (taken,) = struct.unpack_from("=Q", info, _ACKNOWLEDGED)
    silent = min(struct.unpack_from("=I", info, at)[0] for at in (_LAST_SENT, _LAST_RECEIVED))
    host, port = found.getpeername()[:2]
    return Connection((host, port), waiting, taken, silent / 1000)
