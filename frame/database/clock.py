"""The one clock: the database's.

Every moment that is compared with another process's is the database's own. Clocks of web hosts and
workers may differ; what they are good for is durations (``time.monotonic``).
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """This moment by the database's clock, in UTC; one round trip.

    For moments that go on as values. Within a statement ``Now()`` is the same: Django's is the
    beginning of the statement, not that of the transaction, which may be minutes ago.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (moment,) = cursor.fetchone()
    found: datetime = moment
    return found
