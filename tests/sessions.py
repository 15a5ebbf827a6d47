"""Several database sessions at once."""

from __future__ import annotations

import time

from django.db import connection


def until_somebody_waits() -> None:
    """Return once another session of this database waits for a lock."""
    deadline = time.monotonic() + 600
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.rowcount:
                return
            # Within a transaction the view shows what it showed first.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
    raise AssertionError("Nobody came to wait.")
