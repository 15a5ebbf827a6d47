"""What the hub stands on, looked at one by one. No check takes long, none gives anything away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from frame.rate_limits import redis_py_url
from jobs import queries
from jobs.models import Awaited
from odavl import __version__
from odavl.wire.errors import OdavlError
from odavl.wire.health import Check, Health, Readiness
from storage.collecting.verifying import count_missing
from storage.configuration import object_store
from storage.objects.interface import ObjectMissing

_log = logging.getLogger(__name__)
_REDIS_SECONDS = 0.5
_all_applied = threading.Event()
"""Asked for once: nothing takes a migration back while a hub runs."""
_AWAITED = {
    Awaited.STORE: "the object store",
    Awaited.ROOM: "free disk space",
    Awaited.DATABASE: "the database",
}


class _DownError(Exception):
    """A check found what it looks at wanting; the message may be shown to anybody."""


def health() -> Health:
    """All checks; ``degraded`` where only what can wait (Redis, storage, jobs) is missing."""
    database = _timed(_database)
    migrations = _migrations_after(database)
    messenger, storage, work = _timed(_redis), _timed(_storage), _jobs_after(migrations)
    can_wait = (messenger, storage, work)
    down = any(check.status == "down" for check in (database, migrations))
    degraded = any(check.status == "down" for check in can_wait)
    return Health(
        status="down" if down else "degraded" if degraded else "ok",
        version=__version__,
        database=database,
        migrations=migrations,
        redis=messenger,
        storage=storage,
        jobs=work,
    )


def readiness() -> Readiness:
    """Whether the database answers and has every table that this version knows."""
    database = _timed(_database)
    migrations = _migrations_after(database)
    ready = database.status == migrations.status == "ok"
    return Readiness(ready=ready, database=database, migrations=migrations)


def _timed(check: Callable[[], None]) -> Check:
    started = time.perf_counter()
    detail = ""
    try:
        check()
    except _DownError as error:
        detail = str(error)
    except (DatabaseError, InterfaceError, redis.RedisError, OSError) as error:
        _log.warning("A health check failed: %s", error)
        detail = "not reachable"
    duration = round((time.perf_counter() - started) * 1000, 1)
    return Check(status="down" if detail else "ok", duration_ms=duration, detail=detail)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _migrations_after(database: Check) -> Check:
    if database.status != "ok":
        return Check(status="down", detail="not known without the database")
    return _timed(_migrations)


def _migrations() -> None:
    if _all_applied.is_set():
        return
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise _DownError(f"{len(missing)} migrations are not applied")
    _all_applied.set()


def _jobs_after(migrations: Check) -> Check:
    if migrations.status != "ok":
        return Check(status="down", detail="not known without the database")
    return _timed(_jobs)


def _jobs() -> None:
    waits = [
        f"{_AWAITED[awaited]} since {since:%Y-%m-%dT%H:%M:%SZ}"
        for awaited, since in sorted(queries.outages().items())
    ]
    if waits:
        raise _DownError(f"jobs wait for {', for '.join(waits)}")


def _redis() -> None:
    client = redis.Redis.from_url(
        redis_py_url(settings.REDIS_URL),
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
    )
    try:
        client.ping()
    finally:
        client.close()


def _storage() -> None:
    try:
        object_store().probe()
    except OdavlError as error:
        raise _DownError(error.detail) from error
    except ObjectMissing as error:
        raise _DownError("the bucket or container is missing") from error
    if missing := count_missing():
        raise _DownError(f"objects missing: {missing} (manage.py storage_check names them)")
