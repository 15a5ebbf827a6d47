"""From nothing to serving, and back."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from odavl_hub.launcher.configuration import (
    Configuration,
    check_port,
    lock_data,
    prepare_data,
    read_secrets,
)
from odavl_hub.launcher.embedded import EmbeddedPostgres
from odavl_hub.launcher.errors import StartError
from odavl_hub.launcher.forking import Process, fork
from odavl_hub.launcher.orphan_reaper import OrphanReaper
from odavl_hub.launcher.output import Outputs, say
from odavl_hub.launcher.services import (
    Service,
    address_variable,
    check_external,
    embedded_services,
)
from odavl_hub.launcher.tree import Child, Tree

_SERVING_SECONDS = 300
_POLL_SECONDS = 0.02
_SAME_WISH_SECONDS = 1.0
_ORDER_OF_STOP = (
    {"first-start", "web"},
    {"worker-interactive", "worker-default", "worker-bulk", "relay"},
    {"redis"},
    {"postgres"},
)


class Hub:
    """One hub over one data folder."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._stops = 0
        self._asked_to_stop_at = float("-inf")
        self._services: list[Service] = []
        self._wake_reading, self._wake_writing = os.pipe()

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Raises :class:`StartError` and its like."""
        configuration = self._configuration
        prepare_data(configuration.data)
        lock = lock_data(configuration.data)
        check_port(configuration.host, configuration.port)
        self._catch_signals()
        reaper = OrphanReaper()  # now, while we are small; it keeps the lock as long as we live
        outputs = Outputs(configuration.logs)
        outputs.wake_on(self._wake_reading)
        tree = Tree(outputs, reaper)
        try:
            self._start(tree, outputs)
            while not self._stops:
                outputs.pump(1 if all(child.process for child in tree.children) else 0.1)
                tree.supervise()
            say("hub: stopping")
        finally:
            self._stop(tree)
            for service in self._services:
                service.clean_up()
            reaper.dismiss()
            os.close(lock)

    def _start(self, tree: Tree, outputs: Outputs) -> None:
        self._start_services(tree)
        if self._stops:
            return
        from odavl_hub.launcher import database, roles  # noqa: PLC0415 - they read the settings

        database.migrate()
        _see_static_files()
        roles.preload()
        database.check_settings()
        # What was made so far lives as long as we do: collecting it would only unshare its pages.
        gc.collect()
        gc.freeze()
        web = self._start_our_own(tree)
        self._wait_until_serving(web, tree, outputs)
        if not self._stops:
            self._greet(tree)

    def _start_services(self, tree: Tree) -> None:
        database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
        os.environ.update(read_secrets(self._configuration.secrets, os.environ))
        os.environ["ODAVL_DATA"] = str(self._configuration.data)
        os.environ["PORT"] = str(self._configuration.port)
        started = []
        self._services = embedded_services(self._configuration)
        for service in self._services:
            service.prepare()
            started.append((service, tree.add(_child_of(service))))
            os.environ[address_variable(service)] = service.url
        check_external(database_url or None, redis_url or None)
        import django  # noqa: PLC0415 - PostgreSQL starts while we import

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "odavl_hub.settings")
        django.setup()
        for service, child in started:
            assert isinstance(child.process, subprocess.Popen)  # noqa: S101 - for the type checker
            service.wait(child.process)

    def _start_our_own(self, tree: Tree) -> Child:
        from odavl_hub import env  # noqa: PLC0415 - it imports Django
        from odavl_hub.launcher import roles  # noqa: PLC0415 - it reads the settings

        host, port = self._configuration.host, self._configuration.port
        web = tree.add(_forked("web", partial(roles.web, host, port)))
        # Workers of its own for each queue: what somebody waits for never stands behind a backup.
        for queue, concurrency in (
            ("interactive", env.integer("INTERACTIVE_WORKERS", 1, at_least=1)),
            ("default", env.integer("DEFAULT_WORKERS", 1, at_least=1)),
            ("bulk", env.integer("BULK_WORKERS", 1, at_least=1)),
        ):
            name = f"worker-{queue}"
            tree.add(_forked(name, partial(roles.worker, name, queue, concurrency)))
        tree.add(_forked("relay", roles.relay))
        return web

    def _wait_until_serving(self, web: Child, tree: Tree, outputs: Outputs) -> None:
        deadline = time.monotonic() + _SERVING_SECONDS
        while not self._stops and not _answers(self._configuration):
            if web.process is None or web.process.poll() is not None:
                outputs.pump()
                log = self._configuration.logs / "web.log"
                raise StartError(f"The web process ended at its start: {log} has the reason.")
            if time.monotonic() > deadline:
                raise StartError(f"The hub did not answer within {_SERVING_SECONDS} s.")
            outputs.pump(_POLL_SECONDS)
        tree.supervise()

    def _greet(self, tree: Tree) -> None:
        from odavl_hub.launcher import first_start  # noqa: PLC0415 - it needs Django

        child = _forked("first-start", partial(first_start.run, self._configuration))
        child.once = True
        # What Ctrl-C sends: `odavl` then ends the detectors that it runs, which are out of our
        # reach in sessions of their own.
        child.stop_signal = child.last_signal = signal.SIGINT
        tree.add(child)

    def _stop(self, tree: Tree) -> None:
        # Who asks goes before who answers; a second Ctrl-C means "now".
        for names in _ORDER_OF_STOP:
            leaving = [child for child in tree.children if child.name in names]
            tree.stop(leaving, at_once=lambda: self._stops > 1)

    def _catch_signals(self) -> None:
        os.set_blocking(self._wake_reading, False)
        os.set_blocking(self._wake_writing, False)
        # The wake-up byte ends a waiting select; Python's own handlers alone would not.
        signal.set_wakeup_fd(self._wake_writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _do_nothing)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request_stop)
        # `nohup` is a wish to outlive the terminal.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._request_stop)

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        # One wish may arrive twice: `timeout make run` signals the whole group, and make us again.
        now = time.monotonic()
        if now - self._asked_to_stop_at > _SAME_WISH_SECONDS:
            self._stops += 1
        self._asked_to_stop_at = now


def _see_static_files() -> None:
    from django.conf import settings  # noqa: PLC0415 - after django.setup()

    if not Path(settings.STATIC_ROOT, "staticfiles.json").exists():
        say("hub: the pages have no styles yet: run `make static`, which `make run` does by itself")


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """For signals that only have to wake us."""


def _forked(name: str, target: Callable[[], None]) -> Child:
    title = f"hub-{name.removeprefix('worker-')}"
    return Child(name, partial(_fork, target, title))


def _fork(target: Callable[[], None], title: str, output: int | None) -> Process:
    return fork(target, output, title)


def _child_of(service: Service) -> Child:
    def start(output: int | None) -> Process:
        return service.start(output)

    if isinstance(service, EmbeddedPostgres):
        # Fast shutdown; and a crash rather than a kill when we are killed, so that its own
        # children end with it.
        return Child(service.name, start, signal.SIGINT, 30, signal.SIGQUIT)
    return Child(service.name, start)


def _answers(configuration: Configuration) -> bool:
    address = (configuration.url.removeprefix("http://").rpartition(":")[0], configuration.port)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(
            (address[0].strip("[]"), address[1]), timeout=5
        ) as connection:
            connection.sendall(request)
            return connection.recv(12).startswith(b"HTTP/1.1 ")
    except OSError:
        return False
