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

from frame.database.errors import is_transient

logger = logging.getLogger(__name__)

LONGEST = 60.0
"""Seconds that a worker waits; after a longer outage the relay sends the jobs anew."""

_POLL_SECONDS = 0.2
T = TypeVar("T")


def retry_database(step: Callable[[], T]) -> T:
    """``step()``, done anew once the database is back where that was away.

    For what may be done twice, outside of a transaction. Raises what ``step`` raises while the
    database is there, and the last error after :data:`LONGEST` seconds without it.
    """
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            return step()
        except (DatabaseError, InterfaceError) as error:
            if not is_transient(error) or connection.is_usable() or time.monotonic() > deadline:
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
            time.sleep(_POLL_SECONDS)
        else:
            return
