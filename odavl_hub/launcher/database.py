"""What is looked at before anything serves: settings and schema. Imported with Django set up."""

from __future__ import annotations

import time

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.db.backends.utils import CursorWrapper
from django.db.migrations.executor import MigrationExecutor

from frame.database.timeouts import ProcessKind, serving_as
from odavl_hub.launcher.errors import StartError
from odavl_hub.launcher.output import say

_POLL_SECONDS = 0.2
_LOCK = 0x0DA_71  # any number that nobody else takes advisory locks on


def migrate() -> None:
    """Apply what is missing; of several hubs on one database one does, the others wait.

    Raises :class:`StartError` where something holds a table for longer than a migration waits.
    """
    try:
        _migrate()
    except OperationalError as error:
        reason = " ".join(str(error).split())
        raise StartError(
            f"The database's tables could not be brought up to date ({reason}): start again once "
            "nothing else is at work on them."
        ) from error


def _migrate() -> None:
    with serving_as(ProcessKind.MIGRATION), connection.cursor() as cursor:
        _wait_for_others(cursor)
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
    # A forked child must not talk through our connection.
    connections.close_all()


def _wait_for_others(cursor: CursorWrapper) -> None:
    """However long they migrate: for a lock that is waited for there is a time-out."""
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        if cursor.fetchone()[0]:
            return
        time.sleep(_POLL_SECONDS)


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
