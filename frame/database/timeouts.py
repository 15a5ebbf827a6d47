"""How long a connection to the database may wait, work, or do nothing in a transaction.

Every connection gets the three time-outs of what its process is, set by one statement once it is
made (docs/decisions/0027-waiting.md says why not as options of the start-up message).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from django.conf import settings
from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from odavl.wire.errors import OdavlError

LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE of a lock that was waited for too long, or that was only tried for."""


class ProcessKind(StrEnum):
    WEB = "web"
    WORKER = "worker"
    RELAY = "relay"
    MIGRATION = "migration"
    COMMAND = "command"
    """What a person runs: a shell, a command of ``manage.py``."""


_this_process = {"kind": ProcessKind.COMMAND}


def serve_as(kind: ProcessKind) -> None:
    """Say what this process (and what it forks) is; connections that are open follow."""
    _this_process["kind"] = kind
    for made in connections.all(initialized_only=True):
        if made.connection is not None:
            set_timeouts(made)


def process_kind() -> ProcessKind:
    """What this process is, as :func:`serve_as` said."""
    return _this_process["kind"]


@contextmanager
def serving_as(kind: ProcessKind) -> Iterator[None]:
    """:func:`serve_as` for a while."""
    before = process_kind()
    serve_as(kind)
    try:
        yield
    finally:
        serve_as(before)


def set_timeouts(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Of a connection that has just been made; receives Django's ``connection_created``."""
    seconds: tuple[int, ...] = settings.DATABASE_TIMEOUTS[process_kind()]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, false),"
            " set_config('statement_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false)",
            [f"{each}s" for each in seconds],
        )


@contextmanager
def waiting_briefly(error: OdavlError, *, milliseconds: int = 500) -> Iterator[None]:
    """Raise ``error`` where a lock is not had within so long, in the caller's transaction.

    For what others may hold for longer than a person wants to wait.
    """
    before = _set_lock_timeout(f"{milliseconds}ms")
    try:
        yield
    except OperationalError as failure:
        if getattr(failure.__cause__, "pgcode", None) == LOCK_NOT_AVAILABLE:
            raise error from failure
        raise
    _set_lock_timeout(before)


def _set_lock_timeout(value: str) -> str:
    """Until the end of the transaction; what it was before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        (before,) = cursor.fetchone()
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [value])
    return str(before)
