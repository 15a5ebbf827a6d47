"""What each of our own processes does. Imported with Django set up, run in forked children."""

from __future__ import annotations

import os
import socket
import warnings
from importlib import import_module

from celery.exceptions import SecurityWarning
from django.core.management import call_command
from django.urls import get_resolver
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from odavl.wire.limits import KIBIBYTE
from odavl_hub import env
from odavl_hub.celery import app
from odavl_hub.front_door.capacity import allow_many_files, capacity

_MOST_WEB_WORKERS = 2
_KILL_SECONDS = 8
_HEAD_MILLISECONDS = 1500
"""For each second of patience, also between two requests. So an answer that is not read is noticed
first, and what the kernel has of it goes with the connection."""
_READ_BUFFER = 512 * KIBIBYTE
"""Of each connection. Twice as much is hardly faster and costs a process 15 MiB under uploads."""


def preload() -> None:
    """Import what web and workers would import at their first request or job."""
    import_module("odavl_hub.wsgi")
    list(get_resolver().url_patterns)  # reading them is what imports every view
    app.loader.import_default_modules()


def web(host: str, port: int) -> None:
    """Serve HTTP until SIGTERM."""
    allow_many_files()
    deadline = env.integer("WEB_PATIENCE", 20, at_least=1)
    MPServer(
        "odavl_hub.asgi:application",
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        workers=env.integer("WEB_WORKERS", min(_MOST_WEB_WORKERS, os.cpu_count() or 1), at_least=1),
        backpressure=capacity().connections,
        websockets=False,
        # HTTP/2 without TLS is spoken by nobody, and its connections have no time-outs there.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            max_buffer_size=_READ_BUFFER, header_read_timeout=deadline * _HEAD_MILLISECONDS
        ),
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=_KILL_SECONDS,
        log_level=LogLevels.warning,
    ).serve()


def worker(name: str, queues: str, concurrency: int) -> None:
    """Run the jobs of ``queues`` (comma-separated) until SIGTERM."""
    # Being root is as the operator wants it, and messages are JSON.
    warnings.simplefilter("ignore", SecurityWarning)
    app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        pool_cls="prefork",
        loglevel="WARNING",
        queues=queues,
        concurrency=concurrency,
        quiet=True,
        # Workers need to know nothing of each other: rows and messages are all they share.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


def relay() -> None:
    """Send lost messages and make the jobs whose time has come until SIGTERM."""
    call_command("relay")
