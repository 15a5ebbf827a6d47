"""``manage.py hub`` for whoever comes by way of Django: help, and ``call_command("hub")``.

``manage.py`` itself hands over to the supervisor before Django is loaded, because the settings
name a database that the supervisor is to start.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Starts PostgreSQL, Redis, web, workers and relay, and serves until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arguments", nargs="*", help="see manage.py hub --help")

    def handle(self, *_args: object, **options: Any) -> None:
        command = [sys.executable, "-m", "odavl_hub.launcher.command_line", *options["arguments"]]
        os.execv(sys.executable, command)  # noqa: S606 - no shell is the point
