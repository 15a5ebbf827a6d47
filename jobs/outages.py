"""What is no fault of a job: how an outage looks, and how a worker gets over one.

The database, the store and its room, and the turn of another that is at work with the same rows:
each comes back, and the same job then succeeds. So it waits, and spends no attempt.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from jobs.models import Awaited
from odavl.wire.errors import InProgress, ServiceUnavailable, StorageFull

logger = logging.getLogger(__name__)

LONGEST = 60.0
"""Seconds that a worker waits; after a longer outage the relay sends the jobs anew."""

_LOOK_SECONDS = 0.2
_IDLE_FOR_TOO_LONG = "25P03"
"""The SQLSTATE of a transaction that was ended because it did nothing; psycopg2 counts it among the
database's own defects."""
_SAID_BY_KIND = (
    (StorageFull, Awaited.ROOM),
    (ServiceUnavailable, Awaited.STORE),
    (InProgress, Awaited.TURN),
)
_SAID_BY_CODE = {
    "40001": Awaited.TURN,  # a serialization failure
    "40P01": Awaited.TURN,  # a deadlock
    "55P03": Awaited.TURN,  # a lock that was not to be had
    "53100": Awaited.ROOM,
    "57014": None,  # the statement was out of time
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
T = TypeVar("T")


def awaited_by(error: BaseException) -> Awaited | None:
    """What a job that met ``error`` has to wait for; None where the failure is its own.

    A statement that was out of time is the job's own: it would be so again.
    """
    for kinds, awaited in _SAID_BY_KIND:
        if isinstance(error, kinds):
            return awaited
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Awaited.ROOM
    if not is_passing(error):
        return None
    code = getattr(error.__cause__, "pgcode", None) or ""
    return _SAID_BY_CODE.get(code, Awaited.DATABASE)


def is_passing(error: BaseException | None) -> bool:
    """Whether the database is gone, starting, locked or out of time: another try may do."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    if getattr(getattr(error, "__cause__", None), "pgcode", None) == _IDLE_FOR_TOO_LONG:
        return True
    # A server that dies in the middle of a statement leaves psycopg2 with neither a class of its
    # own for that nor an SQLSTATE; whatever a server still says has one.
    return type(error) is DatabaseError and getattr(error.__cause__, "pgcode", None) is None


def outlast(step: Callable[[], T]) -> T:
    """``step()``, done anew once the database is back where that was away.

    For what may be done twice, outside of a transaction. Raises what ``step`` raises while the
    database is there, and the last error after :data:`LONGEST` seconds without it.
    """
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            return step()
        except (DatabaseError, InterfaceError) as error:
            if not is_passing(error) or connection.is_usable() or time.monotonic() > deadline:
                raise
            logger.warning("the database is away; the worker waits for it: %s", error)
            _reconnect(deadline)


def _reconnect(deadline: float) -> None:
    while True:
        connection.close()
        try:
            connection.ensure_connection()
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return
