"""Trying again what met a database that was away for a moment.

A restart, a failover or a lock that another holds is over soon; what is wrong with a statement is
not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

LONGEST = 60.0
"""Seconds that a worker waits; after a longer outage the relay sends the jobs anew."""

_LOOK_SECONDS = 0.2
_IDLE_FOR_TOO_LONG = "25P03"
"""The SQLSTATE of a transaction that was ended because it did nothing; psycopg2 counts it among the
database's own defects."""
T = TypeVar("T")


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
