"""Django's ``migrate`` with the time-outs of a migration."""

from __future__ import annotations

from django.core.management.commands import migrate

from frame.database.timeouts import ProcessKind, serving_as


class Command(migrate.Command):
    def handle(self, *args: object, **options: object) -> None:
        with serving_as(ProcessKind.MIGRATION):
            super().handle(*args, **options)
