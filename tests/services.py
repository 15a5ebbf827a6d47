"""PostgreSQL and Redis for one test run: real servers, thrown away at its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psutil

from odavl_hub.launcher.embedded import EmbeddedPostgres, EmbeddedRedis

_PREFIX = "odavl-tests-"
_ROOM = 4 << 30


def _remove_leftovers(home: Path) -> None:
    """What test runs that were killed left behind; their servers died with them."""
    for folder in home.glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _has_room(folder: str) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM


class TestServices:
    """Starts what the environment does not name, and names it there for workers to inherit."""

    __test__ = False

    def __init__(self) -> None:
        # In memory where there is room: containers have 64 MiB.
        home = "/dev/shm" if _has_room("/dev/shm") else tempfile.gettempdir()
        _remove_leftovers(Path(home))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=home))
        self._running: list[tuple[EmbeddedPostgres | EmbeddedRedis, subprocess.Popen[bytes]]] = []

    def start(self) -> None:
        if "DATABASE_URL" not in os.environ:
            os.environ["DATABASE_URL"] = self.started(EmbeddedPostgres(self.folder, durable=False))
        if "REDIS_URL" not in os.environ:
            os.environ["REDIS_URL"] = self.started(EmbeddedRedis(self.folder))

    def stop(self) -> None:
        for service, process in reversed(self._running):
            service.stop(process)
            service.clean_up()
        shutil.rmtree(self.folder, ignore_errors=True)

    def started(self, service: EmbeddedPostgres | EmbeddedRedis) -> str:
        """Start one more; its address. It ends with the others."""
        service.prepare()
        with (self.folder / f"{service.name}.log").open("wb") as log:
            process = service.start(log)
        self._running.append((service, process))
        service.wait(process)
        return service.url
