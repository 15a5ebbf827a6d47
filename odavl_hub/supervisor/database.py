"""What is looked at before anything serves: settings and schema. Imported with Django set up."""

from __future__ import annotations

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from odavl_hub.supervisor.errors import StartError
from odavl_hub.supervisor.output import say

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


def check_settings() -> None:
    """Say what the system checks find; raises :class:`StartError` where the hub must not serve."""
    is_public = settings.PUBLIC_URL.startswith("https://")
    found = checks.run_checks(include_deployment_checks=is_public)
    for message in found:
        if message.is_silenced() or not str(message.id).startswith("odavl_hub."):
            continue
        if message.is_serious():
            raise StartError(f"{message.msg} {message.hint}")
        say(f"hub: {message.msg} {message.hint}")
