"""The schema, brought up to date before anything serves. Imported with Django set up."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

_LOCK = 0x0DA_71  # any number that nobody else takes advisory locks on


def migrate() -> None:
    """Apply what is missing; of several hubs on one database one does, the others wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
    # A forked child must not talk through our connection.
    connections.close_all()
