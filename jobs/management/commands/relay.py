"""``manage.py relay``: sends lost messages, wakes delayed jobs, makes periodic ones."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, connection

from frame.database.timeouts import ProcessKind, serve_as
from jobs import relay

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Sends lost messages, wakes delayed jobs, makes periodic ones; may run twice."

    def handle(self, *_args: object, **_options: object) -> None:
        serve_as(ProcessKind.RELAY)
        stopped = threading.Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopped.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        while not stopped.wait(relay.INTERVAL.total_seconds()):
            try:
                relay.relay_once()
            except (DatabaseError, InterfaceError):
                logger.warning("the database is away; the relay waits for it", exc_info=True)
                relay.database.mark_absent()
                connection.close()
