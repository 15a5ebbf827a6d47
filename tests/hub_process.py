"""A whole hub as its own processes, over a data folder of its own."""

from __future__ import annotations

import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 600


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class HubProcess:
    """``manage.py hub`` and everything that it started."""

    def __init__(
        self, data: Path, *arguments: str, before: tuple[str, ...] = (), **environment: str
    ) -> None:
        self.data = data
        self.port = int(environment.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        own = {
            "PORT": str(self.port),
            "ODAVL_DATA": str(data),
            "ODAVL_HOME": str(data.parent / "home"),
            "STATIC_ROOT": str(data.parent / "static"),
            "PYTHONUNBUFFERED": "1",
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            # The servers of the test run and the settings under test are not this hub's.
            if name not in {"DATABASE_URL", "REDIS_URL", "HOST"} and "COV" not in name
        }
        if data.parent.is_dir():
            (data.parent / "static").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [*before, sys.executable, "manage.py", "hub", *arguments],
            cwd=REPOSITORY,
            env=inherited | own | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Read standard output until ``pattern`` has come."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while (found := re.search(pattern, self.output)) is None:
                arrived = selector.select(deadline - time.monotonic())
                block = os.read(descriptor, 65536) if arrived else b""
                if not block:
                    raise AssertionError(f"no {pattern!r} in: {self.output}\n{self.log()}")
                self.output += block.decode()
        return found

    def wait_until_serving(self) -> None:
        self.wait_for(r"Sign in .*\n")

    def log(self) -> str:
        """All log files of the hub."""
        return "\n".join(
            f"── {file.name}\n{file.read_text()}" for file in sorted(self.data.glob("logs/*.log"))
        )

    def tree(self) -> list[psutil.Process]:
        """Every process of this hub: what descends from it or was started with its data folder.

        Both, because an orphan descends from nobody, and Redis and PostgreSQL write their titles
        over the environment that /proc shows.
        """
        found = set()
        with suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self.process.pid)
            found |= {supervisor, *supervisor.children(recursive=True)}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("ODAVL_DATA") == str(self.data):
                    found.add(process)
        return [process for process in found if _is_running(process)]

    def server(self, service: str) -> psutil.Process:
        """The embedded ``postgres`` or ``redis``: our own child that is no fork of ours."""
        names = {"redis": ("redis-server", "valkey-server"), "postgres": ("postgres",)}[service]
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # others come and go meanwhile
                if any(name in " ".join(child.cmdline()[:1]) for name in names):
                    found.append(child)
        (server,) = found
        return server

    def runs(self, word: str) -> bool:
        """Whether the command line of one of its processes holds ``word``."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                if word in " ".join(process.cmdline()):
                    return True
        return False

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        self.process.communicate(timeout=300)
        return self.process.returncode

    def kill_all(self) -> None:
        """For the end of a test that failed: nothing may stay."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.communicate(timeout=300)


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def refused(data: Path, **environment: str) -> tuple[int, str]:
    """Start a hub that cannot start; its exit code and standard error."""
    hub = HubProcess(data, **environment)
    try:
        _, error = hub.process.communicate(timeout=300)
    finally:
        hub.process.kill()
    return hub.process.returncode, error
